//! What a session is for.

use crate::availability::Status;

/// What a session is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// The topic that says whether we are there.
    pub status: Option<Status>,
    /// Topic filters that are subscribed to, at QoS 1, on every connection.
    pub subscriptions: Vec<String>,
    /// Topic filters subscribed to like `subscriptions`, but of what others publish from now on: without what was retained before,
    /// and without what this session publishes itself.
    pub of_others: Vec<String>,
    /// Topic filters subscribed to like `of_others` that the session does not depend on: where the broker refuses one, that is
    /// said and not counted among the subscriptions that are missing.
    pub live: Vec<String>,
    /// Topic filters that an earlier session of this client id subscribed to and that are not wanted any more: the
    /// broker keeps a subscription for as long as it keeps the session. They are given up when the broker resumes the
    /// session, unless they are among the above; [`News::Subscribed`](crate::News::Subscribed) comes after.
    pub obsolete: Vec<String>,
    /// Topics that retained messages will be published on, at the least: so many are kept even if the settings
    /// (`mqtt.retained_topics`) say fewer.
    pub retained_topics: usize,
}

impl Purpose {
    /// To receive what is published on topics that match `subscriptions`, and to publish.
    pub fn subscribing(subscriptions: Vec<String>) -> Purpose {
        Purpose { subscriptions, ..Purpose::default() }
    }

    /// The topic filters that the session depends on, in the order in which they are subscribed to.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &String> {
        self.subscriptions.iter().chain(&self.of_others)
    }
}
