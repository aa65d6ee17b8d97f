//! What tests and benches of several crates need: brokers, small artefacts, a client, patience. Nothing else depends on it.

#![allow(missing_docs, reason = "a kit for tests; each file says at its head what it holds")]

#[cfg(feature = "artefact")]
pub mod artefact;
pub mod browser;
pub mod client;
pub mod events;
#[cfg(feature = "artefact")]
pub mod hostile;
pub mod mosquitto;
pub mod needed;
pub mod patience;
pub mod promtool;
pub mod scripted_broker;
