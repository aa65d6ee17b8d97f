//! What several test binaries need.

#![allow(dead_code, unused_imports)]

pub mod artefact;
pub mod mosquitto;
pub mod scripted_broker;
