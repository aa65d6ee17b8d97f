//! CSV files.

use std::fmt::Write as _;

use forecastd_core::Quantity;
use forecastd_import::Origin;
use forecastd_record::{CsvMapping, RecordSource, Row};

use crate::support::{HEIGHT_M, Place, assert_same, at, message, value, weather};

fn text(rows: &[Row]) -> String {
    let mut text = "time,air_temperature_c,air_pressure_hpa,relative_humidity_pct\n".to_owned();
    for (time, values) in rows {
        let of = |quantity| value(values, quantity);
        let _ = writeln!(
            text,
            "{time},{},{},{}",
            of(Quantity::AirTemperature),
            of(Quantity::AirPressure),
            of(Quantity::RelativeHumidity)
        );
    }
    text
}

const TOLERANCES: [(Quantity, f64); 3] =
    [(Quantity::AirTemperature, 0.0), (Quantity::RelativeHumidity, 0.0), (Quantity::AirPressure, 0.0)];

#[test]
fn several_files_that_overlap_become_one_history_and_the_overlap_is_said() {
    let place = Place::new();
    let rows = weather(60);
    place.write("b-2024-04.csv", text(&rows[40 * 144..]));
    place.write("a-2024-03.csv", text(&rows[..45 * 144]));
    let source = RecordSource::new(place.path("?-2024-*.csv"), None);
    let summary = place.import(&Origin::Csv(source)).unwrap();
    assert_eq!(summary.rows, (45 + 20) * 144);
    let said = summary.to_string();
    assert!(said.contains("a-2024-03.csv and b-2024-04.csv overlap from 2024-04-10T00:00:00Z"), "{said}");
    assert_same(&place.held(), &rows, &TOLERANCES);
}

#[test]
fn pressure_at_sea_level_is_brought_to_the_height_of_the_station_that_the_configuration_says() {
    let place = Place::new();
    let text: String = (0..400)
        .map(|hour: i64| {
            let time = at(1_704_067_200 + 3600 * hour).to_string().replace('T', " ").replace('Z', "");
            let wave = (std::f64::consts::TAU * (hour as f64 - 14.0) / 24.0).cos();
            format!("{time},{:.1},1013.2\n", 8.0 + 5.0 * wave + (hour % 7) as f64 / 10.0)
        })
        .collect();
    // The header of Meteostat.
    let path = place.write("meteostat.csv", format!("time,temp,pres\n{text}"));
    place.import(&Origin::Csv(RecordSource::new(&path, None))).unwrap();
    let held = place.held();
    assert_eq!(held.len(), 400);
    for (time, values) in &held {
        let pressure = f64::from(values.get(Quantity::AirPressure).unwrap());
        // Between 0 and 20 °C an air column has 8.0 to 8.6 km of scale height.
        let [low, high] = [8000.0, 8600.0].map(|scale| 1013.2 * (-HEIGHT_M / scale).exp());
        assert!((low..=high).contains(&pressure), "{time}: {pressure} is not within {low} and {high}");
    }
}

#[test]
fn local_times_are_brought_to_utc_by_their_zone_and_asked_for_without() {
    let place = Place::new();
    let rows = weather(60);
    let mut text = "when,temp\n".to_owned();
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    for (time, values) in &rows {
        let local = zone.to_datetime(*time).strftime("%Y-%m-%d %H:%M");
        let _ = writeln!(text, "{local},{}", value(values, Quantity::AirTemperature));
    }
    let path = place.write("local.csv", text);
    let import = |zone: &str| {
        let mapping = format!(
            "site = {{ latitude_deg = 50.9, longitude_deg = 11.6 }}\ntime = {{ column = \"when\"{zone} }}\n\
             [columns]\ntemp = {{ quantity = \"air_temperature\" }}\n"
        );
        let mapping = Some(CsvMapping::parse(&mapping).unwrap());
        place.import(&Origin::Csv(RecordSource::new(&path, mapping)))
    };
    let error = message(&import("").unwrap_err());
    assert!(error.contains("has no offset from UTC: set time_zone"), "{error}");
    import(", time_zone = \"Europe/Berlin\"").unwrap();
    assert_same(&place.held(), &rows, &TOLERANCES[..1]);
}
