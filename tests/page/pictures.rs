//! The pictures of the page in `docs/`, made of a real record that ends now:
//!
//! `FORECASTD_DATA=… cargo test --workspace --features train --test page -- --ignored pictures`

use std::path::{Path, PathBuf};

use forecastd_core::Quantity;
use forecastd_record::{CsvReader, Row};
use forecastd_testkit::browser::{Browser, DESK, Look, PHONE};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support::installation::Installation;
use crate::world::World;

/// Days of the record that are replayed.
const DAYS: i64 = 45;
/// The year of the record.
const RECORD_YEAR: i32 = 2020;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The rows of the record up to this time of its year, as many days as are wanted, moved so that the last is of the last ten
/// minutes: sun and season stay what they were.
fn rows(days: i64) -> Vec<Row> {
    let data = std::env::var_os("FORECASTD_DATA").expect("FORECASTD_DATA names the folder with the records");
    let now = Timestamp::from_second(Timestamp::now().as_second() / 600 * 600).unwrap();
    let years = i32::from(TimeZone::UTC.to_datetime(now).year()) - RECORD_YEAR;
    let shift = SignedDuration::from_hours(24 * (f64::from(years) * 365.25).round() as i64);
    let span = now - shift - SignedDuration::from_hours(24 * days)..=now - shift;
    let reader = CsvReader::open(&Path::new(&data).join("jena_2020_10min.csv"), None).unwrap();
    let mut rows: Vec<Row> = reader.filter_map(Result::ok).filter(|(time, _)| span.contains(time)).collect();
    assert!(!rows.is_empty(), "the record begins in January: take the pictures later in the year");
    rows.sort_by_key(|(time, _)| *time);
    rows.into_iter().map(|(time, values)| (time + shift, values)).collect()
}

async fn send(world: &World, station: &str, rows: &[Row], warmer_c: f32) {
    for (time, values) in rows {
        let values = values.iter().map(|(quantity, value)| {
            let value = if quantity == Quantity::AirTemperature { value + warmer_c } else { value };
            format!(",\"{}\":{value}", quantity.key())
        });
        let reading = format!("{{\"time\":\"{time}\"{}}}", values.collect::<String>());
        world.home.hand_in(&format!("weather/{station}/reading"), reading).await;
    }
    let newest = rows.last().unwrap().0.to_string();
    let path = format!("/api/v1/stations/{station}");
    world.reaches(&path, |found| found["forecast"]["issued_at"] == newest.as_str()).await;
}

fn model(name: &str) -> String {
    format!("{}/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

fn real(installation: Installation) -> Installation {
    installation
        .set("model.path", model("world"))
        .set("forecast.experts", true)
        .set("forecast.threshold_c", 5.0)
}

async fn take(world: &World, name: &str, look: Look, station: Option<&str>, shows: &str) {
    let browser = Browser::start(look);
    browser.go(&world.page(station));
    browser.shows(shows).await;
    std::fs::write(docs().join(format!("{name}.png")), browser.picture()).unwrap();
    if let Some(colours) =
        name.strip_prefix("page-").filter(|_| look.width == DESK.width && station == Some("jena"))
    {
        let path = docs().join(format!("front-{colours}.png"));
        std::fs::write(path, browser.picture_of_the_first_card()).unwrap();
    }
    assert!(browser.console().is_empty(), "{:?}", browser.console());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it writes the pictures in docs/, from a real record"]
async fn pictures() {
    let world = World::start_with(real).await;
    let all = rows(DAYS);
    send(&world, "jena", &all, 0.0).await;
    let past = "forecast 24 hours before";
    take(&world, "page-light", DESK, Some("jena"), past).await;
    take(&world, "page-dark", Look { is_dark: true, ..DESK }, Some("jena"), past).await;
    take(&world, "page-phone", PHONE, Some("jena"), past).await;

    let week = &all[all.len() - 7 * 144..];
    for (station, warmer_c) in [("harbour", 2.5), ("orchard", -1.25), ("roof", 0.75), ("valley", -3.5)] {
        send(&world, station, week, warmer_c).await;
    }
    send(&world, "allotment", &all[all.len() - 30..], 1.0).await;
    take(&world, "page-stations", DESK, None, "6 stations").await;

    // The model for any place speaks from the first reading on; one of a site's own looks at three days.
    let own = World::start_with(|installation| real(installation).set("model.path", model("jena"))).await;
    send(&own, "allotment", &all[all.len() - 40..], 1.0).await;
    take(&own, "page-warm-up", DESK, Some("allotment"), "Warming up.").await;

    let mut stale = World::start_with(real).await;
    send(&stale, "orchard", &week[..week.len() - 36], -1.25).await;
    stale.restart_without_states().await;
    stale.reaches("/api/v1/stations/orchard", |found| found["status"]["state"] == "stale").await;
    take(&stale, "page-stale", DESK, Some("orchard"), past).await;
}
