//! What a training tells of itself: to a person, to a file of JSON lines, to nobody.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use forecastd_core::Refit;

use super::epoch::{Ending, EpochRecord};

/// Something that happened in a training.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainingEvent<'a> {
    /// An experiment begins.
    Experiment {
        /// The name of the experiment.
        name: &'a str,
        /// What it starts its random numbers from.
        seed: u64,
    },
    /// Something worth knowing.
    Note {
        /// The text for a person.
        text: &'a str,
    },
    /// The loop begins.
    Started {
        /// Parameters of the network.
        parameters: usize,
        /// Examples to train on.
        examples: usize,
        /// Epochs at most.
        epochs: usize,
        /// Steps of each.
        steps_of_epoch: usize,
        /// Epochs done before, by a training that this one goes on with.
        done: usize,
    },
    /// A step was made.
    Step {
        /// In which epoch.
        epoch: usize,
        /// The number of the step in its epoch, from 1.
        step: usize,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// Steps per second.
        steps_per_second: f64,
    },
    /// An epoch is over.
    Epoch(&'a EpochRecord),
    /// It is known how good an experiment is.
    Scored {
        /// The name of the experiment.
        name: &'a str,
        /// What it started its random numbers from, where there are any.
        seed: Option<u64>,
        /// The longest lead, hours.
        lead_h: u32,
        /// Mean absolute error on the validation part at that lead, °C.
        validation_c: f64,
        /// The same in standard deviations of the training part's temperature.
        normalised: f64,
        /// That of persistence in the same cases, °C.
        persistence_c: f64,
    },
    /// A model was evaluated on a part of the record, at its longest lead.
    // The name in files of JSON lines.
    #[serde(rename = "judged")]
    Evaluated {
        /// The name of the part.
        part: &'static str,
        /// What the model had been trained on beside the training part.
        refit: Option<Refit>,
        /// The longest lead, in hours.
        lead_h: u32,
        /// Its mean absolute error, °C.
        mae_c: f64,
        /// That of persistence in the same cases, °C.
        persistence_c: f64,
    },
    /// A model file was written.
    Written {
        /// The file that was written.
        path: &'a Path,
    },
    /// The run has ended without what was asked for.
    Failed {
        /// The error, as it is told to a person.
        message: &'a str,
    },
    /// The loop is over.
    Ended {
        /// What ended it.
        ending: Ending,
        /// The epoch that is kept.
        best_epoch: usize,
        /// Its score, if it was chosen by that.
        score: Option<f64>,
    },
}

/// Receives what happens in a training.
pub trait Observer {
    /// Called for everything that happens, on the training's thread.
    fn event(&mut self, event: &TrainingEvent);
}

/// Discards all events.
impl Observer for () {
    fn event(&mut self, _event: &TrainingEvent) {}
}

/// Forwards to both.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn event(&mut self, event: &TrainingEvent) {
        self.0.event(event);
        self.1.event(event);
    }
}

/// Forwards if there is one.
impl<A: Observer> Observer for Option<A> {
    fn event(&mut self, event: &TrainingEvent) {
        if let Some(observer) = self {
            observer.event(event);
        }
    }
}

/// Shows a training in a terminal: a bar for the epoch that runs, a line for each that has.
#[derive(Debug, Default)]
pub struct Terminal {
    bar: Option<ProgressBar>,
    epochs: usize,
    steps_of_epoch: usize,
}

impl Terminal {
    fn say(&self, line: String) {
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.println(line),
            // Nobody may be there to read it.
            _ => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }
}

impl Observer for Terminal {
    fn event(&mut self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Experiment { name, seed } => self.say(format!("{name}, seed {seed}")),
            TrainingEvent::Note { text } => self.say((*text).to_owned()),
            TrainingEvent::Started { parameters, examples, epochs, steps_of_epoch, done } => {
                self.say(format!(
                    "{parameters} parameters, {examples} examples, {epochs} epochs of {steps_of_epoch} steps"
                ));
                if *done > 0 {
                    self.say(format!("going on after epoch {done}"));
                }
                (self.epochs, self.steps_of_epoch) = (*epochs, *steps_of_epoch);
                let bar = ProgressBar::new((epochs * steps_of_epoch) as u64);
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {eta} left")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style);
                bar.set_position((done * steps_of_epoch) as u64);
                bar.reset_eta();
                bar.enable_steady_tick(Duration::from_millis(250));
                self.bar = Some(bar);
            }
            TrainingEvent::Step { epoch, step, loss, steps_per_second } => {
                if let Some(bar) = &self.bar {
                    bar.set_position(((epoch - 1) * self.steps_of_epoch + step) as u64);
                    let epochs = self.epochs;
                    bar.set_message(format!(
                        "epoch {epoch}/{epochs} loss {loss:.4} {steps_per_second:.0} steps/s"
                    ));
                }
            }
            TrainingEvent::Epoch(record) => {
                let validation = record.validation.map_or(String::new(), |validation| {
                    let mark = if record.best { " *" } else { "  " };
                    format!("  validation loss {:.4}  score {:.4}{mark}", validation.loss, validation.score)
                });
                self.say(format!(
                    "epoch {:>3}  loss {:.4}{validation}  {:.0} steps/s  {:.1} s",
                    record.epoch, record.loss, record.steps_per_second, record.seconds,
                ));
            }
            TrainingEvent::Scored { name, lead_h, validation_c, persistence_c, normalised, .. } => {
                let gain = 100.0 * (1.0 - validation_c / persistence_c);
                self.say(format!(
                    "{name}: MAE {validation_c:.3} °C at {lead_h} h on the validation part ({normalised:.4} normalised), \
                     persistence {persistence_c:.3} °C, gain {gain:.1} %"
                ));
            }
            // The summary or the error says so at the end.
            TrainingEvent::Evaluated { .. }
            | TrainingEvent::Written { .. }
            | TrainingEvent::Failed { .. } => {}
            TrainingEvent::Ended { ending, best_epoch, score } => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                let why = match ending {
                    Ending::Finished => "finished",
                    Ending::Stopped => "stopped: no improvement any more",
                    Ending::Interrupted => "interrupted",
                    Ending::Diverged => "stopped: the loss became NaN; the model is the best before",
                };
                self.say(match score {
                    Some(score) => format!("{why}; best epoch {best_epoch}, score {score:.4}"),
                    None => format!("{why} after epoch {best_epoch}"),
                });
            }
        }
    }
}

/// Writes a training as JSON lines; single steps are left out.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
    path: PathBuf,
    has_failed: bool,
}

impl JsonLines {
    /// Appends to a file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<JsonLines> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(JsonLines { file, path: path.to_owned(), has_failed: false })
    }
}

impl Observer for JsonLines {
    fn event(&mut self, event: &TrainingEvent) {
        if matches!(event, TrainingEvent::Step { .. }) {
            return;
        }
        let Ok(line) = serde_json::to_string(event) else { return };
        // A log that cannot be written is no reason to lose a training, but one to say so.
        if let Err(error) = self.file.write_all(format!("{line}\n").as_bytes())
            && !std::mem::replace(&mut self.has_failed, true)
        {
            let path = self.path.display();
            drop(writeln!(std::io::stderr(), "the log {path} is not complete: {error}"));
        }
    }
}
