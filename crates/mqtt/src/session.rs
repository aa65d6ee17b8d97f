//! One session with one broker, kept for as long as the process runs: a task that connects, serves the connection
//! until it ends, waits, and connects again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::acknowledgements::Acknowledgements;
use super::connection::{Connection, End};
use super::inbox::Queue;
use super::outbox::{Message, Outbox};
use super::topic::{TopicError, check_filter, check_topic};
use super::{
    Backoff, Inbox, MqttSettings, Publisher, Refusal, SessionEvent, SessionStatistics, SettingsError,
};

/// A connection that lasted this long proves that the broker is well: the next wait is short again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The topic that says whether we are there, retained, and what stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The topic.
    pub topic: String,
    /// Published on every connection.
    pub online: Bytes,
    /// Published by the broker when we vanish (last will) and by us before we leave.
    pub offline: Bytes,
}

impl Status {
    /// A status topic with the payloads that Home Assistant expects: `online` and `offline`.
    pub fn new(topic: impl Into<String>) -> Status {
        Status {
            topic: topic.into(),
            online: Bytes::from_static(b"online"),
            offline: Bytes::from_static(b"offline"),
        }
    }

    pub(super) fn message(&self, payload: &Bytes) -> Message {
        Message { topic: Arc::from(self.topic.as_str()), payload: payload.clone(), retain: true }
    }
}

/// Why a session cannot start. A broker that is away is no reason: the session waits for it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The settings are at fault.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A topic or filter is at fault.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

/// What the task, the publishers, the inbox and the acknowledgements share.
#[derive(Debug)]
pub(super) struct Shared {
    outbox: Mutex<Outbox>,
    inbox: Mutex<Queue>,
    acknowledgements: Mutex<Acknowledgements<rumqttc::ManualAck>>,
    /// The task has something to send.
    pub wake: Notify,
    /// The inbox has something to take.
    pub arrived: Notify,
    /// Messages were sent or settled, or the session ended.
    pub progress: Notify,
    /// Whether the session has ended.
    pub closed: AtomicBool,
    pub statistics: Arc<SessionStatistics>,
}

/// No holder of these locks can panic in the middle of a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    pub fn inbox(&self) -> MutexGuard<'_, Queue> {
        lock(&self.inbox)
    }

    pub fn acknowledgements(&self) -> MutexGuard<'_, Acknowledgements<rumqttc::ManualAck>> {
        lock(&self.acknowledgements)
    }

    pub fn tell(&self, event: SessionEvent) {
        self.inbox().push_news(event);
        self.arrived.notify_one();
    }

    /// The broker refused a message, or would.
    pub fn tell_refused(&self, topic: &str, reason: String) {
        self.statistics.publications_refused.add(1);
        warn!(topic, reason, "broker refuses a message");
        let topic = topic.to_owned();
        self.tell(SessionEvent::Refused(Refusal::Publication { topic, reason }));
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.statistics.set_connected(false);
        // Messages that nobody took are not acknowledged: the broker keeps them for the next start.
        self.acknowledgements().begin_generation();
        self.inbox().close();
        self.arrived.notify_one();
        self.progress.notify_waiters();
    }
}

/// The start of a session; see [`Session::start`].
#[derive(Debug)]
pub struct Session;

/// Ends a session. Dropping it ends the session at once, without `offline` and without goodbye: the broker
/// publishes the last will.
#[derive(Debug)]
pub struct SessionHandle {
    stop: watch::Sender<Option<Instant>>,
    task: Option<JoinHandle<bool>>,
    shared: Arc<Shared>,
}

impl Session {
    /// Starts the task that keeps the session; it connects in the background. To be called in a tokio runtime.
    ///
    /// `subscriptions` are topic filters; they are subscribed to at QoS 1 on every connection.
    ///
    /// # Errors
    /// [`SessionError`] when settings, topic or filters are at fault, or a file they name cannot be read. A broker
    /// that is away is no error.
    pub fn start(
        settings: &MqttSettings,
        status: Option<Status>,
        subscriptions: Vec<String>,
    ) -> Result<(Publisher, Inbox, SessionHandle), SessionError> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(fault.into());
        }
        settings.resolve_password()?;
        if let Some(status) = &status {
            check_topic(&status.topic)?;
        }
        subscriptions.iter().try_for_each(|filter| check_filter(filter))?;

        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox::new(settings.publish_queue, settings.retained_topics)),
            inbox: Mutex::new(Queue::new(usize::from(settings.receive_maximum))),
            acknowledgements: Mutex::new(Acknowledgements::default()),
            wake: Notify::new(),
            arrived: Notify::new(),
            progress: Notify::new(),
            closed: AtomicBool::new(false),
            statistics: Arc::new(SessionStatistics::default()),
        });
        let (stop, stopped) = watch::channel(None);
        let task = tokio::spawn(keep(
            Arc::clone(&shared),
            settings.clone(),
            status.map(Arc::new),
            Arc::from(subscriptions),
            stopped,
        ));
        let handle = SessionHandle { stop, task: Some(task), shared: Arc::clone(&shared) };
        Ok((Publisher::new(Arc::clone(&shared)), Inbox::new(shared), handle))
    }
}

impl SessionHandle {
    /// The counters of this session.
    pub fn statistics(&self) -> Arc<SessionStatistics> {
        Arc::clone(&self.shared.statistics)
    }

    /// Ends the session: sends what waits, then `offline`, then says goodbye, all `within` a time. Returns whether
    /// that worked out.
    ///
    /// The broker keeps the session, and readings for it, until the session expires. To be called after the last
    /// message was handled: what was taken from the inbox and not acknowledged yet is delivered again next time.
    pub async fn stop(mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        self.stop.send_replace(Some(deadline));
        let Some(task) = self.task.as_mut() else {
            return false;
        };
        match tokio::time::timeout_at(deadline, task).await {
            Ok(Ok(clean)) => clean,
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

impl Drop for SessionHandle {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            self.shared.close();
        }
    }
}

/// Keeps the session until it is stopped. Returns whether the broker was told.
async fn keep(
    shared: Arc<Shared>,
    settings: MqttSettings,
    mut status: Option<Arc<Status>>,
    subscriptions: Arc<[String]>,
    mut stopped: watch::Receiver<Option<Instant>>,
) -> bool {
    let mut backoff = Backoff::new(settings.reconnect_min_s.0, settings.reconnect_max_s.0);
    let clean = loop {
        let connection = Connection::new(&shared, &settings, status.as_deref(), &subscriptions);
        let end = connection.serve(&mut stopped).await;
        shared.acknowledgements().begin_generation();
        shared.statistics.unacknowledged.set(0);
        shared.statistics.set_connected(false);
        let (reason, lasted) = match end {
            End::Stopped { clean } => break clean,
            End::Lost { reason, lasted } => (reason, lasted),
        };
        let was_stable = lasted >= STABLE_AFTER;
        let given_up = shared.outbox().disconnect(!was_stable);
        shared.progress.notify_waiters();
        if let Some(topic) = given_up {
            if status.as_ref().is_some_and(|status| *status.topic == *topic) {
                status = None;
            }
            shared.tell_refused(&topic, "the connection was lost over it, again and again".to_owned());
        }
        if was_stable {
            backoff.succeeded();
        }
        let retry_in = backoff.next_wait(&mut rand::rng());
        shared.statistics.count_disconnect(&reason);
        let attempts = backoff.failures();
        let broker = settings.address();
        let retry_in_s = retry_in.as_secs_f32();
        if reason.needs_a_person() {
            error!(broker, %reason, attempts, retry_in_s, "no connection to the broker");
        } else {
            warn!(broker, %reason, attempts, retry_in_s, "no connection to the broker");
        }
        shared.tell(SessionEvent::Disconnected { reason, retry_in });
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            _ = stopped.wait_for(Option::is_some) => break false,
        }
    };
    info!(clean, "mqtt session ended");
    shared.close();
    clean
}
