//! The way into the outbox, from any task.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::outbox::{Message, Offer, WhenFull};
use super::session::Shared;
use super::topic::{TopicError, check_topic};

/// Publishes messages of one session, at QoS 1. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

/// Why a message cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The topic cannot be.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// As many messages as the queue holds wait already.
    #[error("the queue of messages to publish is full")]
    Full,
    /// The session has ended.
    #[error("the mqtt session has ended")]
    Closed,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>) -> Publisher {
        Publisher { shared }
    }

    /// Hands in a message; never waits. Returns its number: see [`Publisher::settled`].
    ///
    /// A retained message is a state: when the broker is away or the queue is full, only the newest of its topic is
    /// kept and sent later, and it is sent again on every connection.
    ///
    /// # Errors
    /// [`PublishError::Full`] for a message that is not retained, or whose topic is one too many to be kept, when
    /// the queue is full: the message is dropped and counted. [`PublishError::Topic`] and [`PublishError::Closed`].
    pub fn publish(
        &self,
        topic: impl Into<Arc<str>>,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<u64, PublishError> {
        let message = Message { topic: topic.into(), payload: payload.into(), retain };
        check_topic(&message.topic)?;
        let offer = self.offer(message, WhenFull::Defer);
        if offer == Err(PublishError::Full) {
            self.shared.statistics.publications_dropped.add(1);
        }
        offer
    }

    /// Hands in a message and waits while the queue is full: for those who would rather slow down than skip.
    ///
    /// A retained message does not wait for a broker that is away: it replaces the one kept for its topic. Safe to
    /// cancel: the message is either handed in or not.
    ///
    /// # Errors
    /// [`PublishError::Topic`] and [`PublishError::Closed`].
    pub async fn publish_wait(
        &self,
        topic: impl Into<Arc<str>>,
        payload: impl Into<Bytes>,
        retain: bool,
    ) -> Result<u64, PublishError> {
        let message = Message { topic: topic.into(), payload: payload.into(), retain };
        check_topic(&message.topic)?;
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            match self.offer(message.clone(), WhenFull::Refuse) {
                Err(PublishError::Full) => progress.await,
                result => return result,
            }
        }
    }

    fn offer(&self, message: Message, when_full: WhenFull) -> Result<u64, PublishError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        let offer = self.shared.outbox().offer(message, when_full);
        let Offer::Accepted { sequence, replaced } = offer else {
            return Err(PublishError::Full);
        };
        self.shared.statistics.published.add(1);
        if replaced {
            self.shared.statistics.publications_replaced.add(1);
        }
        self.shared.wake.notify_one();
        Ok(sequence)
    }

    /// Every message with a lower number was acknowledged by the broker, refused by it, or replaced by a newer one
    /// for its topic.
    pub fn settled(&self) -> u64 {
        self.shared.outbox().settled()
    }

    /// Waits until [`Publisher::settled`] is at least `number`, or the session ends.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the session ends before.
    pub async fn wait_settled(&self, number: u64) -> Result<(), PublishError> {
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.settled() >= number {
                return Ok(());
            }
            if self.shared.closed.load(Ordering::Acquire) {
                return Err(PublishError::Closed);
            }
            progress.await;
        }
    }
}
