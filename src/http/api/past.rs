//! What was observed, what was forecast, and how near that was.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use forecastd_core::{Grid, Observations, PastForecast, Quantity, StationName, Values, daily_scores};
use forecastd_journal::{History, JournalError, Span};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::form::{Form, csv_answer, json};
use super::parameters::Parameters;
use super::problem::Problem;
use super::station;
use crate::error_chain::chain;
use crate::http::Shared;
use crate::wire::api;

/// Rows in one answer, at most, and unless another number is asked for.
const MAX_ROWS: u32 = 10_000;
/// Rows that are read for one answer: one every five minutes of a year, some ten megabytes.
const READ_ROWS: usize = 110_000;
/// Without a beginning, answers are of so much before the end.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(48);
/// The longest lead.
const MAX_LEAD_H: u32 = 240;
/// Without a lead, forecasts for a day ahead are meant.
const DEFAULT_LEAD_H: u32 = 24;
const MAX_DAYS: u32 = 366;
const DEFAULT_DAYS: u32 = 30;

/// A station, and what its past is read with.
struct Asked {
    station: StationName,
    newest: Timestamp,
    grid: Grid,
}

async fn asked(shared: &Shared, path: Result<Path<String>, PathRejection>) -> Result<Asked, Problem> {
    let station = station(path)?;
    let name = station.clone();
    let found = shared.ask(move |service, now| {
        let newest = service.view(now, &name)?.newest_reading.unwrap_or(now.wall);
        Some((newest, service.model().manifest.window.grid()))
    });
    let (newest, grid) = found.await?.ok_or(Problem::NoStation)?;
    Ok(Asked { station, newest, grid })
}

/// From when to when: up to the newest reading, and two days before the end, unless other times are asked for.
fn times(parameters: &Parameters, newest: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
    let to = parameters.time("to")?.unwrap_or(newest);
    let from = parameters.time("from")?.unwrap_or_else(|| before(to, DEFAULT_SPAN));
    Ok((from, to))
}

/// So much before a time, or the beginning of time.
fn before(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

fn hours(hours: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(hours))
}

impl Shared {
    /// Reads the journal, in a thread where that may take its time; none where there is no journal.
    async fn read<Found: Send + 'static>(
        &self,
        read: impl FnOnce(&History) -> Result<Found, JournalError> + Send + 'static,
    ) -> Result<Option<Found>, Problem> {
        let Some(path) = self.providers.journal.clone() else { return Ok(None) };
        let permit = Arc::clone(&self.journal_readers).acquire_owned().await;
        let found = tokio::task::spawn_blocking(move || {
            // Held until the file has been read, whether or not anybody still waits for it.
            let _permit = permit;
            History::open(&path)?.map(|history| read(&history)).transpose()
        });
        match found.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "journal cannot be read for an answer");
                Err(Problem::Journal)
            }
            Err(error) => {
                tracing::error!(%error, "reading the journal for an answer failed");
                Err(Problem::Journal)
            }
        }
    }
}

/// What was observed between two times.
pub(super) async fn observations(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = ["from", "to", "limit", "quantity", "format"];
    let parameters = Parameters::new(query.as_deref(), &known)?;
    let form = Form::new(&parameters, &headers)?;
    let most = parameters.number("limit", 1..=MAX_ROWS, MAX_ROWS)? as usize;
    let keys = Quantity::ALL.iter().map(|quantity| quantity.key());
    let key = parameters.one_of("quantity", keys)?;
    let Asked { station, newest, .. } = asked(&shared, path).await?;
    let (from, to) = times(&parameters, newest)?;
    // What has the quantity is known of what was read.
    let most_read = if key.is_some() { MAX_ROWS as usize } else { most };
    // One more, which says whether there are more.
    let span = Span { from, to, most: most_read + 1 };
    let name = station.clone();
    let found = shared.read(move |history| history.readings(&name, span)).await?;
    let source = if found.is_some() { "journal" } else { "memory" };
    let readings = match found {
        Some(readings) => readings,
        None => {
            let name = station.clone();
            let remembered = shared.ask(move |service, _| service.remembered(&name)).await?;
            let mut readings = remembered.ok_or(Problem::NoStation)?;
            readings.retain(|(time, _)| (from..=to).contains(time));
            readings
        }
    };
    let unread = readings.len().saturating_sub(most_read);
    let wanted = readings[unread..].iter().filter_map(|(time, values)| reading(*time, values, key));
    let mut wanted: Vec<Map<String, Value>> = wanted.collect();
    let surplus = wanted.len().saturating_sub(most);
    wanted.drain(..surplus);
    let observations = api::Observations {
        station: station.to_string(),
        from: source,
        truncated: unread > 0 || surplus > 0,
        observations: wanted,
    };
    Ok(match form {
        Form::Json => json(&observations),
        Form::Csv => csv_answer("observations", table(&observations.observations)),
    })
}

fn reading(time: Timestamp, values: &Values, key: Option<&str>) -> Option<Map<String, Value>> {
    let Some(key) = key else { return Some(api::observation(time, values)) };
    let mut only = Values::NONE;
    for (quantity, value) in values.iter().filter(|(quantity, _)| quantity.key() == key) {
        only.set(quantity, value);
    }
    (!only.is_empty()).then(|| api::observation(time, &only))
}

/// Readings as CSV: a column for the time, and one for each quantity that any of them has.
fn table(readings: &[Map<String, Value>]) -> Option<Vec<u8>> {
    let has = |key: &str| readings.iter().any(|reading| reading.contains_key(key));
    let quantities = Quantity::ALL.iter().map(|quantity| quantity.key()).filter(|key| has(key));
    let columns: Vec<&str> = std::iter::once("time").chain(quantities).collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&columns).ok()?;
    for reading in readings {
        let cells = columns.iter().map(|column| match reading.get(*column) {
            Some(Value::String(text)) => text.clone(),
            Some(number) => number.to_string(),
            None => String::new(),
        });
        writer.write_record(cells).ok()?;
    }
    writer.into_inner().ok()
}

/// Past forecasts of one lead for the times between two, beside what was observed then.
pub(super) async fn forecasts(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = ["from", "to", "lead_h", "every", "limit", "format"];
    let parameters = Parameters::new(query.as_deref(), &known)?;
    let form = Form::new(&parameters, &headers)?;
    let most = parameters.number("limit", 1..=MAX_ROWS, MAX_ROWS)? as usize;
    let lead_h = parameters.number("lead_h", 1..=MAX_LEAD_H, DEFAULT_LEAD_H)?;
    let is_hourly = parameters.one_of("every", ["forecast", "hour"].into_iter())? == Some("hour");
    let asked = asked(&shared, path).await?;
    let station = asked.station.to_string();
    let (from, to) = times(&parameters, asked.newest)?;
    let (mut found, is_cut) = past(&shared, asked, lead_h, from, to).await?;
    if is_hourly {
        keep_hourly(&mut found);
    }
    let surplus = found.len().saturating_sub(most);
    let forecasts: Vec<api::Past> = found[surplus..].iter().map(api::Past::from).collect();
    let whole = api::PastForecasts { station, lead_h, truncated: is_cut || surplus > 0, forecasts };
    Ok(form.answer("forecasts", &whole, &whole.forecasts))
}

/// Keeps the first of each hour: not all stations report at full ones.
fn keep_hourly(forecasts: &mut Vec<PastForecast>) {
    forecasts.dedup_by_key(|past| past.lead.valid_at.as_second().div_euclid(3600));
}

/// How near the forecasts of one lead were, day by day.
pub(super) async fn days(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query.as_deref(), &["lead_h", "days", "time_zone", "format"])?;
    let form = Form::new(&parameters, &headers)?;
    let lead_h = parameters.number("lead_h", 1..=MAX_LEAD_H, DEFAULT_LEAD_H)?;
    let days = parameters.number("days", 1..=MAX_DAYS, DEFAULT_DAYS)?;
    let zone_name = parameters.text("time_zone").unwrap_or("UTC").to_owned();
    let zone = TimeZone::get(&zone_name)
        .map_err(|_| Problem::parameter("time_zone", "no time zone of this name is known"))?;
    let asked = asked(&shared, path).await?;
    let (station, to) = (asked.station.to_string(), asked.newest);
    // Whole days: the newest, and so many before it.
    let today = zone.to_datetime(to).date();
    let first = today.checked_sub(jiff::Span::new().days(i64::from(days))).unwrap_or(jiff::civil::Date::MIN);
    let from = zone.to_timestamp(first.at(0, 0, 0, 0)).unwrap_or(Timestamp::MIN);
    let (past, _) = past(&shared, asked, lead_h, from, to).await?;
    let scores = tokio::task::spawn_blocking(move || daily_scores(&past, &zone)).await;
    let mut scores = scores.map_err(|_| Problem::Journal)?;
    // Today is not over.
    scores.retain(|day| day.date < today);
    let whole = api::Days::new(station, lead_h, zone_name, &scores);
    Ok(form.answer("verification-days", &whole, &whole.days))
}

/// Past forecasts of one lead for the times between two, and whether there may be older ones that were not read; nothing where
/// there is no journal.
async fn past(
    shared: &Shared,
    asked: Asked,
    lead_h: u32,
    from: Timestamp,
    to: Timestamp,
) -> Result<(Vec<PastForecast>, bool), Problem> {
    let Asked { station, grid, .. } = asked;
    let origins = Span { from: before(from, hours(lead_h)), to: before(to, hours(lead_h)), most: READ_ROWS };
    // Yesterday, too.
    let observed = Span { from: before(from, hours(24 * lead_h.div_ceil(24) + 1)), to, most: READ_ROWS };
    let found = shared.read(move |history| {
        let temperatures = history.readings(&station, observed)?.into_iter().filter_map(|(time, values)| {
            values.get(Quantity::AirTemperature).map(|temperature_c| (time, temperature_c))
        });
        let observations = Observations::new(grid, temperatures);
        let mut read = 0;
        let beside = |forecast| {
            read += 1;
            PastForecast::new(&forecast, lead_h, &observations)
        };
        let found = history.forecasts(&station, origins, beside)?;
        Ok((found, read >= READ_ROWS))
    });
    Ok(found.await?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use forecastd_core::{LeadForecast, Source};

    use super::*;

    fn for_minute(minute: i64) -> PastForecast {
        let valid_at = Timestamp::from_second(minute * 60).unwrap();
        let lead =
            LeadForecast { lead_h: 24, valid_at, temperature_c: 1.0, interval_c: None, quantiles_c: None };
        PastForecast {
            issued_at: before(valid_at, hours(24)),
            source: Source::Model,
            model: "linear".to_owned(),
            lead,
            persistence_c: 0.0,
            yesterday_c: None,
            observed_c: None,
        }
    }

    /// Stations that report at ten past, twice an hour at other times, every ten minutes.
    #[test]
    fn every_hour_has_one_forecast_whenever_the_station_reports() {
        for (minutes, kept) in [
            (&[10, 70, 130][..], &[10, 70, 130][..]),
            (&[20, 50, 80, 110], &[20, 80]),
            (&[0, 10, 20, 30, 40, 50, 60, 70], &[0, 60]),
        ] {
            let mut forecasts: Vec<PastForecast> = minutes.iter().map(|&minute| for_minute(minute)).collect();
            keep_hourly(&mut forecasts);
            let found: Vec<i64> = forecasts.iter().map(|past| past.lead.valid_at.as_second() / 60).collect();
            assert_eq!(found, kept);
        }
    }
}
