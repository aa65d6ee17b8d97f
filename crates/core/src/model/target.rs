//! What the outputs of a model are of.

use serde::{Deserialize, Serialize};

/// How the outputs of a network become temperatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// `temperature = newest temperature + mean + output · standard deviation`.
    DifferenceToNewest,
    /// `temperature = mean + output · standard deviation`.
    Value,
}

/// What the network's outputs are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// CF standard name; always `air_temperature` in this version.
    pub quantity: String,
    /// How outputs are mapped back.
    pub kind: TargetKind,
    /// What an output of 0 stands for, °C: a temperature, or a change of it where the target is the difference.
    pub mean: f32,
    /// By how much the forecast rises with each unit of an output, °C.
    pub standard_deviation: f32,
}

impl Target {
    /// The temperature in °C that an output of the network means, given the newest temperature in °C.
    pub fn temperature_c(&self, output: f32, newest_c: f32) -> f32 {
        let value = self.mean + output * self.standard_deviation;
        match self.kind {
            TargetKind::DifferenceToNewest => newest_c + value,
            TargetKind::Value => value,
        }
    }

    /// The output that means `temperature_c`: the inverse of [`Target::temperature_c`].
    pub fn output(&self, temperature_c: f32, newest_c: f32) -> f32 {
        let value = match self.kind {
            TargetKind::DifferenceToNewest => temperature_c - newest_c,
            TargetKind::Value => temperature_c,
        };
        (value - self.mean) / self.standard_deviation
    }
}
