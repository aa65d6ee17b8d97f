//! How far a replay is, as a bar or as lines.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::FeedProgress;

/// Where progress is shown.
#[derive(Debug)]
pub struct ReplayProgress {
    shown: Shown,
    last_line: Instant,
}

#[derive(Debug)]
enum Shown {
    Nowhere,
    Lines,
    Bar(ProgressBar),
}

/// Time between two lines of progress.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl ReplayProgress {
    /// Shows nothing, in a terminal or elsewhere.
    pub fn silent() -> ReplayProgress {
        ReplayProgress { shown: Shown::Nowhere, last_line: Instant::now() }
    }

    /// A bar on a terminal, else a line now and then, both on standard error; nothing if `quiet`.
    pub fn standard(quiet: bool) -> ReplayProgress {
        let shown = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Shown::Nowhere,
            (false, false) => Shown::Lines,
            (false, true) => {
                let style =
                    ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {per_sec}  {eta} left");
                Shown::Bar(
                    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
                )
            }
        };
        ReplayProgress { shown, last_line: Instant::now() }
    }

    pub(super) fn begin(&self, readings: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_length(readings);
            bar.reset();
        }
    }

    pub(super) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Lines => eprintln!("{line}"),
            Shown::Bar(bar) => bar.suspend(|| eprintln!("{line}")),
        }
    }

    pub(super) fn observe(&mut self, progress: &FeedProgress, readings: u64, started: Instant) {
        let reached = progress.last.unwrap_or_default();
        match &self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => {
                bar.set_position(progress.sent);
                if progress.sent.is_multiple_of(64) || self.last_line.elapsed() > Duration::from_millis(200) {
                    bar.set_message(reached.to_string());
                    self.last_line = Instant::now();
                }
            }
            Shown::Lines if self.last_line.elapsed() >= LINE_EVERY => {
                let rate = progress.sent as f64 / started.elapsed().as_secs_f64();
                let left = readings.saturating_sub(progress.sent) as f64 / rate.max(1e-9);
                eprintln!(
                    "{} of {readings} readings, at {reached}, {rate:.0}/s, {left:.0} s left",
                    progress.sent
                );
                self.last_line = Instant::now();
            }
            Shown::Lines => {}
        }
    }

    pub(super) fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
