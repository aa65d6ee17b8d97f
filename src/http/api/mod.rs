//! `/api/v1`: what the daemon knows, for programs; described by `openapi.json`, which is served beside it. It only tells, and
//! changes nothing.
//!
//! | module | contents |
//! | --- | --- |
//! | `stations` | the stations as they are now |
//! | `past` | what was observed, what was forecast, and how near that was |
//! | `models` | the cards of the models |
//! | `parameters` | what a request asks for |
//! | `form` | JSON or CSV |
//! | `problem` | why there is no answer |

mod form;
mod models;
mod parameters;
mod past;
mod problem;
mod stations;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use forecastd_core::{Now, Service, StationName};

use super::{Shared, events};
use parameters::Parameters;
use problem::Problem;

/// The description of all of it: OpenAPI 3.1.
const DESCRIPTION: &str = include_str!("openapi.json");

/// The routes below `/api/v1`.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(index))
        .route("/openapi.json", get(description))
        .route("/stations", get(stations::list))
        .route("/stations/{station}", get(stations::one))
        .route("/stations/{station}/forecast", get(stations::forecast))
        .route("/stations/{station}/verification", get(stations::verification))
        .route("/stations/{station}/verification/days", get(past::days))
        .route("/stations/{station}/observations", get(past::observations))
        .route("/stations/{station}/forecasts", get(past::forecasts))
        .route("/models", get(models::list))
        .route("/events", get(listen))
        .fallback(|| async { StatusCode::NOT_FOUND })
}

/// What there is to ask for, by the description.
pub(super) async fn index() -> Response {
    let description: serde_json::Value = serde_json::from_str(DESCRIPTION).expect("it is JSON");
    let paths = description["paths"].as_object().into_iter().flatten();
    let summary = |path: &serde_json::Value| path["get"]["summary"].clone();
    let endpoints: serde_json::Map<_, _> =
        paths.map(|(name, path)| (format!("/api/v1{name}"), summary(path))).collect();
    form::json(&serde_json::json!({"description": "/api/v1/openapi.json", "endpoints": endpoints}))
}

async fn description() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let text = DESCRIPTION.replacen("\"VERSION\"", &format!("\"{version}\""), 1);
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn listen(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let parameters = Parameters::new(query.as_deref(), &["station"])?;
    let station = parameters.text("station").map(StationName::new).transpose();
    let station = station.map_err(|error| Problem::parameter("station", error.to_string()))?;
    let Ok(permit) = shared.listeners.clone().try_acquire_owned() else {
        return Err(Problem::TooManyListeners);
    };
    let changes = shared.providers.live.listen().ok_or(Problem::Away)?;
    Ok(events::response(changes, station, permit))
}

/// The station that a path names. What cannot be a name is that of no station.
fn station(path: Result<Path<String>, PathRejection>) -> Result<StationName, Problem> {
    let Path(name) = path.map_err(|_| Problem::NoStation)?;
    StationName::new(&name).map_err(|_| Problem::NoStation)
}

impl Shared {
    /// Asks for something of the stations.
    async fn ask<Answer: Send + 'static>(
        &self,
        question: impl FnOnce(&Service, Now) -> Answer + Send + 'static,
    ) -> Result<Answer, Problem> {
        self.providers.questions.ask(question).await.ok_or(Problem::Away)
    }
}
