//! Server-sent events: what happens, for a page that is open. As the HTML standard defines them (section 9.2, "Server-sent
//! events").
//!
//! A client is told of each change at most some times a second, and then of the newest of its kind for each station: a replay
//! of years, or ten thousand stations, is no flood. What was lost on the way is said by `resync`: the client is to ask anew.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use forecastd_core::StationName;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::live::{Change, Kind};

/// Changes are collected for so long before they are written.
const COLLECT: Duration = Duration::from_millis(250);
/// With nothing to say for so long, something is written all the same: a client that is gone is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A client that listens for longer has to come again, which it does by itself.
const LIFETIME: Duration = Duration::from_secs(3600);
/// After the end of a connection a client waits for so long.
const RETRY_MS: u32 = 3000;
/// Changes that are collected; with more the client is to ask anew.
const COLLECTED: usize = 512;

/// What one client is still to be told.
struct Listener {
    changes: Receiver<Change>,
    /// The one station that it wants to hear of.
    station: Option<StationName>,
    collected: BTreeMap<(StationName, Kind), Arc<str>>,
    is_behind: bool,
    /// When what was collected is written.
    due: Option<Instant>,
    keep_alive: Instant,
    end: Instant,
    has_begun: bool,
    /// Given back when the client is gone.
    _permit: OwnedSemaphorePermit,
}

/// The stream of events for one client, of one station or of all.
pub(super) fn response(
    changes: Receiver<Change>,
    station: Option<StationName>,
    permit: OwnedSemaphorePermit,
) -> Response {
    let now = Instant::now();
    let listener = Listener {
        changes,
        station,
        collected: BTreeMap::new(),
        is_behind: false,
        due: None,
        keep_alive: now + KEEP_ALIVE,
        end: now + LIFETIME,
        has_begun: false,
        _permit: permit,
    };
    let chunks = stream::unfold(listener, |mut listener| async move {
        let chunk = listener.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that collects would keep back what is to be live.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}

impl Listener {
    /// What is written next; none at the end.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(format!("retry: {RETRY_MS}\n\n"));
        }
        loop {
            let due = self.due;
            let is_due = async move {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = sleep_until(self.end) => return None,
                () = is_due => return Some(self.written()),
                change = self.changes.recv() => match change {
                    Ok(change) => self.collect(change),
                    Err(RecvError::Lagged(_)) => self.fall_behind(),
                    Err(RecvError::Closed) => return None,
                },
                () = sleep_until(self.keep_alive) => {
                    self.keep_alive = Instant::now() + KEEP_ALIVE;
                    return Some(":\n\n".to_owned());
                }
            }
        }
    }

    fn collect(&mut self, change: Change) {
        if self.station.as_ref().is_some_and(|station| *station != change.station) {
            return;
        }
        self.due.get_or_insert_with(|| Instant::now() + COLLECT);
        self.collected.insert((change.station, change.kind), change.data);
        if self.collected.len() > COLLECTED {
            self.fall_behind();
        }
    }

    fn fall_behind(&mut self) {
        self.collected.clear();
        self.is_behind = true;
        self.due.get_or_insert_with(|| Instant::now() + COLLECT);
    }

    fn written(&mut self) -> String {
        self.due = None;
        self.keep_alive = Instant::now() + KEEP_ALIVE;
        let mut text = String::new();
        if std::mem::take(&mut self.is_behind) {
            text.push_str("event: resync\ndata: {}\n\n");
        }
        for ((_, kind), data) in std::mem::take(&mut self.collected) {
            let name: &str = kind.into();
            let _ = write!(text, "event: {name}\ndata: {data}\n\n");
        }
        text
    }
}
