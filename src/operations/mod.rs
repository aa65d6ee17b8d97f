//! What the program tells its operator: metrics, health, log lines, the service manager.

pub mod descriptors;
pub mod health;
pub mod http;
pub mod metrics;
pub mod notices;
pub mod systemd;
