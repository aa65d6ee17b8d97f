//! What an operator asks: metrics, and whether all is well.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Shared;

/// The routes for those who run the daemon: metrics and health.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    // It reads /proc and writes a thousand lines: a millisecond, too long for the asynchronous runtime.
    match tokio::task::spawn_blocking(move || shared.providers.metrics.encode()).await {
        Ok(text) => ([content_type], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response()
        }
    }
}

async fn healthz(State(shared): State<Shared>) -> Response {
    verdict(&shared.providers.health.stuck())
}

async fn readyz(State(shared): State<Shared>) -> Response {
    verdict(&shared.providers.health.not_ready())
}

fn verdict(reasons: &[&str]) -> Response {
    match reasons {
        [] => "ok\n".into_response(),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))).into_response(),
    }
}
