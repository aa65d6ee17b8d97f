//! One session with one broker, kept for as long as the process runs: a task that connects, serves the connection
//! until it ends, waits, and connects again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::connection::{Connection, End};
use crate::inbox::Inbox;
use crate::likely::Likely;
use crate::news::News;
use crate::outbox::Outbox;
use crate::publisher::Publisher;
use crate::purpose::Purpose;
use crate::queue::Queue;
use crate::settings::{MqttSettings, SettingsError};
use crate::shared::Shared;
use crate::statistics::SessionStatistics;
use crate::topic::{TopicError, check_filter, check_topic};

/// A connection that lasted this long proves that the broker is well: the next wait is short again.
const STABLE_AFTER: Duration = Duration::from_secs(10);

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
    /// # Errors
    /// [`SessionError`] when settings, topic or filters are at fault, or a file they name cannot be read. A broker
    /// that is away is no error.
    pub fn start(
        settings: &MqttSettings,
        mut purpose: Purpose,
    ) -> Result<(Publisher, Inbox, SessionHandle), SessionError> {
        if let Some(fault) = settings.faults().into_iter().next() {
            return Err(fault.into());
        }
        settings.resolve_password()?;
        if let Some(status) = &purpose.status {
            check_topic(&status.topic)?;
        }
        let filters: Vec<String> = purpose.wanted().chain(&purpose.live).cloned().collect();
        filters.iter().try_for_each(|filter| check_filter(filter))?;
        purpose.obsolete.retain(|filter| !filters.contains(filter) && check_filter(filter).is_ok());

        let topics = settings.retained_topics.max(purpose.retained_topics);
        let outbox = Outbox::new(settings.publish_queue, topics);
        let inbox = Queue::new(usize::from(settings.receive_maximum));
        let shared = Arc::new(Shared::new(outbox, inbox));
        let (stop, stopped) = watch::channel(None);
        let task = tokio::spawn(keep(Arc::clone(&shared), settings.clone(), purpose, stopped));
        let handle = SessionHandle { stop, task: Some(task), shared: Arc::clone(&shared) };
        Ok((Publisher::new(Arc::clone(&shared)), Inbox::new(shared), handle))
    }
}

impl SessionHandle {
    /// The counters of this session.
    pub fn statistics(&self) -> Arc<SessionStatistics> {
        Arc::clone(&self.shared.statistics)
    }

    /// Ends the session: sends what waits, then `offline`, then says goodbye, all `within` a time. Returns, after that
    /// time at the latest, whether it worked out; a broker that never acknowledges cannot hold it up, and then publishes
    /// the last will.
    ///
    /// The broker keeps the session, and messages for it, until the session expires. Acknowledgements completed before
    /// this call are sent; those completed later may be. A message whose [`Acknowledgement`](crate::Acknowledgement)
    /// was not completed is not acknowledged, whether it was never taken, is held on, or is dropped from this call on: the
    /// broker delivers it again next time.
    pub async fn stop(mut self, within: Duration) -> bool {
        self.shared.begin_ending();
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
    mut purpose: Purpose,
    mut stopped: watch::Receiver<Option<Instant>>,
) -> bool {
    let mut backoff = Backoff::new(settings.reconnect_min_s.0, settings.reconnect_max_s.0);
    let mut likely = Likely::default();
    let clean = loop {
        let connection = Connection::new(&shared, &settings, &mut purpose);
        let end = connection.serve(&mut stopped).await;
        shared.acknowledgements().begin_generation();
        shared.statistics.unacknowledged.set(0);
        shared.statistics.set_connected(false);
        let (reason, lasted) = match end {
            End::Stopped { clean } => break clean,
            End::Lost { reason, lasted } => (reason, lasted),
        };
        let was_stable = lasted.is_some_and(|lasted| lasted >= STABLE_AFTER);
        // Not a message is to blame, but a broker that does not answer.
        let given_up = shared.outbox().disconnect(!was_stable && !reason.is_neglect());
        shared.progress.notify_waiters();
        if let Some(topic) = given_up {
            if purpose.status.as_ref().is_some_and(|status| *status.topic == *topic) {
                purpose.status = None;
            }
            shared.tell_refused(&topic, "the connection was lost over it, again and again".to_owned());
        }
        if was_stable && !reason.is_neglect() {
            backoff.succeeded();
        }
        let retry_in = backoff.next_wait(&mut rand::rng());
        shared.statistics.count_disconnect(&reason);
        let attempts = backoff.failures();
        let broker = settings.address();
        // As a person would say it.
        let retry_in_s = retry_in.as_millis().div_ceil(100) as f64 / 10.0;
        let likely = likely.ended(&reason, lasted, STABLE_AFTER);
        if reason.is_permanent() || reason.is_neglect() {
            error!(broker, %reason, likely, attempts, retry_in_s, "no connection to the broker");
        } else {
            warn!(broker, %reason, likely, attempts, retry_in_s, "no connection to the broker");
        }
        shared.tell(News::Disconnected { reason, retry_in, likely });
        tokio::select! {
            () = tokio::time::sleep(retry_in) => {}
            _ = stopped.wait_for(Option::is_some) => break false,
        }
    };
    info!(clean, "mqtt session ended");
    shared.close();
    clean
}
