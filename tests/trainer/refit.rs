//! A model that is refitted.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use forecastd::command::evaluate::{self, EvaluateError, EvaluateOptions};
use forecastd_core::Refit;
use forecastd_model::{Artefact, EngineChoice};
use forecastd_train::{TrainOptions, run};

use crate::{few_steps, invented};

/// The graph of a model file, without what is said of it.
fn graph(path: &std::path::Path) -> forecastd_model::onnx::Graph {
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
        let trained = |csv: &PathBuf, refit: Option<Refit>| {
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
        let plain = trained(&csv, None);
        let validation = trained(&csv, Some(Refit::Validation));
        let whole = trained(&csv, Some(Refit::Whole));
        assert!(plain != validation && validation != whole, "{experiment}");
        if experiment == "dense" {
            // The others' penalty and interval fit the validation part.
            assert!(plain == trained(&other_validation, None), "{experiment}");
        }
        assert!(plain == trained(&other_test, None), "{experiment}");
        assert!(validation != trained(&other_validation, Some(Refit::Validation)), "{experiment}");
        assert!(validation == trained(&other_test, Some(Refit::Validation)), "{experiment}");
        assert!(whole != trained(&other_test, Some(Refit::Whole)), "{experiment}");
    }
}

#[test]
fn a_model_that_was_refitted_is_evaluated_on_what_it_has_not_seen() {
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
            model: Some(out.clone()),
            csv: vec![csv.clone()],
            mapping: None,
            site: Default::default(),
            engine: EngineChoice::Tract,
            onnxruntime_library: None,
            online: false,
            specialist: Vec::new(),
            format: evaluate::EvaluationFormat::Table,
            predictions: None,
            forecasts: None,
            forecast_columns: Vec::new(),
            verif: None,
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
    assert_eq!(refit[0].2, plain[0].2, "the validation part was scored with the model before");
    let evaluated = evaluate().unwrap().parts;
    assert_eq!(evaluated.len(), 1);
    assert_eq!((evaluated[0].part.name(), evaluated[0].leads[0].model.mae()), ("test", refit[1].2));
    assert_ne!(refit[1].2, plain[1].2);

    let whole = train(Some(Refit::Whole));
    assert_eq!(parts(&whole), pair(true, true));
    assert_eq!(whole[1].2, plain[1].2, "the test part was scored with the model before");
    let error = evaluate().unwrap_err();
    assert!(matches!(error, EvaluateError::TrainedOn { .. }), "{error}");
}
