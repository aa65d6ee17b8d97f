//! The way into the outbox, from any task.

use std::sync::Arc;

use tokio::time::Instant;

use crate::message::Message;
use crate::outbox::{Offer, Settlement};
use crate::shared::Shared;
use crate::topic::{TopicError, check_topic};

/// Publishes messages of one session, at QoS 1. Cheap to clone.
///
/// Every message gets a number, counted from 0. A message is *settled* when the broker has acknowledged it, has refused
/// it, or when it has expired; a retained one that a newer one of its topic replaced before it was acknowledged is settled
/// when that one is. Never earlier: whoever remembers, over a crash, what was not settled and publishes it again, loses
/// nothing.
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
    /// As many messages as the queue holds wait already; the message is not retained.
    #[error("the queue of messages to publish is full")]
    Full,
    /// The message is retained, and its topic is one more than the session keeps.
    #[error("topic is one more than mqtt.retained_topics")]
    TooManyTopics,
    /// The session has ended.
    #[error("the mqtt session has ended")]
    Closed,
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>) -> Publisher {
        Publisher { shared }
    }

    /// Hands in a message; never waits. Returns its number.
    ///
    /// A retained message is a state, and finds room while the broker is away and while the queue is full. While the
    /// broker is there every one goes out, in order, whatever the capacity: a publisher that can slow down looks at
    /// [`Publisher::has_room`] before it causes more. While the broker is away only the newest of each topic is kept and
    /// sent later, and it is sent again on every connection until its topic is cleared ([`Message::clearing`]), or it
    /// expires.
    ///
    /// # Errors
    /// [`PublishError::Full`] for a message that is not retained when the queue is full, and
    /// [`PublishError::TooManyTopics`] for one that is when its topic is not kept and as many are as may be: the message
    /// is dropped and counted. [`PublishError::Topic`] and [`PublishError::Closed`].
    pub fn publish(&self, message: Message) -> Result<u64, PublishError> {
        check_topic(&message.topic)?;
        self.offer(message).inspect_err(|error| self.count_dropped(error))
    }

    /// Gives a topic up, on which nothing more is published: its newest retained message stays with the broker, but is not sent
    /// again on later connections, and the topic does not count as kept any more once the broker has that message.
    pub fn give_up(&self, topic: &str) {
        self.shared.outbox().give_up(topic);
    }

    /// Waits for room and hands in a message: for those who would rather slow down than skip. Returns its number.
    ///
    /// Safe to cancel: the message is either handed in or not. While the broker is away a retained message does not
    /// wait: it replaces the one kept for its topic, and takes no room.
    ///
    /// # Errors
    /// [`PublishError::TooManyTopics`], [`PublishError::Topic`] and [`PublishError::Closed`].
    pub async fn publish_wait(&self, message: Message) -> Result<u64, PublishError> {
        check_topic(&message.topic)?;
        loop {
            self.room_for(message.retain).await?;
            match self.offer(message.clone()) {
                Err(PublishError::Full) => {}
                result => return result.inspect_err(|error| self.count_dropped(error)),
            }
        }
    }

    fn count_dropped(&self, error: &PublishError) {
        if matches!(error, PublishError::Full | PublishError::TooManyTopics) {
            self.shared.statistics.publications_dropped.add(1);
        }
    }

    fn offer(&self, message: Message) -> Result<u64, PublishError> {
        if self.shared.is_closed() {
            return Err(PublishError::Closed);
        }
        let offer = self.shared.outbox().offer(message, Instant::now());
        let (sequence, replaced) = match offer {
            Offer::Accepted { sequence, replaced } => (sequence, replaced),
            Offer::Full => return Err(PublishError::Full),
            Offer::TooManyTopics => return Err(PublishError::TooManyTopics),
        };
        self.shared.statistics.published.add(1);
        if replaced {
            self.shared.statistics.publications_replaced.add(1);
        }
        self.shared.wake.notify_one();
        Ok(sequence)
    }

    /// Whether the queue is below its capacity (`mqtt.publish_queue`): messages that are kept for their topic while the
    /// broker is away, and their repetitions on a new connection, do not count. Cheap.
    pub fn has_room(&self) -> bool {
        self.shared.outbox().has_room()
    }

    /// Waits until [`Publisher::has_room`]. Safe to cancel.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the session has ended.
    pub async fn room(&self) -> Result<(), PublishError> {
        self.when(|| self.has_room().then_some(())).await
    }

    /// Room for a message, for one who waits: while the broker is away a retained one takes none.
    async fn room_for(&self, retain: bool) -> Result<(), PublishError> {
        let takes_none = || retain && !self.shared.statistics.is_connected();
        self.when(|| (takes_none() || self.has_room()).then_some(())).await
    }

    /// The lowest number that is not settled: every message with a lower one is. Cheap.
    pub fn settled(&self) -> u64 {
        self.shared.outbox().settled()
    }

    /// [`Publisher::settled`], and what it is worth: a message with a number of [`Settlement::since`] on was acknowledged,
    /// refused, or expired. One before was, if its number is below [`Settlement::settled_before`] and no more than one
    /// connection was lost since it was handed in; of the others, all but the newest of each topic may have been replaced.
    pub fn settlement(&self) -> Settlement {
        self.shared.outbox().settlement()
    }

    /// Waits until [`Publisher::settled`] is at least `number`; returns it. Safe to cancel.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the session ends before.
    pub async fn wait_settled(&self, number: u64) -> Result<u64, PublishError> {
        self.when(|| Some(self.settled()).filter(|settled| *settled >= number)).await
    }

    /// Waits until `look` sees something, which it does after progress of the outbox at the latest.
    async fn when<T>(&self, look: impl Fn() -> Option<T>) -> Result<T, PublishError> {
        loop {
            let progress = self.shared.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if let Some(seen) = look() {
                return Ok(seen);
            }
            if self.shared.is_closed() {
                return Err(PublishError::Closed);
            }
            progress.await;
        }
    }
}
