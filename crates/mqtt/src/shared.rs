//! What the task of a session, its publishers, its inbox and its acknowledgements share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use crate::acknowledgements::Acknowledgements;
use crate::news::{News, Refusal};
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::rate_limit::{Kind, RateLimitedLog};
use crate::statistics::SessionStatistics;

#[derive(Debug)]
pub(crate) struct Shared {
    outbox: Mutex<Outbox>,
    inbox: Mutex<Queue>,
    acknowledgements: Mutex<Acknowledgements<rumqttc::ManualAck>>,
    log: Mutex<RateLimitedLog>,
    /// The task has something to send.
    pub(crate) wake: Notify,
    /// The inbox has something to take.
    pub(crate) arrived: Notify,
    /// Messages were sent or settled, or the session ended.
    pub(crate) progress: Notify,
    /// Whether the end was asked for: from then on a dropped acknowledgement acknowledges nothing.
    ending: AtomicBool,
    /// Whether the session has ended.
    closed: AtomicBool,
    pub(crate) statistics: Arc<SessionStatistics>,
}

/// No holder of these locks can panic in the middle of a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(outbox: Outbox, inbox: Queue) -> Shared {
        Shared {
            outbox: Mutex::new(outbox),
            inbox: Mutex::new(inbox),
            acknowledgements: Mutex::new(Acknowledgements::default()),
            log: Mutex::new(RateLimitedLog::default()),
            wake: Notify::new(),
            arrived: Notify::new(),
            progress: Notify::new(),
            ending: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            statistics: Arc::new(SessionStatistics::default()),
        }
    }

    pub(crate) fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    pub(crate) fn inbox(&self) -> MutexGuard<'_, Queue> {
        lock(&self.inbox)
    }

    pub(crate) fn acknowledgements(&self) -> MutexGuard<'_, Acknowledgements<rumqttc::ManualAck>> {
        lock(&self.acknowledgements)
    }

    /// Whether something of this kind may be logged now; if so, how often it was left out since the last time.
    pub(crate) fn may_log(&self, kind: Kind) -> Option<u64> {
        lock(&self.log).admit(kind, Instant::now())
    }

    pub(crate) fn tell(&self, news: News) {
        self.inbox().push_news(news);
        self.arrived.notify_one();
    }

    /// The broker refused a message, or would.
    pub(crate) fn tell_refused(&self, topic: &str, reason: String) {
        self.statistics.publications_refused.add(1);
        if let Some(unsaid) = self.may_log(Kind::RefusedPublication) {
            warn!(topic, reason, unsaid, "broker refuses a message");
        }
        let topic = topic.to_owned();
        self.tell(News::Refused(Refusal::Publication { topic, reason }));
    }

    /// The end was asked for.
    pub(crate) fn begin_ending(&self) {
        self.ending.store(true, Ordering::Release);
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.begin_ending();
        self.closed.store(true, Ordering::Release);
        self.statistics.set_connected(false);
        // Messages that nobody took are not acknowledged: the broker keeps them for the next start.
        self.acknowledgements().begin_generation();
        self.inbox().close();
        self.arrived.notify_one();
        self.progress.notify_waiters();
    }
}
