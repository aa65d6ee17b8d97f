//! HTTP: the page for people, the API for programs, metrics and health for operators, and clients that may be slow, idle or
//! many.
//!
//! | module | contents |
//! | --- | --- |
//! | `connections` | what clients may take, so that broker and journal always find a descriptor |
//! | `compression` | answers that a client takes compressed |
//! | `question` | what is asked of the task that owns the stations |
//! | `live` | what happens, told to those who listen |
//! | `events` | the same as server-sent events, for a bounded number of clients |
//! | `api` | `/api/v1` |
//! | `page` | what a browser is given: files, and nothing from elsewhere |
//! | `operator` | `/metrics`, `/healthz`, `/readyz` |

mod api;
mod compression;
mod connections;
mod events;
mod live;
mod operator;
mod page;
mod question;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::operations::health::Health;
use crate::operations::metrics::Metrics;

pub use connections::Limits;
pub use live::{Listening, Live};
pub use question::{Question, Questions, questions};

/// The most bytes of a request's body that a route reads.
const MAX_BODY_BYTES: usize = 16 << 10;

/// So many answers read the journal at a time, each with a connection of its own.
const JOURNAL_READERS: usize = 2;

/// What answers are made of.
#[derive(Clone)]
pub struct Providers {
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Signs of life.
    pub health: Arc<Health>,
    /// Asks for the stations.
    pub questions: Questions,
    /// Where clients subscribe to changes.
    pub live: Listening,
    /// The journal's file, where there is one.
    pub journal: Option<PathBuf>,
}

/// What every route knows.
#[derive(Clone)]
struct Shared {
    providers: Providers,
    /// Clients that may listen for events.
    listeners: Arc<Semaphore>,
    journal_readers: Arc<Semaphore>,
}

/// Serves on `listener`, within `limits`, until `shutdown` completes and the responses in flight are written or out of time.
///
/// A connection that cannot be accepted is no end: it is logged, and the next is tried.
pub async fn serve(
    listener: TcpListener,
    providers: Providers,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let response_limit = limits.response;
    let shared = Shared {
        providers,
        listeners: Arc::new(Semaphore::new(limits.listeners())),
        journal_readers: Arc::new(Semaphore::new(JOURNAL_READERS)),
    };
    let router = Router::new()
        .merge(operator::routes())
        .merge(page::routes())
        .nest("/api/v1", api::routes())
        .route("/api/v1/", get(api::index))
        .with_state(shared)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(compression::compress))
        .layer(middleware::from_fn(page::say_what_browsers_may_do))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            match timeout(response_limit, next.run(request)).await {
                Ok(response) => response,
                Err(_) => {
                    let again = [(header::RETRY_AFTER, "10")];
                    (StatusCode::SERVICE_UNAVAILABLE, again, "out of time\n").into_response()
                }
            }
        }));
    connections::serve(listener, router, limits, shutdown).await;
}
