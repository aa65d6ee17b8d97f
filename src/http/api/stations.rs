//! The stations as they are now.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use forecastd_core::{StationName, StationQuery, StationView, VerificationView};

use super::form::{Form, json, json_text};
use super::parameters::Parameters;
use super::problem::Problem;
use super::station;
use crate::http::Shared;
use crate::wire::{api, status};

/// Stations in one answer, at most, and unless another number is asked for.
const MAX_STATIONS: u32 = 200;
const DEFAULT_STATIONS: u32 = 50;

/// The stations by name, a page at a time.
pub(super) async fn list(
    State(shared): State<Shared>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query.as_deref(), &["search", "after", "limit"])?;
    let most = parameters.number("limit", 1..=MAX_STATIONS, DEFAULT_STATIONS)? as usize;
    let text = |name| parameters.text(name).unwrap_or_default().to_owned();
    let (search, after) = (text("search"), text("after"));
    let query = StationQuery { search, after, most };
    let list = shared.ask(move |service, now| service.list(now, &query)).await?;
    Ok(json(&api::Stations::new(&list, most)))
}

/// The state of one station, with its newest reading and forecast.
pub(super) async fn one(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::new(query.as_deref(), &[])?;
    let view = view(&shared, station(path)?).await?;
    Ok(json(&api::Station::from(&view)))
}

/// The newest forecast of a station.
pub(super) async fn forecast(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query.as_deref(), &["format"])?;
    let form = Form::new(&parameters, &headers)?;
    let view = view(&shared, station(path)?).await?;
    let text = api::forecast_text(&view).ok_or(Problem::NoForecast)?;
    match (form, &view.forecast) {
        (Form::Csv, Some(forecast)) => Ok(form.answer("forecast", &(), &api::lead_rows(forecast))),
        _ => Ok(json_text(text)),
    }
}

/// How good the forecasts of a station have been, by lead.
pub(super) async fn verification(
    State(shared): State<Shared>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query.as_deref(), &["format"])?;
    let form = Form::new(&parameters, &headers)?;
    let name = station(path)?;
    let asked = name.clone();
    let found = shared.ask(move |service, now| {
        let view = service.view(now, &asked)?;
        service.verification(&asked).map(|verification| (view, verification))
    });
    let (view, verification) = found.await?.ok_or(Problem::NoStation)?;
    if form == Form::Csv {
        return Ok(form.answer("verification", &(), &api::score_rows(verification.scores.leads())));
    }
    let VerificationView { scores, experts, day_ahead } = verification;
    let text = status::encode_verification(&name, &view.model, &scores, &experts, day_ahead.as_ref());
    Ok(json_text(text))
}

/// A station as it is now.
pub(super) async fn view(shared: &Shared, name: StationName) -> Result<StationView, Problem> {
    let view = shared.ask(move |service, now| service.view(now, &name)).await?;
    view.ok_or(Problem::NoStation)
}
