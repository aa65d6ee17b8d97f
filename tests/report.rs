//! The page of pictures that scoring and training write.

use std::path::{Path, PathBuf};
use std::process::Command;

use forecastd_core::Quantity;
use forecastd_record::Simulation;
use jiff::Timestamp;

/// Hourly readings of a simulated station.
fn simulated(folder: &Path, days: usize) -> PathBuf {
    let start: Timestamp = "2001-01-01T00:00:00Z".parse().unwrap();
    let quantities = [
        Quantity::AirTemperature,
        Quantity::AirPressure,
        Quantity::RelativeHumidity,
        Quantity::DewPointTemperature,
        Quantity::WindSpeed,
    ];
    let mut text = String::from(
        "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct,dew_point_c,wind_speed_m_s\n",
    );
    for (time, values) in Simulation::new(start, 3).step_by(6).take(24 * days) {
        let fields: Vec<String> =
            quantities.iter().map(|&quantity| format!("{:.2}", values.get(quantity).unwrap())).collect();
        text += &format!("{time},{}\n", fields.join(","));
    }
    let path = folder.join("<simulated> & \"quoted\".csv");
    std::fs::write(&path, text).unwrap();
    path
}

#[cfg(feature = "train")]
#[test]
fn the_test_part_stands_before_the_validation_part_and_the_verdict_before_both() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 120);
    let (page, out) = (folder.path().join("report.html"), folder.path().join("ridge.onnx"));
    let place = ["--latitude", "50", "--longitude", "10", "--ship-anyway"];
    let files = [("--csv", &csv), ("--report", &page), ("--out", &out)];
    let files = files.map(|(option, path)| [option, path.to_str().unwrap()]);
    run(&[&["train", "--quiet", "--experiment", "ridge"], &place[..], &files.concat()].concat());
    let page = std::fs::read_to_string(page).unwrap();
    assert_well_formed(&page);
    let places = ["class=\"verdict ", "Forecasts of the test part", "Forecasts of the validation part"]
        .map(|text| page.find(text).unwrap_or_else(|| panic!("{text}")));
    assert!(places.is_sorted(), "{places:?}");
    assert!(page.contains("which it had never seen"));
}

/// Fails unless every tag that is opened is closed in order, and nothing is fetched from elsewhere.
fn assert_well_formed(page: &str) {
    let without_end = ["!doctype", "meta", "line", "rect", "path", "tr", "td", "th"];
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) if without_end.contains(&name) => {}
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}>"),
            None if without_end.contains(&name) || tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    for foreign in ["http:", "https:", "src=", "url(", "@import", "<script"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for drawn in page.split(" d=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(!drawn.is_empty() && !drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    }
}

fn run(arguments: &[&str]) -> std::process::Output {
    let output = Command::new(env!("CARGO_BIN_EXE_forecastd")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn scoring_shows_the_record_and_the_forecasts_on_one_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 60);
    let page = folder.path().join("report.html");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/jena.onnx");
    let (file, folder) = (page.to_str().unwrap(), folder.path().join("pictures"));
    let arguments =
        ["evaluate", "--model", model, "--csv", csv.to_str().unwrap(), "--report", file, "--pictures"];
    run(&[&arguments[..], &[folder.to_str().unwrap()]].concat());
    let alone = std::fs::read_to_string(folder.join("whole-mean-absolute-error-by-lead.svg")).unwrap();
    assert_well_formed(&alone.replace("http://www.w3.org/2000/svg", ""));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 6);
    let page = std::fs::read_to_string(page).unwrap();
    assert_well_formed(&page);
    assert!(page.contains("&lt;simulated&gt; &amp; &quot;quoted&quot;.csv"));
    for picture in [
        "Temperature over the whole record",
        "Temperature over the first ten days",
        "Mean absolute error by lead",
        "Forecasts and observations",
        "One forecast",
        "Error saved by hour",
        "Error saved by month",
        "Calibration of the quantiles",
    ] {
        assert!(page.contains(&format!("aria-label=\"{picture}\"")), "{picture}");
    }
}

#[cfg(feature = "train")]
#[test]
fn training_shows_the_losses_of_every_experiment_and_keeps_the_test_part_shut() {
    let folder = tempfile::tempdir().unwrap();
    let csv = simulated(folder.path(), 120);
    let page = folder.path().join("report.html");
    let output = run(&[
        "train",
        "--quiet",
        "--experiment",
        "persistence,ridge,dense,station-pair",
        "--epochs",
        "2",
        "--steps",
        "4",
        "--latitude",
        "50",
        "--longitude",
        "10",
        "--csv",
        csv.to_str().unwrap(),
        "--report",
        page.to_str().unwrap(),
    ]);
    let page = std::fs::read_to_string(page).unwrap();
    assert_well_formed(&page);
    for picture in
        ["Loss of dense", "Loss of station-pair, dense branch", "Loss of station-pair, recurrent branch"]
    {
        assert!(page.contains(&format!("aria-label=\"{picture}\"")), "{picture}");
    }
    assert!(page.contains("the validation part") && !page.contains("Forecasts of the test part"));
    let verdict = page.find("class=\"verdict ").unwrap();
    assert!(verdict < page.find("<h2>").unwrap(), "the verdict is read first");
    assert!(page.contains("the test part is kept shut until a model is written"));
    assert!(page.contains("<td>persistence<td>"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("ridge")), "{text}");
}
