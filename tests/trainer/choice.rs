//! What is chosen, and from which of a record's quantities.

use std::sync::atomic::AtomicBool;

use forecastd_core::Refit;
use forecastd_model::Artefact;
use forecastd_train::options::Protocol;
use forecastd_train::{TrainError, TrainOptions, run};
use jiff::SignedDuration;

use crate::{few_steps, invented};

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
fn a_model_file_and_a_report_say_that_forecastd_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let csv = invented(folder.path());
    let [out, report] = ["model.onnx", "report.html"].map(|name| folder.path().join(name));
    let (written, drawn) = (Some(out.clone()), Some(report.clone()));
    let options = TrainOptions { out: written, report: drawn, ..few_steps(&csv, &["dense"]) };
    run(&options, &AtomicBool::default(), &mut ()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(Artefact::read(&out).unwrap().manifest.tool, format!("forecastd {version}"));
    let model =
        <forecastd_model::onnx::Model as prost::Message>::decode(&*std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((model.producer_name.as_str(), model.producer_version.as_str()), ("forecastd", version));
    let page = std::fs::read_to_string(&report).unwrap();
    assert!(page.contains(&format!("<footer>Made by forecastd {version}.</footer>")));
}

#[test]
fn the_wind_s_direction_is_used_where_nearly_every_reading_has_it() {
    use forecastd_core::Feature;

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
fn what_repeats_itself_every_day_leaves_nothing_to_gain() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(invented(folder.path())).unwrap();
    let same = |(line, row): (usize, &str)| {
        let mut cells: Vec<String> = row.split(',').map(str::to_owned).collect();
        if line > 0 {
            let hour = (line % 24) as f64;
            cells[2] = format!("{:.2}", 10.0 + 4.0 * ((hour - 10.0) / 24.0 * std::f64::consts::TAU).sin());
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
    assert!(!page.contains("refitted") && !page.contains("before it was trained"), "nothing was refitted");
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
