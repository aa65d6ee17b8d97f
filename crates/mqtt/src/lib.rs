//! MQTT 5: one session with one broker, kept for as long as the process runs.
//!
//! | module | contents |
//! | --- | --- |
//! | `settings` | how to reach the broker and how much to hold |
//! | `purpose` | what a session is for: its topics |
//! | `availability` | the topic that says whether we are there |
//! | `session` | the task that owns the connection: connects, waits, connects again, ends |
//! | `connection` | one connection: subscribes, publishes, acknowledges |
//! | `client_options`, `reason` | what the client library is told, and what its errors mean |
//! | `acknowledgements` | PUBACKs: completed in any order, sent in the order of arrival |
//! | `message` | a message to be published |
//! | `outbox` | what waits to be published, what is not acknowledged yet, the newest retained message by topic |
//! | `publisher` | the way into the outbox, from any task |
//! | `queue` | what arrived and was not taken yet |
//! | `inbox` | the way out of the queue, and the right to acknowledge |
//! | `news` | what a session tells of itself |
//! | `shared` | what the task, its publishers, its inbox and its acknowledgements share |
//! | `backoff` | how long to wait before the next attempt |
//! | `disconnect` | why a connection ended |
//! | `likely` | what is likely behind connections that end again and again |
//! | `rate_limit`, `foreign` | log lines that others cause, and the text that others write into them |
//! | `statistics` | counters of all that, for the metrics |
//! | `topic` | what may stand as a topic or a topic filter |
//!
//! `acknowledgements`, `outbox`, `queue`, `backoff`, `likely` and `rate_limit` are pure: the time is passed in. No state of the client library outlives a connection:
//! each connection gets a new client and event loop, fed from our own outbox, so that neither a collision of
//! packet identifiers nor a lost session can follow us into the next one.

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod acknowledgements;
mod availability;
mod backoff;
mod client_options;
mod connection;
mod disconnect;
mod foreign;
mod inbox;
mod likely;
mod message;
mod news;
mod outbox;
mod publisher;
mod purpose;
mod queue;
mod rate_limit;
mod reason;
mod session;
mod settings;
mod shared;
mod statistics;
mod topic;

pub use acknowledgements::{Acknowledgements, Ticket};
pub use availability::Status;
pub use backoff::Backoff;
pub use disconnect::DisconnectReason;
pub use inbox::{Acknowledgement, Inbox, Incoming, SessionEvent};
pub use message::Message;
pub use news::{News, Refusal};
pub use outbox::Settlement;
pub use publisher::{PublishError, Publisher};
pub use purpose::Purpose;
pub use session::{Session, SessionError, SessionHandle};
pub use settings::{MqttSettings, MqttTransport, Password, Seconds, SettingsError, SettingsWarning};
pub use statistics::{Count, SessionStatistics};
pub use topic::{TopicError, check_filter, check_topic};
