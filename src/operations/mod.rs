//! What the program tells its operator: events as log lines and metrics, health, the service manager.

pub mod descriptors;
pub mod events;
pub mod health;
pub mod metrics;
pub mod oddity;
mod rate_limit;
pub mod systemd;

pub use rate_limit::RateLimitedLog;
