//! Points of InfluxDB.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use forecastd_core::Quantity;
use forecastd_import::Origin;
use forecastd_mapping::Description;
use forecastd_record::Row;

use crate::support::{Place, assert_same, message, value, weather};

const MAPPING: &str = "
    where = { station = \"garden\" }
    [columns]
    \"weather.temp\" = { quantity = \"air_temperature\", unit = \"degF\" }
    \"weather.rh\" = { quantity = \"relative_humidity\" }
    \"baro.p\" = { quantity = \"air_pressure\", unit = \"Pa\" }";

/// As an export writes them: series by series, in nanoseconds.
fn lines(rows: &[Row], station: &str) -> String {
    let mut text =
        "# DDL\nCREATE DATABASE home WITH NAME autogen\n# DML\n# CONTEXT-DATABASE: home\n".to_owned();
    for (time, values) in rows {
        let fahrenheit = value(values, Quantity::AirTemperature) * 1.8 + 32.0;
        let _ = writeln!(
            text,
            "weather,station={station},model=WH\\ 65 temp={fahrenheit},battery=\"ok, full\" {}",
            time.as_nanosecond()
        );
    }
    for (time, values) in rows {
        let _ = writeln!(
            text,
            "weather,station={station} rh={} {}",
            value(values, Quantity::RelativeHumidity),
            time.as_nanosecond()
        );
        let pascal = value(values, Quantity::AirPressure) * 100.0;
        let _ = writeln!(text, "baro,station={station} p={pascal} {}", time.as_nanosecond() + 999);
    }
    text
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn origin(paths: Vec<PathBuf>, mapping: &str) -> Origin {
    Origin::Influx { paths, mapping: Description::parse(mapping).unwrap() }
}

const TOLERANCES: [(Quantity, f64); 3] =
    [(Quantity::AirTemperature, 1e-4), (Quantity::RelativeHumidity, 1e-4), (Quantity::AirPressure, 1e-3)];

#[test]
fn fields_of_several_measurements_become_readings_though_an_export_has_them_one_behind_the_other() {
    let place = Place::new();
    let rows = weather(40);
    let text = lines(&rows, "garden") + &lines(&weather(41), "roof");
    let path = place.write("export.lp.gz", gzip(&text));
    let summary = place.import(&origin(vec![path], MAPPING)).unwrap();
    assert_eq!(summary.rows, 3 * (40 + 41) * 144);
    assert_same(&place.held(), &rows, &TOLERANCES);
}

#[test]
fn two_stations_in_one_file_are_told_apart_by_a_tag_or_refused() {
    let place = Place::new();
    let path = place.write("both.lp", lines(&weather(3), "garden") + &lines(&weather(3), "roof"));
    let undecided = MAPPING.replace("where = { station = \"garden\" }", "");
    let text = message(&place.import(&origin(vec![path], &undecided)).unwrap_err());
    assert!(
        text.contains("air_temperature is measured by several: station = \"garden\", station = \"roof\"")
            && text.contains("where = { station = \"garden\" }"),
        "{text}"
    );
}

#[test]
fn times_are_of_the_unit_that_their_size_says_or_that_the_mapping_says() {
    let rows = weather(40);
    for (per_second, time) in
        [(1, ""), (1000, "time = { column = \"time\", format = \"epoch_ms\" }\n"), (1_000_000, "")]
    {
        let place = Place::new();
        let text = rows.iter().fold(String::new(), |text, (time, values)| {
            let stamp = time.as_second() * per_second;
            text + &format!("w t={} {stamp}\n", value(values, Quantity::AirTemperature))
        });
        let path = place.write("points.lp", text);
        let mapping = format!("{time}[columns]\nt = {{ quantity = \"air_temperature\" }}\n");
        place.import(&origin(vec![path], &mapping)).unwrap();
        assert_same(&place.held(), &rows, &TOLERANCES[..1]);
    }
}

#[test]
fn points_that_cannot_be_read_are_counted_with_the_first_and_fields_that_are_not_there_are_named() {
    let place = Place::new();
    let rows = weather(3);
    let text = lines(&rows, "garden") + "weather,station=garden temp=50\nweather,station=garden temp\n";
    // A line of more than a MiB is one, though what its end holds would be points.
    let long = format!("weather,station=garden note=\"{}\"", "x, weather temp=50 1 ".repeat(60_000));
    let path = place.write("points.lp", text + &long + "\n");
    let summary = place.import(&origin(vec![path.clone()], MAPPING)).unwrap();
    let refused = &summary.refused[0];
    assert_eq!((refused.reason, refused.count), ("unreadable", 3));
    assert!(
        refused.first.contains(&format!("points.lp:{}: no time", 3 * rows.len() + 5)),
        "{}",
        refused.first
    );
    let other = "[columns]\n\"weather.temperature\" = { quantity = \"air_temperature\" }\n";
    let text = message(&place.import(&origin(vec![path], other)).unwrap_err());
    assert!(
        text.contains("not one with a field that the mapping names; found baro.p, weather.battery"),
        "{text}"
    );
}
