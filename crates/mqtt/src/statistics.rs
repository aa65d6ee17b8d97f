//! Counters of one session, for the metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::disconnect::DisconnectReason;

/// One counter that only grows, or one gauge.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// What a session counted since its start. Every field can be read at any time, from any thread.
#[derive(Debug, Default)]
pub struct SessionStatistics {
    /// Whether the session is connected and subscribed now.
    connected: AtomicBool,
    /// Attempts to connect.
    pub attempts: Count,
    /// Connections that the broker accepted.
    pub connects: Count,
    /// Of these, the ones for which the broker still had our session.
    pub sessions_resumed: Count,
    /// Connections lost and attempts failed, by the place of the reason in [`DisconnectReason::LABELS`].
    disconnects: [Count; DisconnectReason::LABELS.len()],
    /// Messages that arrived.
    pub received: Count,
    /// Of these, the ones that the broker marked as sent before.
    pub redelivered: Count,
    /// Messages at QoS 0 that were dropped because nobody took them in time.
    pub dropped_overflow: Count,
    /// Messages dropped because their payload was larger than allowed; they are acknowledged.
    pub dropped_oversized: Count,
    /// Messages dropped because their topic was not UTF-8; they are acknowledged.
    pub dropped_topic: Count,
    /// Acknowledgements sent for messages that arrived.
    pub acknowledgements: Count,
    /// Messages that arrived on this connection and are not acknowledged (gauge).
    pub unacknowledged: Count,
    /// Messages handed in for publication.
    pub published: Count,
    /// Messages sent, repetitions and republications included.
    pub sent: Count,
    /// Messages that the broker acknowledged.
    pub publications_acknowledged: Count,
    /// Messages that the broker refused.
    pub publications_refused: Count,
    /// Messages handed in and replaced by a newer one for the same topic before the broker acknowledged them.
    pub publications_replaced: Count,
    /// Messages handed in and dropped for want of room, or because their topic is one too many.
    pub publications_dropped: Count,
    /// Messages that expired before the broker acknowledged them.
    pub publications_expired: Count,
    /// Messages that wait to be sent or acknowledged (gauge).
    pub in_flight: Count,
    /// Subscriptions that the broker refused.
    pub subscriptions_refused: Count,
    /// Of these, the ones on this connection (gauge).
    pub subscriptions_refused_now: Count,
}

impl SessionStatistics {
    /// Whether the session is connected now, and its subscriptions are answered.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Connections lost and attempts failed, by label.
    pub fn disconnects(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        DisconnectReason::LABELS.iter().copied().zip(self.disconnects.iter().map(Count::get))
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(crate) fn count_disconnect(&self, reason: &DisconnectReason) {
        self.disconnects[reason.index()].add(1);
    }
}
