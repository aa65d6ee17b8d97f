//! What a model was trained on, and how good it was there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::forecast::baseline::Climatology;
use crate::weather::site::Site;

/// How a record was split in time: fractions of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// Fraction of the rows, from the first, that was trained on.
    pub train: f64,
    /// Fraction, after that, that chose the epoch.
    pub validation: f64,
}

/// What a model was refitted on after it had been chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refit {
    /// From the validation part too; the test part still evaluates it.
    Validation,
    /// From the whole record; nothing of it is left to evaluate it on.
    Whole,
}

impl Refit {
    /// The name, as a manifest writes it: `validation` or `whole`.
    pub fn name(self) -> &'static str {
        match self {
            Refit::Validation => "validation",
            Refit::Whole => "whole",
        }
    }
}

/// The record that a model was trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name of the file, without folders.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// The number of readings; of many stations, of hours at which a window can end.
    pub rows: u64,
    /// Time of the first reading.
    pub first: Timestamp,
    /// Time of the last reading.
    pub last: Timestamp,
    /// How it was split.
    pub split: Split,
    /// What the model was refitted on, for as long, after the split had chosen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refit: Option<Refit>,
    /// What the generator of random numbers started from.
    pub seed: u64,
    /// The name of the experiment.
    pub experiment: String,
    /// The settings of the experiment, as the trainer writes them.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// What the temperature usually is, from what was trained on: a baseline for any record of the station.
    #[serde(default)]
    pub climatology: Option<Climatology>,
    /// Of a model that was trained on many stations: those records of them that somebody may want to evaluate it on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<TrainedRecord>,
}

/// One record among the many that a model was trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedRecord {
    /// Name of the file, without folders.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Where the station stands.
    pub site: Site,
    /// The first reading that was trained on.
    pub first: Timestamp,
    /// The last reading that was trained on, or chosen by.
    pub last: Timestamp,
}

/// Errors of one lead over one part of the record, °C.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeadScore {
    /// Lead in hours.
    pub lead_h: u32,
    /// Mean absolute error of the model.
    pub mae: f64,
    /// Root mean square error of the model.
    pub rmse: f64,
    /// Mean absolute error of persistence.
    pub persistence_mae: f64,
    /// Mean absolute error of the same time yesterday, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yesterday_mae: Option<f64>,
    /// Mean absolute error of the climatology of what was trained on, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub climatology_mae: Option<f64>,
    /// Fraction of outcomes within the interval, where the model gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
}

impl LeadScore {
    /// Whether every score is a number.
    pub fn is_finite(&self) -> bool {
        let optional = [self.yesterday_mae, self.climatology_mae, self.coverage];
        let scores =
            [self.mae, self.rmse, self.persistence_mae].into_iter().chain(optional.into_iter().flatten());
        scores.into_iter().all(f64::is_finite)
    }
}

/// Scores over one part of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartScores {
    /// `validation` or `test`.
    pub part: String,
    /// Whether they are those of the model before it was trained on this part too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_refit: bool,
    /// The number of forecasts that the scores are means over.
    pub forecasts: u64,
    /// The scores of each lead, rising.
    pub leads: Vec<LeadScore>,
}
