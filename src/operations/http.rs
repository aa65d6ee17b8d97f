//! `/metrics`, `/healthz` and `/readyz` over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::operations::health::Health;
use crate::operations::metrics::Metrics;

#[derive(Clone)]
struct Shared {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Serves on `listener` until `shutdown` completes.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(index))
        .route("/metrics", get(show_metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Shared { metrics, health });
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn index() -> &'static str {
    concat!(
        "forecastd ",
        env!("CARGO_PKG_VERSION"),
        "\n\n/metrics  for Prometheus\n/healthz  200 while it works, else 503 and what is stuck\n",
        "/readyz   200 when model and broker are there, else 503 and what is missing\n"
    )
}

async fn show_metrics(State(shared): State<Shared>) -> Response {
    let content_type = (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
    // It reads /proc and writes a thousand lines: a millisecond, too long for the asynchronous runtime.
    match tokio::task::spawn_blocking(move || shared.metrics.encode()).await {
        Ok(text) => ([content_type], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written\n").into_response()
        }
    }
}

async fn healthz(State(shared): State<Shared>) -> Response {
    verdict(&shared.health.stuck())
}

async fn readyz(State(shared): State<Shared>) -> Response {
    verdict(&shared.health.not_ready())
}

fn verdict(reasons: &[&str]) -> Response {
    match reasons {
        [] => "ok\n".into_response(),
        reasons => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", reasons.join("\n"))).into_response(),
    }
}
