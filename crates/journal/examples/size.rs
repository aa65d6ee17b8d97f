//! Measures the journal: bytes for each reading with its forecast, and how quickly many stations are restored.
//!
//! `cargo run --release -p forecastd-journal --example size`

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use forecastd_core::{Batch, Entry, Forecast, LeadForecast, Quantity, Source, StationName, Values};
use forecastd_journal::{Journal, JournalError, Observer, RestoreLimits, Retention, Store};
use jiff::{SignedDuration, Timestamp};

/// Hears of every transaction.
struct Committed(mpsc::Sender<(u64, Duration)>);

impl Observer for Committed {
    fn committed(&self, up_to: u64, _: usize, duration: Duration) {
        // The receiver may be gone at the end.
        let _ = self.0.send((up_to, duration));
    }

    fn failed(&self, error: &JournalError, _: u64, _: usize, _: usize) {
        eprintln!("{error}");
    }

    fn recreated(&self) {}

    fn size(&self, _: u64) {}
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    /// A number of hundredths within the range.
    fn next(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = (self.0 >> 40) as f32 / (1_u64 << 24) as f32;
        ((low + part * (high - low)) * 100.0).round() / 100.0
    }
}

/// A reading of seven quantities, and a forecast of 24 leads with intervals.
fn pair(numbers: &mut Numbers, station: &StationName, time: Timestamp) -> [Entry; 2] {
    let mut values = Values::NONE;
    for (quantity, low, high) in [
        (Quantity::AirTemperature, -20.0, 35.0),
        (Quantity::AirPressure, 930.0, 1020.0),
        (Quantity::RelativeHumidity, 20.0, 100.0),
        (Quantity::DewPointTemperature, -25.0, 20.0),
        (Quantity::WindSpeed, 0.0, 12.0),
        (Quantity::WindSpeedOfGust, 0.0, 20.0),
        (Quantity::WindFromDirection, 0.0, 360.0),
    ] {
        values.set(quantity, numbers.next(low, high));
    }
    let newest_c = numbers.next(-20.0, 35.0);
    let leads = (1..=24_u32).map(|lead_h| {
        let temperature_c = numbers.next(-20.0, 35.0);
        LeadForecast {
            lead_h,
            valid_at: time + SignedDuration::from_hours(i64::from(lead_h)),
            temperature_c,
            interval_c: Some((temperature_c - 2.5, temperature_c + 2.5)),
            quantiles_c: None,
        }
    });
    let forecast = Forecast {
        station: station.clone(),
        issued_at: time,
        origin: time,
        temperature_c: newest_c,
        model: "jena-climate@0123456789ab".to_owned(),
        source: Source::Model,
        leads: leads.collect(),
        day_ahead: None,
    };
    let reading = Entry::Reading {
        station: station.clone(),
        time,
        values,
        slot_begins: time - SignedDuration::from_secs(600),
    };
    [reading, Entry::Forecast(Box::new(forecast))]
}

/// Writes `readings` readings of each of `stations` stations, as they come in time, and says how large the file is.
fn write(
    stations: usize,
    readings: i64,
    with_state: usize,
) -> Result<(tempfile::TempDir, u64), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.sqlite");
    let names: Vec<StationName> = (0..stations)
        .map(|station| StationName::new(&format!("station {station}")))
        .collect::<Result<_, _>>()?;
    let mut numbers = Numbers(1);
    let (sender, committed) = mpsc::channel();
    let retention = Retention { readings_days: 36_500, forecasts_days: 36_500 };
    let journal = Journal::start(Store::new(&path), retention, Committed(sender))?;
    let started = Instant::now();
    let mut id = 0;
    for slot in 1..=readings {
        let time = Timestamp::from_second(1_700_000_000 - 1_700_000_000 % 600 + slot * 600)?;
        for name in &names {
            let mut entries: Vec<Entry> = pair(&mut numbers, name, time).into();
            if with_state > 0 {
                entries.push(Entry::State {
                    station: name.clone(),
                    state: vec![7; with_state],
                    readings_from: Timestamp::from_second(1_700_000_000)?,
                    forecasts_from: Timestamp::from_second(1_700_000_000)?,
                    active_at: time,
                });
            }
            id += 1;
            journal.write(Batch { id, entries });
            while !journal.has_room() {
                committed.recv()?;
            }
        }
    }
    journal.close(Duration::from_secs(60))?;
    let elapsed = started.elapsed();
    let bytes = std::fs::metadata(&path)?.len();
    println!("{id} readings with forecast of {stations} stations written in {elapsed:.1?}, {bytes} bytes");
    Ok((folder, bytes))
}

fn main() -> Result<(), Box<dyn Error>> {
    for (stations, readings) in [(1, 50_000), (100, 1000)] {
        let (_folder, bytes) = write(stations, readings, 0)?;
        let each = bytes as f64 / (stations as f64 * readings as f64);
        println!("  {each:.1} bytes each");
    }
    let (folder, _) = write(100_000, 3, 500)?;
    let mut store = Store::new(&folder.path().join("journal.sqlite"));
    let limits = RestoreLimits {
        max_stations: 1_000_000,
        history_s: 86_400,
        forecasts_s: 86_400,
        not_after: Timestamp::from_second(1_800_000_000)?,
    };
    let started = Instant::now();
    let report = store.restore(limits)?;
    let readings: usize = report.stations.iter().map(|restored| restored.readings.len()).sum();
    println!(
        "{} stations with {readings} readings restored in {:.2?}",
        report.stations.len(),
        started.elapsed()
    );
    Ok(())
}
