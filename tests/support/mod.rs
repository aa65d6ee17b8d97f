//! What several test binaries need.

#![allow(dead_code, unused_imports)]

pub mod artefact;
pub mod client;
pub mod installation;
pub mod mosquitto;
pub mod patience;
pub mod promtool;
pub mod scripted_broker;
