//! The trainer against the daemon: the same windows, the same network, the same numbers for the same seed.
//!
//! The records lie in the folder that `FORECASTD_DATA` names, by default `../shared/data`; tests that need them say so
//! when they are absent.
#![cfg(feature = "train")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Device;
use forecastd::evaluate::{self, EvaluateError, EvaluateOptions};
use forecastd::formats::csv::CsvReader;
use forecastd::grid::Slot;
use forecastd::model::{Artefact, Engine, EngineChoice, Refit, Runtime};
use forecastd::reading::StationName;
use forecastd::record::{Record, RecordSource};
use forecastd::station::{Next, Station};
use forecastd::train::options::Protocol;
use forecastd::train::progress::{Event, Observer};
use forecastd::train::{TrainError, TrainOptions, run};
use jiff::SignedDuration;

fn data(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("FORECASTD_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there; set FORECASTD_DATA", path.display());
        return None;
    }
    Some(path)
}

fn shipped() -> Artefact {
    Artefact::read(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/jena.onnx")).unwrap()
}

#[test]
fn a_record_gives_the_windows_of_the_live_station_bit_for_bit() {
    let Some(path) = data("jena_2020_10min.csv") else { return };
    let artefact = std::sync::Arc::new(shipped());
    let spec = artefact.manifest.window.clone();
    let source = RecordSource { path: path.clone(), mapping: None };
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let name = StationName::new("jena").unwrap();
    let mut station = Station::new(name, artefact.clone(), SignedDuration::from_hours(1));
    let mut live: HashMap<Slot, Vec<f32>> = HashMap::new();
    for reading in CsvReader::open(&path, None).unwrap() {
        let (time, values) = reading.unwrap();
        if let Ok(observed) = station.observe(time, values, time)
            && let Next::Infer(issue, window) = observed.next
        {
            live.insert(issue.slot, window);
        }
    }
    let mut window = vec![0.0; spec.len()];
    for (&slot, live) in &live {
        spec.fill(record.history(), slot, &mut window).unwrap();
        artefact.manifest.normalisation.apply(&mut window);
        assert!(window.iter().zip(live).all(|(a, b)| a.to_bits() == b.to_bits()), "slot {slot}");
    }
    assert!(live.len() > 50_000, "{} windows", live.len());
}

#[test]
fn burn_and_the_engine_agree_on_a_thousand_real_windows() {
    use forecastd::model::TargetKind;
    use forecastd::record::DEFAULT_SPLIT;
    use forecastd::train::dataset::{Dataset, TargetSpec};
    use forecastd::train::fit::{FitSettings, Schedule, Until, fit};
    use forecastd::train::optimiser::OptimiserKind;
    use forecastd::train::pair::{BranchKind, BranchTask, Pair, PairData, PairSettings};
    use forecastd::train::terms;
    use forecastd::window::WindowSpec;

    let shipped = shipped();
    // The year has the wind's direction, the eight years have not.
    for (name, with_direction) in [("jena_2009_2016_hourly.csv", false), ("jena_2020_10min.csv", true)] {
        let Some(path) = data(name) else { return };
        let spec =
            WindowSpec { features: terms::features(with_direction), ..shipped.manifest.window.clone() };
        let record =
            Record::read(&RecordSource { path, mapping: None }, spec.grid(), &spec.quantities()).unwrap();
        let target = TargetSpec {
            kind: TargetKind::DifferenceToNewest,
            lead_h: (1..=24).collect(),
            windows_within_part: false,
        };
        let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, None).unwrap();
        let data = PairData::new(&dataset, &record);
        let settings =
            PairSettings { hidden: vec![128, 128], units: 48, dropout: 0.2, state_dropout: 0.1, noise: 0.3 };
        let fitting = FitSettings {
            epochs: 1,
            steps: Some(129),
            batch: 256,
            optimiser: OptimiserKind::AdamW { weight_decay: 0.01 },
            learning_rate: 4e-3,
            schedule: Schedule::Constant,
            clip_norm: Some(1.0),
            averaging: None,
            patience: None,
            seed: 1,
        };
        let device = Device::flex().autodiff();
        let task = BranchTask::new(&data, &settings, device.clone());
        // An untrained network has quantiles so close to each other that the interval's stretch is a thousandfold.
        let branches = [BranchKind::Dense, BranchKind::Recurrent].map(|kind| {
            let branch = data.branch(kind, &settings, &device, &mut fitting.initial_generator());
            fit(&task, branch, &fitting, Until::Best, None, &Default::default(), &mut ()).unwrap().model
        });
        let (pair, _) = Pair::calibrated(&data, branches);
        let mut manifest = shipped.manifest.clone();
        manifest.target = dataset.target.clone();
        manifest.window = spec.clone();
        manifest.normalisation = dataset.windows.normalisation().clone();
        let file = Artefact::assemble(pair.export(&dataset), &manifest).unwrap();
        let artefact = Artefact::parse(&file).unwrap();
        let runtime = Runtime::start(EngineChoice::Tract, None).unwrap();
        let mut engine = Engine::load(&runtime, &artefact).unwrap();
        let indices: Vec<usize> = (0..1000).map(|index| index * dataset.validation.len() / 1000).collect();
        let windows = dataset.gather(&dataset.validation, &indices);
        let by_burn = pair.forward(&windows, indices.len());
        let by_engine: Vec<f32> =
            windows.chunks_exact(spec.len()).flat_map(|window| engine.run(window, 1).unwrap()).collect();
        let unit_c = dataset.target.standard_deviation;
        let largest = by_burn.iter().zip(&by_engine).map(|(a, b)| (a - b).abs() * unit_c).fold(0.0, f32::max);
        assert!(largest < 1e-4, "{name}: {largest} °C apart");
    }
}

/// 125 days of an invented climate, every hour.
fn invented(folder: &std::path::Path) -> PathBuf {
    let mut text =
        String::from("\"Date Time\",\"p (mbar)\",\"T (degC)\",\"Tdew (degC)\",\"rh (%)\",\"wv (m/s)\"\n");
    let start: jiff::civil::DateTime = "2001-01-01T00:00:00".parse().unwrap();
    for hour in 0..3000_i64 {
        let time = start + SignedDuration::from_hours(hour);
        let day = (hour as f64 / 24.0 * std::f64::consts::TAU).sin();
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

#[test]
fn the_same_seed_gives_the_same_file_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let train = |out: &str, seed| {
        let options = TrainOptions {
            csv: Some(csv.clone()),
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

/// A run of a few steps on the invented climate.
fn few_steps(csv: &std::path::Path, experiments: &[&str]) -> TrainOptions {
    TrainOptions {
        csv: Some(csv.to_owned()),
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
struct Interruption<'a> {
    steps: usize,
    interrupted: &'a AtomicBool,
}

impl Observer for Interruption<'_> {
    fn event(&mut self, event: &Event) {
        if let Event::Step { .. } = event {
            self.steps = self.steps.saturating_sub(1);
            self.interrupted.store(self.steps == 0, Ordering::Relaxed);
        }
    }
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
fn of_several_networks_the_best_on_the_validation_part_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let out = folder.path().join("best.onnx");
    let checkpoint = Some(folder.path().join("state"));
    let options = TrainOptions {
        out: Some(out.clone()),
        checkpoint,
        seeds: 2,
        protocol: Some(Protocol::Aligned),
        ..few_steps(&csv, &["persistence", "ridge", "dense"])
    };
    let summary = run(&options, &AtomicBool::default(), &mut ()).unwrap();
    let names: Vec<(&str, Option<u64>)> =
        summary.results.iter().map(|result| (result.name, result.seed)).collect();
    assert_eq!(names, [("persistence", None), ("ridge", None), ("dense", Some(1)), ("dense", Some(2))]);
    let networks = summary.results.iter().filter(|result| result.name != "persistence");
    let best = networks.min_by(|a, b| a.validation_c.total_cmp(&b.validation_c)).unwrap();
    let training = Artefact::read(&out).unwrap().manifest.training.unwrap();
    assert_eq!((training.experiment.as_str(), training.seed), (best.name, best.seed.unwrap_or(0)));
    for seed in [1, 2] {
        assert!(
            folder.path().join(format!("state.dense.{seed}")).exists(),
            "each has a checkpoint of its own"
        );
    }
}

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

/// The graph of a model file, without what is said of it.
fn graph(path: &std::path::Path) -> forecastd::model::onnx::Graph {
    Artefact::read(path).unwrap().model().graph.clone().unwrap()
}

#[test]
fn a_model_learns_from_what_it_says_and_from_nothing_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let text = std::fs::read_to_string(&csv).unwrap();
    // Of 3000 rows, the first 1427 train and the next 713 validate. A copy is warmer in the middle of one part.
    let warmer = |name: &str, rows: std::ops::Range<usize>| {
        let warm = |(line, row): (usize, &str)| {
            let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
            if rows.contains(&line) {
                cells[2] = format!("{:.2}", cells[2].parse::<f64>().unwrap() + 1.0);
            }
            cells.join(",") + "\n"
        };
        let path = folder.path().join(name);
        std::fs::write(&path, text.lines().enumerate().map(warm).collect::<String>()).unwrap();
        path
    };
    let [other_validation, other_test] = [warmer("v.csv", 1700..1900), warmer("t.csv", 2400..2600)];
    for experiment in ["ridge", "dense", "station-pair"] {
        let learned = |csv: &PathBuf, refit: Option<Refit>| {
            let out = folder.path().join("model.onnx");
            // One epoch, so that the choice is the same.
            let mut options = few_steps(csv, &[experiment]);
            if experiment == "ridge" {
                options =
                    TrainOptions { epochs: None, steps: None, batch: None, samples: Some(2), ..options };
            } else {
                options.epochs = Some(1);
            }
            run(&TrainOptions { out: Some(out.clone()), refit, ..options }, &AtomicBool::default(), &mut ())
                .unwrap();
            graph(&out)
        };
        let plain = learned(&csv, None);
        let validation = learned(&csv, Some(Refit::Validation));
        let whole = learned(&csv, Some(Refit::Whole));
        assert!(plain != validation && validation != whole, "{experiment}");
        if experiment == "dense" {
            // The others' penalty and interval fit the validation part.
            assert!(plain == learned(&other_validation, None), "{experiment}");
        }
        assert!(plain == learned(&other_test, None), "{experiment}");
        assert!(validation != learned(&other_validation, Some(Refit::Validation)), "{experiment}");
        assert!(validation == learned(&other_test, Some(Refit::Validation)), "{experiment}");
        assert!(whole != learned(&other_test, Some(Refit::Whole)), "{experiment}");
    }
}

#[test]
fn the_wind_s_direction_is_used_where_nearly_every_reading_has_it() {
    use forecastd::feature::Feature;

    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(invented(folder.path())).unwrap();
    // Every reading, and every but each tenth, and none.
    for (name, every, is_used) in [("all.csv", 3001, true), ("most.csv", 10, false), ("none.csv", 1, false)] {
        let with_direction = |(line, row): (usize, &str)| match line {
            0 => format!("{row},\"wd (deg)\"\n"),
            line if line % every == 0 => format!("{row},\n"),
            line => format!("{row},{}\n", line * 7 % 360),
        };
        let csv = folder.path().join(name);
        std::fs::write(&csv, text.lines().enumerate().map(with_direction).collect::<String>()).unwrap();
        let out = folder.path().join("model.onnx");
        let options = TrainOptions { out: Some(out.clone()), ..few_steps(&csv, &["station-pair"]) };
        run(&options, &AtomicBool::default(), &mut ()).unwrap();
        let features = Artefact::read(&out).unwrap().manifest.window.features;
        assert_eq!(features.contains(&Feature::EastwardWind), is_used, "{name}");
        assert_eq!(features.contains(&Feature::NorthwardWind), is_used, "{name}");
    }
}

#[test]
fn a_model_that_learned_once_more_is_judged_by_what_it_has_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let out = folder.path().join("refit.onnx");
    let train = |refit| {
        let options = TrainOptions { out: Some(out.clone()), refit, ..few_steps(&csv, &["dense"]) };
        run(&options, &AtomicBool::default(), &mut ()).unwrap();
        let before = Artefact::read(&out).unwrap().manifest.scores;
        before.into_iter().map(|part| (part.part, part.before_refit, part.leads[0].mae)).collect::<Vec<_>>()
    };
    let evaluate = || {
        evaluate::run(&EvaluateOptions {
            model: out.clone(),
            csv: csv.clone(),
            mapping: None,
            engine: EngineChoice::Tract,
            onnxruntime_library: None,
            format: evaluate::EvaluationFormat::Table,
            predictions: None,
            report: None,
            pictures: None,
        })
    };
    let parts = |scores: &[(String, bool, f64)]| -> Vec<(String, bool)> {
        scores.iter().map(|(part, before, _)| (part.clone(), *before)).collect()
    };
    let pair = |validation, test| vec![("validation".to_owned(), validation), ("test".to_owned(), test)];

    let plain = train(None);
    assert_eq!(parts(&plain), pair(false, false));
    assert_eq!(evaluate().unwrap().parts.len(), 2);

    let refit = train(Some(Refit::Validation));
    assert_eq!(parts(&refit), pair(true, false));
    assert_eq!(refit[0].2, plain[0].2, "the validation part was judged by the model before");
    let judged = evaluate().unwrap().parts;
    assert_eq!(judged.len(), 1);
    assert_eq!((judged[0].part.name(), judged[0].leads[0].model.mae()), ("test", refit[1].2));
    assert_ne!(refit[1].2, plain[1].2);

    let whole = train(Some(Refit::Whole));
    assert_eq!(parts(&whole), pair(true, true));
    assert_eq!(whole[1].2, plain[1].2, "the test part was judged by the model before");
    let error = evaluate().unwrap_err();
    assert!(matches!(error, EvaluateError::Learned { .. }), "{error}");
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
        ("--name \"\": ", TrainOptions { name: Some(String::new()), ..few.clone() }),
    ] {
        let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}, not {message}");
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
    let error = forecastd::train::run_on_terminal(&log, &AtomicBool::default()).unwrap_err().to_string();
    assert!(error.starts_with("--log and --csv are"), "{error}");
    assert!(std::fs::read(&csv).unwrap() == before);
}

#[test]
fn what_repeats_itself_every_day_leaves_nothing_to_gain() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(invented(folder.path())).unwrap();
    let same = |(line, row): (usize, &str)| {
        let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
        if line > 0 {
            cells[2] = format!("{}.5", line % 24);
        }
        cells.join(",") + "\n"
    };
    let csv = folder.path().join("same.csv");
    std::fs::write(&csv, text.lines().enumerate().map(same).collect::<String>()).unwrap();
    let out = Some(folder.path().join("model.onnx"));
    let report = Some(folder.path().join("report.html"));
    let refit = Some(Refit::Validation);
    let options =
        TrainOptions { out, report, refit, ship_anyway: false, ..few_steps(&csv, &["station-gru"]) };
    let error = run(&options, &AtomicBool::default(), &mut ()).unwrap_err();
    assert!(matches!(error, TrainError::NoGain { .. }), "{error}");
    let page = std::fs::read_to_string(options.report.unwrap()).unwrap();
    assert!(!page.contains("once more") && !page.contains("before it learned"), "nothing was learned again");
    // Readings every 50 minutes are never 24 hours apart.
    let every_50_minutes = |(line, row): (usize, &str)| match row.split_once(',') {
        Some((_, cells)) if line > 0 => {
            let time: jiff::civil::DateTime = "2001-01-01T00:00:00".parse().unwrap();
            let time = time + SignedDuration::from_mins(50 * line as i64);
            format!("{},{cells}\n", time.strftime("%d.%m.%Y %H:%M:%S"))
        }
        _ => format!("{row}\n"),
    };
    std::fs::write(&csv, text.lines().enumerate().map(every_50_minutes).collect::<String>()).unwrap();
    let error = run(&few_steps(&csv, &["station-gru"]), &AtomicBool::default(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("readings that come every 0.8 h are never 24 h apart"), "{error}");
}

#[test]
fn what_cannot_be_compared_or_judged_is_refused() {
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
        assert!(error.contains("short.csv: no case to judge") && error.contains("24 rows"), "{error}");
    }
}

#[test]
fn what_is_learned_from_shares_no_outcome_with_the_block_that_is_left_out() {
    use forecastd::model::TargetKind;
    use forecastd::record::DEFAULT_SPLIT;
    use forecastd::train::dataset::{Dataset, TargetSpec};

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource { path: invented(folder.path()), mapping: None };
    let spec = shipped().manifest.window;
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let target =
        TargetSpec { kind: TargetKind::DifferenceToNewest, lead_h: vec![1, 24], windows_within_part: false };
    let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, Some(Refit::Validation)).unwrap();
    let hour = 3600 / i64::from(spec.grid_step_s);
    let mut left_out = Vec::new();
    for block in 0..4 {
        let rest = dataset.without_block(block, 4);
        let outcomes = |origins: &[Slot]| -> std::collections::BTreeSet<Slot> {
            origins.iter().flat_map(|origin| (1..=24).map(move |lead| origin + lead * hour)).collect()
        };
        let held = outcomes(&rest.validation.origins);
        assert!(held.is_disjoint(&outcomes(&rest.train.origins)), "block {block}");
        // All else is learned from: what is far enough away on either side.
        let near = dataset.train.len() - rest.train.len() - rest.validation.len();
        assert!(near <= 2 * 24, "{near} examples of block {block} are in neither");
        left_out.extend_from_slice(&rest.validation.origins);
        // Each example keeps its own targets.
        let at = dataset.train.origins.binary_search(&rest.validation.origins[0]).unwrap();
        assert_eq!(rest.validation.targets[..2], dataset.train.targets[2 * at..][..2], "block {block}");
    }
    assert_eq!(left_out, dataset.train.origins, "every example is left out once");
}

/// The loss that is learned from, as tensors, is the one that is validated by, written down as in the definition of the
/// pinball loss (Koenker and Bassett 1978).
#[test]
fn a_branch_learns_by_the_loss_that_it_is_validated_by() {
    use burn::module::Module;
    use forecastd::model::TargetKind;
    use forecastd::record::DEFAULT_SPLIT;
    use forecastd::train::dataset::{Dataset, Examples, TargetSpec};
    use forecastd::train::fit::Task;
    use forecastd::train::pair::{BranchKind, BranchTask, PairData, PairSettings};
    use rand::SeedableRng;

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource { path: invented(folder.path()), mapping: None };
    let spec = shipped().manifest.window;
    let record = Record::read(&source, spec.grid(), &spec.quantities()).unwrap();
    let target = TargetSpec {
        kind: TargetKind::DifferenceToNewest,
        lead_h: (1..=24).collect(),
        windows_within_part: false,
    };
    let mut dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &target, None).unwrap();
    // The first hundred examples, which have all their targets, are both learned from and validated by.
    let first = Examples {
        origins: dataset.train.origins[..100].to_vec(),
        newest_c: dataset.train.newest_c[..100].to_vec(),
        targets: dataset.train.targets[..100 * 24].to_vec(),
    };
    assert!(first.targets.iter().all(|target| !target.is_nan()));
    (dataset.train, dataset.validation) = (first.clone(), first);
    let data = PairData::new(&dataset, &record);
    let settings = PairSettings { hidden: vec![16], units: 8, dropout: 0.0, state_dropout: 0.0, noise: 0.0 };
    let device = Device::flex().autodiff();
    let task = BranchTask::new(&data, &settings, device.clone());
    let all: Vec<usize> = (0..100).collect();
    for kind in [BranchKind::Dense, BranchKind::Recurrent] {
        let mut generator = rand_pcg::Pcg64::seed_from_u64(3);
        let branch = data.branch(kind, &settings, &device, &mut generator);
        let learned: f32 = task.loss(&branch, &all, &mut generator).into_scalar();
        let validated = task.validate(&branch.valid()).loss;
        assert!((f64::from(learned) - validated).abs() < 1e-5 * validated, "{learned}, {validated}");
    }
}

/// Where the penalised sum of squares is smallest, its gradient is zero: the residuals' products with each term are the
/// penalty times the term's coefficient.
#[test]
fn the_ridge_regression_is_where_the_gradient_is_zero() {
    use burn::tensor::{Tensor, TensorData};
    use forecastd::quantity::Quantity;
    use forecastd::record::DEFAULT_SPLIT;
    use forecastd::solar::Site;
    use forecastd::train::dataset::Dataset;
    use forecastd::train::experiment::{Method, by_name};
    use forecastd::train::ridge::Ridge;

    let folder = tempfile::tempdir().unwrap();
    let source = RecordSource { path: invented(folder.path()), mapping: None };
    let Method::Ridge(recipe) = by_name("ridge").unwrap().method else { panic!("ridge is another method") };
    let grid = forecastd::grid::Grid::new(600).unwrap();
    let record = Record::read(&source, grid, &recipe.problem.quantities(&Quantity::ALL)).unwrap();
    let spec = recipe.problem.window(&record, Site { latitude_deg: 50.9, longitude_deg: 11.6 });
    let dataset = Dataset::new(&record, &spec, DEFAULT_SPLIT, &recipe.problem.target(), None).unwrap();
    let penalty = 0.01;
    let ridge = Ridge::fit(&dataset, &[penalty]).unwrap();
    let leads = dataset.lead_h.len();
    let targets = |example: usize| &dataset.train.targets[example * leads..][..leads];
    let examples: Vec<usize> = (0..dataset.train.len())
        .filter(|&example| targets(example).iter().all(|target| !target.is_nan()))
        .collect();
    let windows = dataset.gather(&dataset.train, &examples);
    let shape = [examples.len(), spec.samples, spec.features.len()];
    let x = Tensor::<3>::from_data(TensorData::new(windows.clone(), shape), &Device::flex());
    let outputs: Vec<f32> = ridge.network.forward(x, None).into_data().try_to_vec().unwrap();
    let numbers = ridge.network.output.numbers();
    let residual = |row: usize, lead: usize| {
        f64::from(targets(examples[row])[lead]) - f64::from(outputs[row * leads + lead])
    };
    let count = examples.len() as f64;
    let mut terms = 0;
    for lead in [0, leads - 1] {
        for position in 0..spec.len() {
            let coefficient = f64::from(numbers.weight[position * leads + lead]);
            if coefficient == 0.0 {
                continue;
            }
            let products = (0..examples.len())
                .map(|row| residual(row, lead) * f64::from(windows[row * spec.len() + position]));
            let gradient = products.sum::<f64>() / count - penalty * coefficient;
            assert!(gradient.abs() < 1e-4, "lead {lead}, term {position}: {gradient}");
            terms += 1;
        }
        let mean = (0..examples.len()).map(|row| residual(row, lead)).sum::<f64>() / count;
        assert!(mean.abs() < 1e-4, "the constant is free of the penalty: {mean}");
    }
    // 72 samples of five quantities, and seven features of the newest sample, for two leads.
    assert_eq!(terms, 2 * (72 * 5 + 7));
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
        let options = TrainOptions { csv: Some(path), ..TrainOptions::default() };
        let error: TrainError = run(&options, &Default::default(), &mut ()).unwrap_err();
        let message = error.to_string();
        assert!(!message.contains('\n') && message.contains(name), "{message}");
    }
}
