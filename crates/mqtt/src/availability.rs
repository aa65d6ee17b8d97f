//! Whether we are there, said on a topic of its own.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::Message;

/// The topic that says whether we are there, retained, and what stands on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The topic, without wildcards.
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

    pub(crate) fn message(&self, payload: &Bytes) -> Message {
        Message::retained(Arc::<str>::from(self.topic.as_str()), payload.clone())
    }
}
