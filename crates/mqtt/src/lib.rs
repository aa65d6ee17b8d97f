//! MQTT 5: one session with one broker, kept for as long as the process runs.
//!
//! | file | noun |
//! | --- | --- |
//! | `settings` | how to reach the broker and how much to hold |
//! | `session` | the task that owns the connection: connects, subscribes, publishes, acknowledges, starts again |
//! | `connection` | one connection: the client library is spoken to here and nowhere else |
//! | `acknowledgements` | PUBACKs: completed in any order, sent in the order of arrival |
//! | `outbox` | what waits to be published, what is not acknowledged yet, the newest retained message by topic |
//! | `publisher` | the way into the outbox, from any task |
//! | `inbox` | what arrived and was not taken yet |
//! | `backoff` | how long to wait before the next attempt |
//! | `disconnect` | why a connection ended |
//! | `statistics` | counters of all that, for the metrics |
//!
//! `acknowledgements`, `outbox` and `backoff` are pure. No state of the client library outlives a connection:
//! each connection gets a new client and event loop, fed from our own outbox, so that neither a collision of
//! packet identifiers nor a lost session can follow us into the next one.

mod acknowledgements;
mod backoff;
mod connection;
mod disconnect;
mod inbox;
mod outbox;
mod publisher;
mod session;
mod settings;
mod statistics;
mod topic;

pub use acknowledgements::{Acknowledgements, Ticket};
pub use backoff::Backoff;
pub use disconnect::DisconnectReason;
pub use inbox::{Acknowledgement, Inbox, Incoming, Refusal, SessionEvent};
pub use publisher::{PublishError, Publisher};
pub use session::{Session, SessionError, SessionHandle, Status};
pub use settings::{MqttSettings, Password, Seconds, SettingsError};
pub use statistics::{Count, SessionStatistics};
pub use topic::{TopicError, check_filter, check_topic};
