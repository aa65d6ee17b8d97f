//! `forecastd windows`: the numbers are those that the trainer trains on, and those that the daemon gives a model.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};

use forecastd::command::windows::{self, WindowsOptions};
use forecastd_core::{Manifest, Quantity, Site};
use forecastd_model::Artefact;
use forecastd_record::{CsvMapping, Record, RecordSource, Simulation};
use forecastd_testkit::artefact;
use jiff::Timestamp;

#[derive(Debug, clap::Parser)]
struct Arguments {
    #[command(flatten)]
    windows: WindowsOptions,
}

fn options(arguments: &[&str]) -> WindowsOptions {
    use clap::Parser;
    Arguments::parse_from(std::iter::once(&"windows").chain(arguments)).windows
}

fn simulated(folder: &Path, days: usize) -> PathBuf {
    let start: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    let mut text = "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct\n".to_owned();
    for (time, values) in Simulation::new(start, 3).step_by(6).take(24 * days) {
        let [temperature, pressure, humidity] =
            [Quantity::AirTemperature, Quantity::AirPressure, Quantity::RelativeHumidity]
                .map(|quantity| values.get(quantity).unwrap());
        let _ = writeln!(text, "{time},{temperature:.2},{pressure:.2},{humidity:.1}");
    }
    let path = folder.join("simulated.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// The numbers of every array of an archive, and its manifest.
fn arrays(path: &Path) -> (HashMap<String, Vec<f32>>, Manifest) {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut of = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let manifest = Manifest::parse(std::str::from_utf8(&of("manifest.json")).unwrap()).unwrap();
    let floats = ["inputs", "targets", "newest"].map(|name| {
        let bytes = of(&format!("{name}.npy"));
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let numbers = bytes[header..].chunks_exact(4);
        (name.to_owned(), numbers.map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect())
    });
    (floats.into(), manifest)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn a_model_is_given_the_windows_that_the_daemon_would_give_it() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 40);
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, artefact::trend_file(6, 0.5)).unwrap();
    let out = folder.path().join("windows.npz");
    let [csv, model, out_text] = [&csv, &model, &out].map(|path| path.to_str().unwrap());
    let written = windows::run(&options(&["--csv", csv, "--model", model, "--out", out_text])).unwrap();
    let (arrays, manifest) = arrays(&out);
    let own = Artefact::read(Path::new(model)).unwrap().manifest;
    assert_eq!((&manifest.window, &manifest.normalisation), (&own.window, &own.normalisation));
    assert_eq!(manifest.lead_h, own.lead_h);
    // As `evaluate` and the daemon make them.
    let record = Record::read_for(&RecordSource::new(csv, None::<CsvMapping>), &own.window).unwrap();
    let (mut window, mut expected) = (vec![0.0; own.window.len()], Vec::new());
    for &origin in record.rows() {
        let site = Site::new(50.91, 11.57);
        let is_last = origin == *record.rows().last().unwrap();
        if !is_last && own.window.fill(record.history(), site, origin, &mut window).is_ok() {
            own.normalisation.apply(&mut window);
            expected.extend_from_slice(&window);
        }
    }
    // The last of each part has no observation after it within its part, and is left out.
    let count = written.parts.iter().sum::<usize>();
    assert!(
        count * own.window.len() <= expected.len()
            && expected.len() - count * own.window.len() <= 2 * own.window.len()
    );
    let first_part = written.parts[0] * own.window.len();
    assert!(bits(&arrays["inputs"][..first_part]) == bits(&expected[..first_part]));
    assert!(written.to_string().contains("6 samples × 3 features, 24 targets each"), "{written}");
}

#[cfg(feature = "train")]
#[test]
fn another_trainer_is_given_the_numbers_that_ours_learns_from() {
    use forecastd_core::TargetKind;
    use forecastd_record::DEFAULT_SPLIT;
    use forecastd_train::dataset::{Dataset, TargetSpec};

    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 60);
    let out = folder.path().join("w.npz");
    let (csv, out_text) = (csv.to_str().unwrap(), out.to_str().unwrap());
    let written = windows::run(&options(&[
        "--csv",
        csv,
        "--out",
        out_text,
        "--latitude",
        "50.91",
        "--longitude",
        "11.57",
        "--samples",
        "24",
    ]))
    .unwrap();
    let (arrays, manifest) = arrays(&out);
    let record = Record::read_for(&RecordSource::new(csv, None::<CsvMapping>), &manifest.window).unwrap();
    let target = TargetSpec {
        kind: TargetKind::DifferenceToNewest,
        lead_h: (1..=24).collect(),
        windows_within_part: false,
    };
    let dataset = Dataset::new(&record, &manifest.window, DEFAULT_SPLIT, &target, None).unwrap();
    assert_eq!(dataset.windows.normalisation(), &manifest.normalisation);
    let (ours, theirs) = (dataset.target.standard_deviation, manifest.target.standard_deviation);
    assert_eq!(ours.to_bits(), theirs.to_bits());
    let (mut inputs, mut newest) = (Vec::new(), Vec::new());
    for examples in [&dataset.train, &dataset.validation] {
        let all: Vec<usize> = (0..examples.len()).collect();
        inputs.extend(dataset.gather(examples, &all));
        newest.extend_from_slice(&examples.newest_c);
    }
    assert_eq!([dataset.train.len(), dataset.validation.len()], written.parts[..2]);
    assert!(bits(&arrays["inputs"][..inputs.len()]) == bits(&inputs));
    assert!(bits(&arrays["newest"][..newest.len()]) == bits(&newest));
}

#[test]
fn features_are_those_that_the_record_has_and_files_cannot_overwrite_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 40);
    let csv = csv.to_str().unwrap();
    let out = folder.path().join("w.npz");
    let place = ["--latitude", "52", "--longitude", "-3", "--samples", "24"];
    let arguments = [&["--csv", csv, "--out", out.to_str().unwrap()][..], &place].concat();
    let written = windows::run(&options(&arguments)).unwrap();
    let features: Vec<String> = written.spec.features.iter().map(ToString::to_string).collect();
    assert_eq!(
        features,
        [
            "air_temperature",
            "air_pressure",
            "relative_humidity",
            "dew_point_temperature",
            "time_of_day_sin",
            "time_of_day_cos",
            "time_of_year_sin",
            "time_of_year_cos"
        ]
    );
    let (_, manifest) = arrays(&out);
    assert_eq!(manifest.window.site, Some(Site::new(52.0, -3.0)));
    let error = |arguments: &[&str]| windows::run(&options(arguments)).unwrap_err().to_string();
    assert!(error(&["--csv", csv, "--out", csv]).contains("--out and --csv are"));
    let no_place = error(&["--csv", csv, "--out", out.to_str().unwrap()]);
    assert!(no_place.contains("it is not known where the station stands"), "{no_place}");
}

/// By the trainer, too: tests/trainer/refused.rs.
#[test]
fn a_place_of_the_command_line_that_the_readings_contradict_is_refused_unless_a_mapping_is_sure() {
    let folder = tempfile::tempdir().unwrap();
    // Into the summer: the wave of a winter's day is too weak to tell the hour.
    let csv = simulated(folder.path(), 180);
    let (out, model) = (folder.path().join("w.npz"), folder.path().join("model.onnx"));
    std::fs::write(&model, artefact::trend_file(6, 0.1)).unwrap();
    let mapping = folder.path().join("mapping.toml");
    let run = |command: &str, place: [&str; 3], sure: Option<&str>| {
        let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_forecastd"));
        run.env_clear().arg(command).arg("--csv").arg(&csv);
        match command {
            "windows" => run.arg("--out").arg(&out),
            _ => run.args(["--engine", "tract", "--model"]).arg(&model),
        };
        let options = ["--latitude", "--longitude", "--elevation"].into_iter().zip(place);
        run.args(options.flat_map(|(option, number)| [option, number]));
        if let Some(about) = sure {
            std::fs::write(&mapping, format!("preset = \"forecastd-csv\"\nsure = [{about:?}]\n")).unwrap();
            run.arg("--mapping").arg(&mapping);
        }
        let output = run.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() { Ok(()) } else { Err(said) }
    };
    for command in ["windows", "evaluate"] {
        assert_eq!(run(command, ["50.9", "11.6", "0"], None), Ok(()), "{command}");
        for (place, about, holds) in [
            (["50.9", "11.6", "3000"], "air_pressure", "701 are expected"),
            (["50.9", "-78.4", "0"], "time", "hours too early"),
        ] {
            let said = run(command, place, None).unwrap_err();
            let sure = format!("say in a mapping that all is right: sure = [{about:?}]");
            assert!(said.contains(holds) && said.contains(&sure), "{command}: {said}");
            assert_eq!(run(command, place, Some(about)), Ok(()), "{command}");
        }
    }
}

/// The archive's library printed beside our message, and the message said its cause twice.
#[test]
fn a_full_disk_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 30);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_forecastd"))
        .args(["windows", "--latitude", "50", "--longitude", "10", "--out", "/dev/full", "--csv"])
        .arg(&csv)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("No space left").count(), 1, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
