//! What a session tells of itself.

use std::time::Duration;

use crate::disconnect::DisconnectReason;

/// What a session tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The broker accepted us. Messages that it kept for us follow; what waited for publication goes out as soon as it
    /// has accepted our subscriptions, too.
    Connected {
        /// Whether it still had our session.
        session_present: bool,
    },
    /// The broker has answered our subscriptions, and dropped the obsolete ones: from now on messages reach us, and ours
    /// go out.
    Subscribed,
    /// The connection was lost, or an attempt to connect failed.
    Disconnected {
        /// What the broker or the network did.
        reason: DisconnectReason,
        /// The next attempt is this far away.
        retry_in: Duration,
        /// What is likely behind it, once the same has happened a few times in a row.
        likely: Option<&'static str>,
    },
    /// The broker refused a subscription or a publication.
    Refused(Refusal),
}

/// What the broker refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The broker does not let us subscribe to a filter.
    Subscription {
        /// The topic filter of the subscription.
        filter: String,
        /// The broker's reason.
        reason: String,
    },
    /// The broker did not take a message.
    Publication {
        /// The topic of the message.
        topic: String,
        /// The broker's reason.
        reason: String,
    },
}
