//! What people and programs are given over HTTP: the page in a headless Chromium, the API, its events, its description. The
//! real program between a real mosquitto and a real browser.
//!
//! The model says `newest temperature + change · lead`, so that numbers can be worked out by hand. Times are those of today: the
//! page says how old things are.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod described;
mod events;
mod pictures;
mod seen;
mod world;
