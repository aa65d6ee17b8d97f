//! The trainer against the daemon: the same windows, the same network, the same numbers for the same seed.
//!
//! Tests that need the real records are ignored where nobody asks for them: see `forecastd_testkit::needed`.

#![cfg(feature = "train")]

mod choice;
mod learning;
mod refit;
mod refused;
mod resume;
mod world;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use forecastd_model::Artefact;
use forecastd_train::TrainOptions;
use forecastd_train::progress::{Observer, TrainingEvent};
use jiff::SignedDuration;

pub(crate) fn shipped() -> Artefact {
    Artefact::read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx")).unwrap()
}

/// 125 days of an invented climate, every hour.
pub fn invented(folder: &std::path::Path) -> PathBuf {
    let mut text =
        String::from("\"Date Time\",\"p (mbar)\",\"T (degC)\",\"Tdew (degC)\",\"rh (%)\",\"wv (m/s)\"\n");
    let start: jiff::civil::DateTime = "2001-01-01T00:00:00".parse().unwrap();
    for hour in 0..3000_i64 {
        let time = start + SignedDuration::from_hours(hour);
        // Warmest at three, as the sun has it: another time of day would be asked about.
        let day = ((hour - 9) as f64 / 24.0 * std::f64::consts::TAU).sin();
        let front = (hour as f64 / 70.0).sin() + (hour as f64 / 31.0).cos();
        text += &format!(
            "{},{:.2},{:.2},{:.2},{:.1},{:.2}\n",
            time.strftime("%d.%m.%Y %H:%M:%S"),
            1000.0 + 5.0 * front,
            10.0 + 4.0 * day - 3.0 * front,
            3.0 - 2.0 * front,
            60.0 - 20.0 * day,
            2.0 + day + 0.3 * front
        );
    }
    let path = folder.join("invented.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// A run of a few steps on the invented climate.
pub fn few_steps(csv: &std::path::Path, experiments: &[&str]) -> TrainOptions {
    TrainOptions {
        csv: vec![csv.to_owned()],
        experiment: experiments.iter().map(|&name| name.to_owned()).collect(),
        name: Some("few".to_owned()),
        epochs: Some(3),
        steps: Some(4),
        batch: Some(32),
        seed: 1,
        ship_anyway: true,
        ..TrainOptions::default()
    }
}

/// Interrupts a training after so many steps.
pub struct Interruption<'a> {
    pub(crate) steps: usize,
    pub(crate) interrupted: &'a AtomicBool,
}

impl Observer for Interruption<'_> {
    fn event(&mut self, event: &TrainingEvent) {
        if let TrainingEvent::Step { .. } = event {
            self.steps = self.steps.saturating_sub(1);
            self.interrupted.store(self.steps == 0, Ordering::Relaxed);
        }
    }
}
