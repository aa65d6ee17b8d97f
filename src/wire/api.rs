//! The JSON of the HTTP API, and the rows of its CSV. What is on an MQTT topic too is the same text.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use forecastd_core::{
    DailyScore, Forecast, LeadScores, Manifest, Model, PastForecast, StationList, StationState, StationView,
    Values,
};

use super::forecast::{self, round_to_centidegrees};
use super::status;
use super::{thousandths, whole};

/// A page of stations.
#[derive(Debug, Serialize)]
pub struct Stations {
    served: usize,
    matching: usize,
    /// What to ask for next, where there are more.
    after: Option<String>,
    stations: Vec<ListedStation>,
}

/// A station in a list.
#[derive(Debug, Serialize)]
struct ListedStation {
    station: String,
    state: &'static str,
    missing_hours: Option<f64>,
    newest_reading: Option<Timestamp>,
    temperature_c: Option<f64>,
    forecast_source: Option<&'static str>,
    temperature_24h_c: Option<f64>,
    low_24h_c: Option<f64>,
    high_24h_c: Option<f64>,
    /// Every full hour from 24 hours before the newest reading to it.
    observed_hourly_c: Vec<Option<f64>>,
    /// By lead, from the first hour on.
    forecast_hourly_c: Vec<Option<f64>>,
}

/// Hours of a list's series to either side of the newest reading.
const LIST_HOURS: u32 = 24;

impl Stations {
    /// What is wanted of the stations; there are more when as many as there was room for have come.
    pub fn new(list: &StationList, room: usize) -> Stations {
        let last = list.stations.last().filter(|_| list.stations.len() == room);
        Stations {
            served: list.served,
            matching: list.matching,
            after: last.map(|view| view.station.to_string()),
            stations: list.stations.iter().map(ListedStation::from).collect(),
        }
    }
}

impl From<&StationView> for ListedStation {
    fn from(view: &StationView) -> ListedStation {
        let ahead = view.forecast.as_ref().and_then(|forecast| forecast.at(LIST_HOURS));
        ListedStation {
            station: view.station.to_string(),
            state: status::state_name(view.state),
            missing_hours: match view.state {
                StationState::Fresh(readiness) => status::missing_hours(readiness),
                StationState::Stale => None,
            },
            newest_reading: view.newest_reading,
            temperature_c: view.temperature_c.map(round_to_centidegrees),
            forecast_source: view.forecast.as_ref().map(|forecast| forecast.source.name()),
            temperature_24h_c: ahead.map(|lead| round_to_centidegrees(lead.temperature_c)),
            low_24h_c: ahead.and_then(|lead| lead.interval_c).map(|(low_c, _)| round_to_centidegrees(low_c)),
            high_24h_c: ahead
                .and_then(|lead| lead.interval_c)
                .map(|(_, high_c)| round_to_centidegrees(high_c)),
            observed_hourly_c: hourly(&view.recent),
            forecast_hourly_c: view.forecast.as_ref().map_or_else(Vec::new, ahead_hourly),
        }
    }
}

/// The last temperature of each hour, counted back from the newest.
fn hourly(recent: &[(Timestamp, f32)]) -> Vec<Option<f64>> {
    let Some((newest, _)) = recent.last() else { return Vec::new() };
    let mut hours = vec![None; LIST_HOURS as usize + 1];
    for (time, temperature_c) in recent {
        let back_h = (newest.as_second() - time.as_second()) / 3600;
        // Rising: what comes later stands.
        if let Some(hour) = usize::try_from(back_h).ok().and_then(|back| hours.iter_mut().rev().nth(back)) {
            *hour = Some(round_to_centidegrees(*temperature_c));
        }
    }
    hours
}

fn ahead_hourly(forecast: &Forecast) -> Vec<Option<f64>> {
    let lead = |lead_h| forecast.at(lead_h).map(|lead| round_to_centidegrees(lead.temperature_c));
    (1..=LIST_HOURS).map(lead).collect()
}

/// A station with all that is known of it now.
#[derive(Debug, Serialize)]
pub struct Station {
    station: String,
    /// As on the topic of the status.
    status: Box<RawValue>,
    temperature_c: Option<f64>,
    /// As on the topic of the forecast.
    forecast: Option<Box<RawValue>>,
    /// The models beside the main one.
    specialists: Vec<String>,
}

impl From<&StationView> for Station {
    fn from(view: &StationView) -> Station {
        let status = status::encode_status(
            &view.station,
            view.state,
            view.newest_reading,
            view.place,
            view.model_distance_km,
            &view.odd,
            &view.model,
        );
        Station {
            station: view.station.to_string(),
            status: raw(status),
            temperature_c: view.temperature_c.map(round_to_centidegrees),
            forecast: forecast_text(view).map(raw),
            specialists: view.specialists.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The newest forecast, as it is on its topic.
pub fn forecast_text(view: &StationView) -> Option<String> {
    let is_stale = view.state == StationState::Stale;
    view.forecast.as_ref().map(|forecast| forecast::encode(forecast, is_stale))
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).expect("it was written as JSON")
}

/// Readings between two times.
#[derive(Debug, Serialize)]
pub struct Observations {
    /// The name of the station that measured them.
    pub station: String,
    /// `journal`, or `memory` where there is none: what models look at, slot by slot.
    pub from: &'static str,
    /// Whether earlier readings were left out for want of room.
    pub truncated: bool,
    /// By rising time.
    pub observations: Vec<Map<String, Value>>,
}

/// A reading with the keys of the canonical payload.
pub fn observation(time: Timestamp, values: &Values) -> Map<String, Value> {
    let time = ("time".to_owned(), Value::from(time.to_string()));
    let values = values.iter().map(|(quantity, value)| (quantity.key().to_owned(), decimal(value).into()));
    std::iter::once(time).chain(values).collect()
}

/// The number that has the same shortest decimal digits: 0.71, not 0.7099999785423279.
pub(crate) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| f64::from(value))
}

/// Past forecasts of one lead.
#[derive(Debug, Serialize)]
pub struct PastForecasts {
    /// The name of the station that they were for.
    pub station: String,
    /// The lead of all of them, in hours.
    pub lead_h: u32,
    /// Whether earlier ones were left out for want of room.
    pub truncated: bool,
    /// By the rising time that they were for.
    pub forecasts: Vec<Past>,
}

/// A past forecast beside what was observed.
#[derive(Debug, Serialize)]
pub struct Past {
    issued_at: Timestamp,
    valid_at: Timestamp,
    source: &'static str,
    model: String,
    temperature_c: f64,
    low_c: Option<f64>,
    high_c: Option<f64>,
    persistence_c: f64,
    yesterday_c: Option<f64>,
    observed_c: Option<f64>,
}

impl From<&PastForecast> for Past {
    fn from(past: &PastForecast) -> Past {
        let interval_c = past.lead.interval_c;
        Past {
            issued_at: past.issued_at,
            valid_at: past.lead.valid_at,
            source: past.source.name(),
            model: past.model.clone(),
            temperature_c: round_to_centidegrees(past.lead.temperature_c),
            low_c: interval_c.map(|(low_c, _)| round_to_centidegrees(low_c)),
            high_c: interval_c.map(|(_, high_c)| round_to_centidegrees(high_c)),
            persistence_c: round_to_centidegrees(past.persistence_c),
            yesterday_c: past.yesterday_c.map(round_to_centidegrees),
            observed_c: past.observed_c.map(round_to_centidegrees),
        }
    }
}

/// How near the forecasts of one lead were, day by day.
#[derive(Debug, Serialize)]
pub struct Days {
    station: String,
    lead_h: u32,
    time_zone: String,
    /// Days of which enough was scored.
    counted_days: usize,
    /// Of these, those on which the forecasts were closer than persistence.
    closer_than_persistence_days: usize,
    /// By rising date.
    pub days: Vec<Day>,
}

/// One day of them.
#[derive(Debug, Serialize)]
pub struct Day {
    date: String,
    forecasts: usize,
    hours: usize,
    counted: bool,
    mae_c: f64,
    persistence_mae_c: f64,
    yesterday_mae_c: Option<f64>,
    coverage: Option<f64>,
}

impl Days {
    /// The days of a station in a time zone.
    pub fn new(station: String, lead_h: u32, time_zone: String, scores: &[DailyScore]) -> Days {
        let counted = || scores.iter().filter(|day| day.is_counted());
        Days {
            station,
            lead_h,
            time_zone,
            counted_days: counted().count(),
            closer_than_persistence_days: counted().filter(|day| day.is_closer()).count(),
            days: scores.iter().map(Day::from).collect(),
        }
    }
}

impl From<&DailyScore> for Day {
    fn from(score: &DailyScore) -> Day {
        Day {
            date: score.date.to_string(),
            forecasts: score.forecasts,
            hours: score.hours,
            counted: score.is_counted(),
            mae_c: thousandths(score.mae_c),
            persistence_mae_c: thousandths(score.persistence_mae_c),
            yesterday_mae_c: score.yesterday_mae_c.map(thousandths),
            coverage: score.coverage.map(thousandths),
        }
    }
}

/// One lead of a forecast, as a row.
#[derive(Debug, Serialize)]
pub struct LeadRow {
    valid_at: Timestamp,
    lead_h: u32,
    temperature_c: f64,
    low_c: Option<f64>,
    high_c: Option<f64>,
}

/// The leads of a forecast, as rows.
pub fn lead_rows(forecast: &Forecast) -> Vec<LeadRow> {
    let row = |lead: &forecastd_core::LeadForecast| LeadRow {
        valid_at: lead.valid_at,
        lead_h: lead.lead_h,
        temperature_c: round_to_centidegrees(lead.temperature_c),
        low_c: lead.interval_c.map(|(low_c, _)| round_to_centidegrees(low_c)),
        high_c: lead.interval_c.map(|(_, high_c)| round_to_centidegrees(high_c)),
    };
    forecast.leads.iter().map(row).collect()
}

/// The scores of one lead, as a row.
#[derive(Debug, Serialize)]
pub struct ScoreRow {
    pub(super) lead_h: u32,
    pub(super) forecasts: u64,
    pub(super) mae_c: Option<f64>,
    pub(super) rmse_c: Option<f64>,
    pub(super) bias_c: Option<f64>,
    pub(super) persistence_mae_c: Option<f64>,
    pub(super) yesterday_mae_c: Option<f64>,
    pub(super) skill: Option<f64>,
    pub(super) coverage: Option<f64>,
}

impl ScoreRow {
    /// The rolling scores of a lead, to a thousandth, and how many forecasts were ever scored.
    pub(super) fn new(lead_h: u32, LeadScores { lifetime, rolling, .. }: &LeadScores) -> ScoreRow {
        ScoreRow {
            lead_h,
            forecasts: whole(lifetime.count()),
            mae_c: rolling.mae().map(thousandths),
            rmse_c: rolling.rmse().map(thousandths),
            bias_c: rolling.bias().map(thousandths),
            persistence_mae_c: rolling.persistence_mae().map(thousandths),
            yesterday_mae_c: rolling.yesterday_mae().map(thousandths),
            skill: rolling.skill().map(thousandths),
            coverage: rolling.coverage().map(thousandths),
        }
    }
}

/// The rolling scores by lead, as rows.
pub fn score_rows<'scores>(leads: impl Iterator<Item = (u32, &'scores LeadScores)>) -> Vec<ScoreRow> {
    leads.map(|(lead_h, scores)| ScoreRow::new(lead_h, scores)).collect()
}

/// What is a row of a table.
pub trait Row: Serialize {
    /// Its columns, in order: what stands above a table that has no row too.
    const COLUMNS: &'static [&'static str];
}

impl Row for Past {
    const COLUMNS: &'static [&'static str] = &[
        "issued_at",
        "valid_at",
        "source",
        "model",
        "temperature_c",
        "low_c",
        "high_c",
        "persistence_c",
        "yesterday_c",
        "observed_c",
    ];
}

impl Row for Day {
    const COLUMNS: &'static [&'static str] = &[
        "date",
        "forecasts",
        "hours",
        "counted",
        "mae_c",
        "persistence_mae_c",
        "yesterday_mae_c",
        "coverage",
    ];
}

impl Row for LeadRow {
    const COLUMNS: &'static [&'static str] = &["valid_at", "lead_h", "temperature_c", "low_c", "high_c"];
}

impl Row for ScoreRow {
    const COLUMNS: &'static [&'static str] = &[
        "lead_h",
        "forecasts",
        "mae_c",
        "rmse_c",
        "bias_c",
        "persistence_mae_c",
        "yesterday_mae_c",
        "skill",
        "coverage",
    ];
}

/// The card of a model.
#[derive(Debug, Serialize)]
pub struct ModelCard {
    model: String,
    /// `main`, or `specialist`.
    role: &'static str,
    /// The stations that a specialist is for; empty = every station at its site.
    stations: Vec<String>,
    tool: String,
    site: Option<Place>,
    grid_step_s: u32,
    window_hours: f64,
    inputs: Vec<String>,
    leads_h: Vec<u32>,
    quantiles: Vec<f64>,
    extremes_h: Option<u32>,
    training: Option<CardTraining>,
    scores: Vec<Part>,
}

#[derive(Debug, Serialize)]
struct Place {
    latitude_deg: f64,
    longitude_deg: f64,
}

#[derive(Debug, Serialize)]
struct CardTraining {
    experiment: String,
    file: String,
    sha256: String,
    rows: u64,
    records: usize,
    first: Timestamp,
    last: Timestamp,
    refit: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Part {
    part: String,
    before_refit: bool,
    forecasts: u64,
    leads: Vec<PartLead>,
}

#[derive(Debug, Serialize)]
struct PartLead {
    lead_h: u32,
    mae_c: f64,
    rmse_c: f64,
    persistence_mae_c: f64,
    yesterday_mae_c: Option<f64>,
    climatology_mae_c: Option<f64>,
    coverage: Option<f64>,
}

impl ModelCard {
    /// The card of the main model or of a specialist.
    pub fn new(model: &Model, is_main: bool) -> ModelCard {
        let Manifest { window, training, scores, .. } = &model.manifest;
        let samples = u32::try_from(window.samples).unwrap_or(u32::MAX);
        let span_s = f64::from(window.sample_every_s) * f64::from(samples.saturating_sub(1));
        let features = window.features.iter().flat_map(|feature| feature.quantities());
        let inputs: BTreeSet<&'static str> = features.map(|quantity| quantity.name()).collect();
        ModelCard {
            model: model.id.to_string(),
            role: if is_main { "main" } else { "specialist" },
            stations: model.manifest.stations.clone(),
            tool: model.manifest.tool.clone(),
            site: window
                .site
                .map(|site| Place { latitude_deg: site.latitude_deg, longitude_deg: site.longitude_deg }),
            grid_step_s: window.grid_step_s,
            window_hours: span_s / 3600.0,
            inputs: inputs.into_iter().map(str::to_owned).collect(),
            leads_h: model.manifest.lead_h.clone(),
            quantiles: model.manifest.quantiles.iter().map(|&quantile| decimal(quantile)).collect(),
            extremes_h: model.manifest.extremes_h,
            training: training.as_ref().map(|training| CardTraining {
                experiment: training.experiment.clone(),
                file: training.file.clone(),
                sha256: training.sha256.clone(),
                rows: training.rows,
                records: training.records.len(),
                first: training.first,
                last: training.last,
                refit: training.refit.map(forecastd_core::Refit::name),
            }),
            scores: scores
                .iter()
                .map(|part| Part {
                    part: part.part.clone(),
                    before_refit: part.before_refit,
                    forecasts: part.forecasts,
                    leads: part
                        .leads
                        .iter()
                        .map(|lead| PartLead {
                            lead_h: lead.lead_h,
                            mae_c: thousandths(lead.mae),
                            rmse_c: thousandths(lead.rmse),
                            persistence_mae_c: thousandths(lead.persistence_mae),
                            yesterday_mae_c: lead.yesterday_mae.map(thousandths),
                            climatology_mae_c: lead.climatology_mae.map(thousandths),
                            coverage: lead.coverage.map(thousandths),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}
