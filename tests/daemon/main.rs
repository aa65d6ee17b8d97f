//! The daemon as its neighbours see it: the real program between a real mosquitto and an HTTP client.
//!
//! The model says `newest temperature + change · lead`, so that every number here can be worked out by hand.

#[path = "../support/mod.rs"]
mod support;

mod broker;
mod durability;
mod forecasts;
mod home_assistant;
mod hostile;
mod models;
mod readings;
mod scrape;
mod shutdown;
mod sources;
mod specialists;

use std::collections::{BTreeMap, BTreeSet};

use forecastd_testkit::artefact;
use forecastd_testkit::client::{Client, at, reading};
use forecastd_testkit::mosquitto::{Mosquitto, Options};
use forecastd_testkit::patience::{PATIENCE, until};
use forecastd_testkit::scripted_broker;
use serde_json::{Value, json};
use support::installation::Installation;

/// Samples of the model's window: readings must span two hours.
const SAMPLES: usize = 3;
const HOUR: i64 = 60;

/// The temperature that a forecast gives for a lead.
fn lead_c(forecast: &Value, lead_h: u64) -> f64 {
    let leads = forecast["leads"].as_array().unwrap();
    let lead = leads.iter().find(|lead| lead["lead_h"] == lead_h).unwrap();
    lead["temperature_c"].as_f64().unwrap()
}
