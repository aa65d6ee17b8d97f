//! A message to be published.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

/// A message to be published, at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    /// Whether the broker keeps it for those who come later.
    pub(crate) retain: bool,
    /// When it has become worthless.
    pub(crate) deadline: Option<Instant>,
}

impl Message {
    /// A message for those who listen now.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), retain: false, deadline: None }
    }

    /// A message that the broker keeps for those who come later, until the next one of its topic: a state. An empty
    /// payload clears the topic, as with [`Message::clearing`].
    pub fn retained(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Message {
        Message { retain: true, ..Message::new(topic, payload) }
    }

    /// Takes back what the broker keeps for `topic`. Once the broker has acknowledged it, nothing of the topic is
    /// remembered here either.
    pub fn clearing(topic: impl Into<Arc<str>>) -> Message {
        Message::retained(topic, Bytes::new())
    }

    /// The message is worthless at `deadline`. Until it is sent it waits no longer than that; the broker is told the
    /// whole seconds that are left (MQTT 5 message expiry interval, section 3.3.2.3.3), rounded up.
    #[must_use]
    pub fn expires_at(self, deadline: Instant) -> Message {
        Message { deadline: Some(deadline), ..self }
    }

    /// The message is worthless `after` a time: see [`Message::expires_at`]. A time beyond the clock's range is no
    /// limit.
    #[must_use]
    pub fn expires_in(self, after: Duration) -> Message {
        Message { deadline: Instant::now().checked_add(after), ..self }
    }

    /// Whether it clears its topic.
    pub(crate) fn is_clearing(&self) -> bool {
        self.retain && self.payload.is_empty()
    }

    /// Whether it is worthless at `now`.
    pub(crate) fn has_expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whole seconds that are left at `now`, rounded up, as MQTT says them.
    pub(crate) fn expiry_interval_s(&self, now: Instant) -> Option<u32> {
        let left = self.deadline?.saturating_duration_since(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_told_the_whole_seconds_that_are_left() {
        let now = Instant::now();
        let message = Message::new("a", "b").expires_at(now + Duration::from_millis(2500));
        assert_eq!(message.expiry_interval_s(now), Some(3));
        assert_eq!(message.expiry_interval_s(now + Duration::from_millis(500)), Some(2));
        assert!(!message.has_expired(now + Duration::from_millis(2499)));
        assert!(message.has_expired(now + Duration::from_millis(2500)));
        assert_eq!(Message::new("a", "b").expiry_interval_s(now), None);
        assert_eq!(Message::new("a", "b").expires_in(Duration::MAX).deadline, None);
    }
}
