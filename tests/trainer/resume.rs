//! The same seed, and a run that was interrupted.

use std::sync::atomic::AtomicBool;

use forecastd_core::Refit;
use forecastd_train::{TrainError, TrainOptions, run};

use crate::{Interruption, few_steps, invented};

#[test]
fn the_same_seed_gives_the_same_file_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let train = |out: &str, seed| {
        let options = TrainOptions {
            csv: vec![csv.clone()],
            experiment: vec!["station-pair".to_owned()],
            out: Some(folder.path().join(out)),
            name: Some("same".to_owned()),
            epochs: Some(1),
            steps: Some(8),
            batch: Some(32),
            seed,
            ship_anyway: true,
            ..TrainOptions::default()
        };
        run(&options, &Default::default(), &mut ()).unwrap();
        std::fs::read(folder.path().join(out)).unwrap()
    };
    let first = train("a.onnx", 5);
    assert!(first == train("b.onnx", 5));
    assert!(first != train("c.onnx", 6));
}

#[test]
fn a_pair_that_is_interrupted_anywhere_ends_as_if_it_had_not_been() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let file = |name: &str| Some(folder.path().join(name));
    let refit = Some(Refit::Validation);
    let whole = TrainOptions { out: file("whole.onnx"), refit, ..few_steps(&csv, &["station-pair"]) };
    let mut all = Interruption { steps: usize::MAX, interrupted: &AtomicBool::default() };
    run(&whole, &AtomicBool::default(), &mut all).unwrap();
    let last = usize::MAX - all.steps;
    // Three epochs of four steps for each branch: in the first branch's second epoch, in the second's third, when blocks
    // are left out, and in the very last step.
    assert!(last > 40, "{last} steps");
    for (name, steps) in [("dense", 6), ("recurrent", 22), ("block", 34), ("refit", last)] {
        let options = TrainOptions {
            out: file(&format!("{name}.onnx")),
            checkpoint: file(&format!("{name}.checkpoint")),
            resume: true,
            ..whole.clone()
        };
        let interrupted = AtomicBool::default();
        let error = run(&options, &interrupted, &mut Interruption { steps, interrupted: &interrupted });
        assert!(matches!(error, Err(TrainError::Interrupted(Some(_)))), "{error:?}");
        assert!(!options.out.as_ref().unwrap().exists());
        run(&options, &AtomicBool::default(), &mut ()).unwrap();
        let same = std::fs::read(options.out.unwrap()).unwrap()
            == std::fs::read(whole.out.as_ref().unwrap()).unwrap();
        assert!(same, "{name}");
    }
}

#[test]
fn a_checkpoint_of_the_same_file_understood_otherwise_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let mapping = folder.path().join("mapping.toml");
    std::fs::write(
        &mapping,
        r#"
        site = { latitude_deg = 50.9, longitude_deg = 11.6 }
        time = { column = "Date Time", format = "%d.%m.%Y %H:%M:%S" }
        [columns]
        "T (degC)" = { quantity = "air_temperature", unit = "degF" }
        "p (mbar)" = { quantity = "air_pressure" }
        "#,
    )
    .unwrap();
    let checkpoint = Some(folder.path().join("state"));
    let options = TrainOptions { checkpoint, resume: true, ..few_steps(&csv, &["dense"]) };
    run(&options, &AtomicBool::default(), &mut ()).unwrap();
    for other in [
        TrainOptions { mapping: Some(mapping), ..options.clone() },
        TrainOptions { grid_step_s: 3600, ..options.clone() },
        TrainOptions { latitude: Some(10.0), longitude: Some(10.0), ..options.clone() },
    ] {
        let error = run(&other, &AtomicBool::default(), &mut ()).unwrap_err();
        assert!(error.to_string().contains("other settings or other data"), "{error}");
    }
    run(&options, &AtomicBool::default(), &mut ()).unwrap();
}
