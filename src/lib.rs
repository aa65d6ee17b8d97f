//! forecastd: a live temperature forecast for every weather station.
//!
//! `ARCHITECTURE.md` has the map of the rooms and the life of a reading. The middle is pure: [`station`] takes
//! readings and time and gives forecasts and effects, and is tested without sockets, clocks or files.

#![warn(missing_docs)]

pub mod broker;
pub mod cholesky;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod evaluate;
pub mod faults;
pub mod feature;
pub mod fetch;
pub mod forecast;
pub mod formats;
pub mod grid;
pub mod health;
pub mod history;
pub mod http;
pub mod inspect;
pub mod journal;
pub mod metrics;
pub mod model;
pub mod mqtt;
pub mod quantity;
pub mod reading;
pub mod record;
pub mod replay;
pub mod report;
pub mod screening;
pub mod simulation;
pub mod solar;
pub mod station;
pub mod systemd;
pub mod thermodynamics;
#[cfg(feature = "train")]
pub mod train;
pub mod units;
pub mod whole_file;
pub mod window;
