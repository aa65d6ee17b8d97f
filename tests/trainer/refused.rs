//! What cannot come to a good end is refused, and says why.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use forecastd_train::{TrainError, TrainOptions, run};

use crate::{Interruption, few_steps, invented};

#[test]
fn an_option_that_an_experiment_would_pass_over_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let refused =
        |options: &TrainOptions| run(options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
    let pair = TrainOptions { samples: Some(48), ..few_steps(&csv, &["station-pair"]) };
    assert_eq!(refused(&pair), "--samples has no effect on the experiment station-pair");
    let units = TrainOptions { units: vec![8], ..few_steps(&csv, &["dense"]) };
    assert_eq!(refused(&units), "--units has no effect on the experiment dense");
    let alone = few_steps(&csv, &["persistence"]);
    assert_eq!(refused(&alone), "--epochs has no effect on the experiment persistence");
    let out = TrainOptions { out: Some(folder.path().join("x.onnx")), ..few_steps(&csv, &["yesterday"]) };
    assert_eq!(refused(&out), "--out: yesterday is no network that can be written to a model file");
}

#[test]
fn a_place_that_cannot_be_written_to_is_said_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let file_as_folder = csv.join("below a file");
    let place =
        |out, report, checkpoint| TrainOptions { out, report, checkpoint, ..few_steps(&csv, &["dense"]) };
    let there = || Some(file_as_folder.clone());
    for options in [place(there(), None, None), place(None, there(), None), place(None, None, there())] {
        let steps = &mut Interruption { steps: usize::MAX, interrupted: &AtomicBool::default() };
        let error = run(&options, &AtomicBool::default(), steps).unwrap_err();
        assert!(matches!(error, TrainError::Write(_)), "{error}");
        assert_eq!(steps.steps, usize::MAX, "nothing was trained");
    }
}

#[test]
fn numbers_that_nothing_can_be_trained_with_are_refused_before_the_file_is_read() {
    let few = few_steps(std::path::Path::new("not there.csv"), &["gru"]);
    for (message, options) in [
        ("--batch 0: 1 to", TrainOptions { batch: Some(0), ..few.clone() }),
        ("--epochs 0: 1 to", TrainOptions { epochs: Some(0), ..few.clone() }),
        ("--steps 0: 1 to", TrainOptions { steps: Some(0), ..few.clone() }),
        ("--units 0: 1 to", TrainOptions { units: vec![8, 0], ..few.clone() }),
        ("--head 0: 1 to", TrainOptions { head: vec![0], ..few.clone() }),
        ("--samples 0: 1 to", TrainOptions { samples: Some(0), ..few.clone() }),
        ("--samples 18446744073709551615: ", TrainOptions { samples: Some(usize::MAX), ..few.clone() }),
        ("--learning-rate NaN: ", TrainOptions { learning_rate: Some(f64::NAN), ..few.clone() }),
        ("--clip-norm -1: ", TrainOptions { clip_norm: Some(-1.0), ..few.clone() }),
        ("--averaging 1: ", TrainOptions { averaging: Some(1.0), ..few.clone() }),
        ("--seeds 0: ", TrainOptions { seeds: 0, ..few.clone() }),
        ("--seeds 1: ", TrainOptions { seed: u64::MAX, ..few.clone() }),
        ("--grid-step-s 7: ", TrainOptions { grid_step_s: 7, ..few.clone() }),
        ("--latitude NaN: ", TrainOptions { latitude: Some(f64::NAN), ..few.clone() }),
        ("--elevation 9001: ", TrainOptions { elevation: Some(9001.0), ..few.clone() }),
        ("--name \"\": ", TrainOptions { name: Some(String::new()), ..few.clone() }),
    ] {
        let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}, not {message}");
    }
}

/// Pressure of sea level, and the wave of a day of the other side of the world.
#[test]
fn a_place_that_the_record_contradicts_is_refused_when_it_is_given_by_options_too() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let mapping = folder.path().join("mapping.toml");
    for (longitude, elevation, about) in [(11.6, 3000.0, "air_pressure"), (-168.4, 150.0, "time")] {
        let options = TrainOptions {
            latitude: Some(50.9),
            longitude: Some(longitude),
            elevation: Some(elevation),
            ..few_steps(&csv, &["dense"])
        };
        let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
        let sure = format!("{about}: ");
        assert!(error.contains(&sure), "{error}");
        assert!(error.ends_with(&format!("that all is right: sure = [{about:?}]")), "{error}");
        std::fs::write(&mapping, format!("preset = \"jena\"\nsure = [{about:?}]\n")).unwrap();
        let options = TrainOptions { mapping: Some(mapping.clone()), ..options };
        run(&options, &AtomicBool::default(), &mut ()).unwrap();
    }
}

#[test]
fn no_file_is_written_over_another_that_is_named_too() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let before = std::fs::read(&csv).unwrap();
    let roundabout = folder.path().join(".").join("invented.csv");
    let out = Some(folder.path().join("model.onnx"));
    for (message, options) in [
        ("--out and --csv are", TrainOptions { out: Some(roundabout), ..few_steps(&csv, &["dense"]) }),
        (
            "--report and --out are",
            TrainOptions { out: out.clone(), report: out.clone(), ..few_steps(&csv, &["dense"]) },
        ),
    ] {
        let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    // The log is opened before there is anything to say.
    let log = TrainOptions { log: Some(csv.clone()), quiet: true, ..few_steps(&csv, &["dense"]) };
    let error = forecastd_train::run_on_terminal(&log, &AtomicBool::default()).unwrap_err().to_string();
    assert!(error.starts_with("--log and --csv are"), "{error}");
    assert!(std::fs::read(&csv).unwrap() == before);
}

#[test]
fn what_cannot_be_compared_or_evaluated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let out = Some(folder.path().join("model.onnx"));
    let refused =
        |options: TrainOptions| run(&options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
    let mixed = refused(TrainOptions { out, ..few_steps(&csv, &["gru", "station-gru"]) });
    assert!(mixed.contains("gru forecasts 25 h ahead and station-gru 24 h"), "{mixed}");
    let free = |csv: &PathBuf, name: &str| TrainOptions {
        epochs: None,
        steps: None,
        batch: None,
        ..few_steps(csv, &[name])
    };
    let large = refused(TrainOptions { samples: Some(800), ..free(&csv, "ridge") });
    assert!(large.contains("at most 4000 terms"), "{large}");
    let short = folder.path().join("short.csv");
    let text: String =
        std::fs::read_to_string(&csv).unwrap().lines().take(100).map(|l| format!("{l}\n")).collect();
    std::fs::write(&short, text).unwrap();
    for name in ["persistence", "yesterday", "climatology"] {
        let error = refused(free(&short, name));
        assert!(error.contains("short.csv: no case to verify") && error.contains("24 rows"), "{error}");
    }
}

#[test]
fn a_bad_file_is_explained_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("empty.csv", ""),
        ("header.csv", "\"Date Time\",\"p (mbar)\",\"T (degC)\"\n"),
        ("column.csv", "\"Date Time\",\"p (mbar)\"\n01.01.2009 00:10:00,996.5\n"),
        ("rows.csv", "\"Date Time\",\"p (mbar)\",\"T (degC)\"\nnever,996.5,-8\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let options = TrainOptions { csv: vec![path], ..TrainOptions::default() };
        let error: TrainError = run(&options, &Default::default(), &mut ()).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains('\n') && message.contains(name), "{message}");
    }
}
