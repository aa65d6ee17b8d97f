//! Tests of the journal as a whole, and what they share.

mod history;
mod hostile;
mod import;
mod migration;
mod store;
mod writer;

use std::time::Duration;

use jiff::Timestamp;

use forecastd_core::{Batch, Entry, Forecast, LeadForecast, Quantity, Source, StationName, Values};

use crate::{RestoreLimits, RestoreReport, Store};

/// Long enough for any lock that a test holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything, as seen on 2023-11-14.
const ALL: RestoreLimits = RestoreLimits {
    max_stations: usize::MAX,
    history_s: 1_000_000_000,
    forecasts_s: 1_000_000_000,
    not_after: Timestamp::constant(1_700_000_000, 0),
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(station: &str) -> StationName {
    StationName::new(station).unwrap()
}

fn temperature(value: f32) -> Values {
    let mut values = Values::NONE;
    values.set(Quantity::AirTemperature, value);
    values
}

fn reading(station: &str, second: i64, value: f32) -> Entry {
    Entry::Reading {
        station: name(station),
        time: at(second),
        values: temperature(value),
        slot_begins: at(second),
    }
}

fn forecast(station: &str, origin: i64) -> Forecast {
    let lead = |lead_h: u32, interval_c| LeadForecast {
        lead_h,
        valid_at: at(origin + 3600 * i64::from(lead_h)),
        temperature_c: -1.5,
        interval_c,
        quantiles_c: None,
    };
    Forecast {
        station: name(station),
        issued_at: at(origin - 60),
        origin: at(origin),
        temperature_c: 0.71,
        model: "jena@0".to_owned(),
        source: Source::Model,
        leads: vec![lead(1, Some((-2.25, 2.5))), lead(24, None)],
        day_ahead: None,
    }
}

fn state(station: &str, state: &[u8], from: i64, active_at: i64) -> Entry {
    Entry::State {
        station: name(station),
        state: state.to_vec(),
        readings_from: at(from),
        forecasts_from: at(from),
        active_at: at(active_at),
    }
}

/// Writes entries as one batch; every one of them must be accepted.
fn write(store: &mut Store, entries: impl Into<Vec<Entry>>) {
    let written = store.write(&[Batch { id: 1, entries: entries.into() }], PATIENCE).unwrap();
    assert_eq!(written.refused, 0);
}

fn restore(store: &mut Store) -> RestoreReport {
    store.restore(ALL).unwrap()
}
