//! `forecastd evaluate` beside the forecasts of somebody else, and in the format of WFRT/verif.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use forecastd_core::Quantity;
use forecastd_record::Simulation;
use forecastd_testkit::artefact;
use jiff::Timestamp;
use serde_json::Value;

/// Hourly readings of a simulated station, by second.
fn simulated(folder: &Path, days: usize) -> (PathBuf, BTreeMap<i64, f64>) {
    let start: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    let mut text = "time,air_temperature_c,air_pressure_hpa\n".to_owned();
    let mut observed = BTreeMap::new();
    for (time, values) in Simulation::new(start, 3).step_by(6).take(24 * days) {
        let temperature = format!("{:.2}", values.get(Quantity::AirTemperature).unwrap());
        let _ = writeln!(text, "{time},{temperature},{:.2}", values.get(Quantity::AirPressure).unwrap());
        observed.insert(time.as_second(), temperature.parse().unwrap());
    }
    let path = folder.join("simulated.csv");
    std::fs::write(&path, text).unwrap();
    (path, observed)
}

struct Setting {
    folder: tempfile::TempDir,
    csv: PathBuf,
    model: PathBuf,
    observed: BTreeMap<i64, f64>,
}

/// A record, and a model that says `newest + 0.1 · lead` with an interval of 2.005 °C to either side: no value lies on its end.
fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let (csv, observed) = simulated(folder.path(), 40);
    let model = folder.path().join("model.onnx");
    std::fs::write(&model, artefact::trend_file_with_interval(6, 0.1, 2.005)).unwrap();
    Setting { folder, csv, model, observed }
}

impl Setting {
    fn evaluate(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_forecastd"))
            .env_clear()
            .arg("evaluate")
            .args(["--engine", "tract", "--model", self.model.to_str().unwrap()])
            .args(["--csv", self.csv.to_str().unwrap()])
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A forecast of somebody beside what was observed.
struct Compared {
    error: f64,
    newest: f64,
    observed: f64,
    is_within: bool,
}

/// Somebody's forecasts: every six hours, for some leads, a degree too warm at first and wilder later.
fn theirs(observed: &BTreeMap<i64, f64>) -> Vec<(i64, i64, f64, f64, f64)> {
    let mut forecasts = Vec::new();
    for (index, &origin) in observed.keys().filter(|second| *second % 21_600 == 0).enumerate() {
        for lead_h in [1, 6, 24, 30] {
            let Some(value) = observed.get(&(origin + lead_h * 3600)) else { continue };
            let error = if lead_h == 1 { 1.0 } else { ((index * 7 + lead_h as usize) % 11) as f64 - 4.0 };
            let middle = value + error;
            forecasts.push((origin, lead_h, middle, middle - 3.5, middle + 3.5));
        }
    }
    forecasts
}

#[test]
fn forecasts_of_others_are_scored_over_the_cases_that_the_model_has_too() {
    let setting = setting();
    let all = theirs(&setting.observed);
    let mut text = "init;lead;t2m;p10;p90\n".to_owned();
    for (origin, lead_h, middle, low, high) in &all {
        let init = Timestamp::from_second(*origin).unwrap();
        let _ = writeln!(text, "{init};{lead_h};{middle:.3};{low:.3};{high:.3}");
    }
    let file = setting.write("theirs.csv", &(text + "2001-01-01T06:00:00Z;2;warm;;\n"));
    let columns = "temperature_c=t2m,q0.1=p10,q0.9=p90";
    let json =
        setting.evaluate(&["--forecasts", &file, "--forecast-columns", columns, "--format", "json"]).unwrap();
    let evaluation: Value = serde_json::from_str(&json).unwrap();
    let beside = &evaluation["forecasts"];
    assert_eq!((&beside["given"], &beside["skipped"]), (&Value::from(all.len()), &Value::from(1)));

    // Worked out from what was observed: the model's window spans five hours, and it has no lead of 30 h.
    let first = *setting.observed.keys().next().unwrap() + 5 * 3600;
    let mut matched = 0;
    for lead_h in [1, 6, 24] {
        let cases: Vec<_> = all
            .iter()
            .filter(|(origin, lead, ..)| *lead == lead_h && *origin >= first)
            .map(|(origin, lead, middle, low, high)| {
                let observed = setting.observed[&(origin + lead * 3600)];
                Compared {
                    error: middle - observed,
                    newest: setting.observed[origin],
                    observed,
                    is_within: (*low..=*high).contains(&observed),
                }
            })
            .collect();
        matched += cases.len();
        let mean = |of: &dyn Fn(&Compared) -> f64| cases.iter().map(of).sum::<f64>() / cases.len() as f64;
        let model = |case: &Compared| case.newest + 0.1 * lead_h as f64 - case.observed;
        let lines = beside["leads"].as_array().unwrap();
        let line = lines.iter().find(|line| line["lead_h"] == lead_h).unwrap();
        assert_eq!(line["cases"], cases.len());
        for (key, expected) in [
            ("forecasts_mae_c", mean(&|case| case.error.abs())),
            ("forecasts_rmse_c", mean(&|case| case.error * case.error).sqrt()),
            ("forecasts_bias_c", mean(&|case| case.error)),
            ("forecasts_coverage", mean(&|case| f64::from(u8::from(case.is_within)))),
            ("model_mae_c", mean(&|case| model(case).abs())),
            ("model_bias_c", mean(&|case| model(case))),
            ("model_coverage", mean(&|case| f64::from(u8::from(model(case).abs() <= 2.005)))),
            ("persistence_mae_c", mean(&|case| (case.newest - case.observed).abs())),
        ] {
            let found = line[key].as_f64().unwrap();
            assert!((found - expected).abs() < 2e-3, "{key} at {lead_h} h: {found}, not {expected}");
        }
    }
    assert_eq!(beside["matched"], matched);

    let table = setting.evaluate(&["--forecasts", &file, "--forecast-columns", columns]).unwrap();
    assert!(table.contains(&format!("theirs.csv beside the model: {matched} of {} forecasts", all.len())));
    let levels = "cover is by their interval of 0.1 to 0.9, and by the model's of 0.1 to 0.9";
    assert!(table.contains(levels), "{table}");
    assert!(table.contains("note: 1 rows are no forecasts, the first: line "), "{table}");
    let csv =
        setting.evaluate(&["--forecasts", &file, "--forecast-columns", columns, "--format", "csv"]).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3);
}

#[test]
fn our_forecasts_in_the_format_of_verif_and_in_our_own_are_scored_as_the_models_own() {
    let setting = setting();
    let path = |name: &str| setting.folder.path().join(name).to_str().unwrap().to_owned();
    let (verif, predictions) = (path("verif.txt"), path("predictions.csv"));
    setting.evaluate(&["--verif", &verif, "--predictions", &predictions]).unwrap();
    let text = std::fs::read_to_string(&verif).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("# variable: Temperature"));
    assert_eq!(lines.next(), Some("# units: $^oC$"));
    assert_eq!(lines.next(), Some("unixtime leadtime location lat lon altitude obs fcst q0.1 q0.9"));
    let mut count = 0;
    for line in lines {
        let numbers: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
        let [unixtime, leadtime, location, lat, lon, altitude, obs, fcst, low, high] = numbers[..] else {
            panic!("ten columns: {line}")
        };
        assert_eq!((location, lat, lon, altitude), (0.0, 50.91, 11.57, -999.0));
        let observed = |second: f64| setting.observed[&(second as i64)];
        assert!((observed(unixtime + 3600.0 * leadtime) - obs).abs() < 1e-3);
        assert!((observed(unixtime) + 0.1 * leadtime - fcst).abs() < 1e-3);
        assert!((fcst - low - 2.005).abs() < 1e-3 && (high - fcst - 2.005).abs() < 1e-3);
        count += 1;
    }
    assert!(count > 20_000, "{count} cases");
    for file in [&verif, &predictions] {
        let json = setting.evaluate(&["--forecasts", file, "--format", "json"]).unwrap();
        let evaluation: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(evaluation["forecasts"]["matched"], count, "{file}");
        for line in evaluation["forecasts"]["leads"].as_array().unwrap() {
            for score in ["mae_c", "rmse_c", "bias_c", "coverage"] {
                let of = |whose: &str| line[format!("{whose}_{score}")].as_f64().unwrap();
                assert!((of("forecasts") - of("model")).abs() < 1e-4, "{score}: {line}");
            }
        }
    }
}

#[test]
fn forecasts_that_cannot_be_compared_say_why_in_one_line() {
    let setting = setting();
    for (text, message) in [
        ("", "no header line"),
        ("issued_at,temperature_c\n", "no column of the lead in hours, or the time that a forecast is for"),
        ("issued_at,lead_h,temperature_c\n", "no row is a forecast"),
        (
            "issued_at,lead_h,temperature_c\n1999-01-01T00:00:00Z,6,3\n",
            "none of 1 is one that the model makes too and that was observed, such as the first, issued at \
             1999-01-01T00:00:00Z for 1999-01-01T06:00:00Z; the record is evaluated from 2001-01-01T05:00:00Z",
        ),
    ] {
        let file = setting.write("theirs.csv", text);
        let error = setting.evaluate(&["--forecasts", &file]).unwrap_err();
        assert!(error.contains(message) && error.lines().count() == 1, "{error}");
    }
    let file = setting.write("theirs.csv", "init,lead,t2m\n");
    let error = setting.evaluate(&["--forecasts", &file, "--verif", &file]).unwrap_err();
    assert!(error.contains("--verif and --forecasts are"), "{error}");
}
