//! forecastd: a live temperature forecast for every weather station.
//!
//! `ARCHITECTURE.md` has the map of the modules and the life of a reading. This package is the program: wiring and edges. The
//! middle, `forecastd_core`, is pure: it takes readings and time and gives forecasts and effects.

pub mod command;
pub mod config;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
mod error_chain;
pub mod http;
mod model_location;
pub mod operations;
pub mod wire;

pub use model_location::{BUILT_IN, ModelLocation};
