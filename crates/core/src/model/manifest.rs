//! The manifest: everything that a model's numbers mean, in one JSON document inside the ONNX file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::excerpt::{excerpt, excerpt_of_list};
use super::normalisation::Normalisation;
use crate::forecast::baseline::Climatology;
use crate::model::ranges::Ranges;
use crate::weather::quantity::Quantity;
use crate::weather::reading::{StationName, StationNameError};
use crate::weather::site::Site;
use crate::window::history::History;
use crate::window::spec::{WindowSpec, WindowSpecError};

/// The key in ONNX' `metadata_props` under which the manifest stands.
pub const MANIFEST_KEY: &str = "forecastd.manifest";

/// The manifest's format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;

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
    /// °C.
    pub mean: f32,
    /// °C.
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
    /// From the validation part too; the test part still judges it.
    Validation,
    /// From the whole record; nothing of it is left to judge it by.
    Whole,
}

impl Refit {
    /// Its name.
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
    /// Rows read.
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
    /// What the temperature usually is, from what was learned from: a baseline for any record of the station.
    #[serde(default)]
    pub climatology: Option<Climatology>,
    /// Of a model that learned from many stations: those records of them that somebody may want to evaluate it on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<TrainedRecord>,
}

/// What was learned from one record among many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedRecord {
    /// Name of the file, without folders.
    pub file: String,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Where the station stands.
    pub site: Site,
    /// The first reading that was learned from.
    pub first: Timestamp,
    /// The last reading that was learned from, or chosen by.
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
    /// Mean absolute error of the climatology of what was learned from, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub climatology_mae: Option<f64>,
    /// Fraction of outcomes within the interval, where the model gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
}

/// Scores over one part of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartScores {
    /// `validation` or `test`.
    pub part: String,
    /// Whether they are those of the model before it learned from this part too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub before_refit: bool,
    /// Forecasts scored.
    pub forecasts: u64,
    /// By lead.
    pub leads: Vec<LeadScore>,
}

/// What a model's numbers mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The model's name in forecasts, metrics and logs.
    pub name: String,
    /// The names of the stations that a specialist is for, in any order; empty = every station at its site. The main model
    /// of a daemon is for all of its stations, whatever stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stations: Vec<String>,
    /// How the input window is cut.
    pub window: WindowSpec,
    /// Statistics of the features.
    pub normalisation: Normalisation,
    /// What the outputs are.
    pub target: Target,
    /// The leads of the outputs, in hours, rising.
    pub lead_h: Vec<u32>,
    /// The quantiles of the outputs' last dimension, rising, with 0.5 among them; empty when the outputs are
    /// point forecasts without that dimension.
    #[serde(default)]
    pub quantiles: Vec<f32>,
    /// Hours over which the lowest and the highest temperature are forecast too: two rows of outputs after those of the
    /// leads, which need quantiles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extremes_h: Option<u32>,
    /// What it has seen in its training: what lies outside is said of a station.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Ranges>,
    /// What it was trained on.
    pub training: Option<Training>,
    /// Scores beside the baselines.
    #[serde(default)]
    pub scores: Vec<PartScores>,
    /// What wrote the file.
    pub tool: String,
    /// SHA-256 of the graph's bytes, hexadecimal, which the file is checked by as it is read; written by
    /// [`Artefact::assemble`](super::Artefact::assemble), and not needed in a file that something else has made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_sha256: Option<String>,
}

/// What is wrong with a manifest. What is quoted of it is escaped and short, whatever it holds.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is longer than any is.
    #[error("manifest of {0} bytes, at most {max} are read", max = Manifest::MAX_BYTES)]
    Length(usize),
    /// It is no JSON, or a key is missing, unknown or of another type.
    #[error("manifest: {}", excerpt(&.0.to_string(), QUOTED))]
    Json(serde_json::Error),
    /// Written by a later version.
    #[error("manifest has format_version {0}, this version reads {FORMAT_VERSION}")]
    FormatVersion(u32),
    /// The window cannot be cut.
    #[error("manifest window: {0}")]
    Window(WindowSpecError),
    /// A window would have too many numbers.
    #[error(
        "manifest window of {samples} samples × {features} features is {} numbers, at most {max} are allowed",
        .samples * .features,
        max = Manifest::MAX_WINDOW_LEN
    )]
    WindowLength {
        /// Samples.
        samples: usize,
        /// Features.
        features: usize,
    },
    /// The history of one station would take too much memory.
    #[error(
        "manifest needs {slots} slots of {quantities} quantities, {} bytes for each station, at most {max} are allowed",
        .slots.saturating_mul(*.quantities).saturating_mul(Manifest::BYTES_PER_CELL),
        max = Manifest::MAX_HISTORY_BYTES
    )]
    History {
        /// Slots of the ring buffer.
        slots: usize,
        /// Quantities that it keeps.
        quantities: usize,
    },
    /// The network would give too many numbers.
    #[error(
        "manifest has {leads} leads × {quantiles} quantiles, at most {max} outputs are allowed",
        max = Manifest::MAX_OUTPUTS
    )]
    Outputs {
        /// Leads.
        leads: usize,
        /// Quantiles.
        quantiles: usize,
    },
    /// A statistic is missing, not finite or zero.
    #[error("manifest {0}")]
    Statistics(String),
    /// Another quantity is forecast.
    #[error("manifest target is \"{}\", not \"air_temperature\"", excerpt(.0, QUOTED))]
    Target(String),
    /// Leads are not rising, or out of range.
    #[error(
        "manifest lead_h must rise within 1 to {max}, found {found}",
        max = Manifest::MAX_LEAD_H,
        found = excerpt_of_list(.0)
    )]
    Leads(Vec<u32>),
    /// Quantiles are not rising within 0 to 1 around 0.5.
    #[error(
        "manifest quantiles must rise within 0 to 1 and contain 0.5, found {found}",
        found = excerpt_of_list(.0)
    )]
    Quantiles(Vec<f32>),
    /// The extremes are over no hours, or without quantiles.
    #[error("manifest extremes_h = {0} must lie within 1 to {max} and needs quantiles", max = Manifest::MAX_LEAD_H)]
    Extremes(u32),
    /// A range of the training ends before it begins, or is of no numbers.
    #[error("manifest ranges must each be two numbers that do not fall")]
    Ranges,
    /// The name would not stand in a topic or label.
    #[error("manifest name \"{}\" must be 1 to 64 visible characters", excerpt(.0, QUOTED))]
    Name(String),
    /// No station can be called that.
    #[error("manifest stations has \"{}\": {reason}", excerpt(.name, QUOTED))]
    Station {
        /// What stands there.
        name: String,
        /// Why it is no name.
        reason: StationNameError,
    },
}

/// So many characters of a foreign text are quoted.
const QUOTED: usize = 120;

impl From<serde_json::Error> for ManifestError {
    fn from(error: serde_json::Error) -> ManifestError {
        ManifestError::Json(error)
    }
}

impl Manifest {
    /// The longest lead, in hours.
    pub const MAX_LEAD_H: u32 = 240;
    /// The longest manifest that is read, in bytes; the shipped model's has 12,000.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// The most numbers of a window, samples × features: with 256 windows in flight they take 102 MB.
    pub const MAX_WINDOW_LEN: usize = 100_000;
    /// The most memory of one station's history: a year of ten quantities every ten minutes fits.
    pub const MAX_HISTORY_BYTES: usize = 4 * 1024 * 1024;
    /// The most outputs, leads × quantiles.
    pub const MAX_OUTPUTS: usize = 4096;
    /// What one quantity takes in one slot of a history.
    const BYTES_PER_CELL: usize = History::BYTES_PER_CELL;

    /// Whether a model can be called that.
    pub fn is_name(text: &str) -> bool {
        !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control)
    }

    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestError`], the first found.
    pub fn parse(json: &str) -> Result<Manifest, ManifestError> {
        // The version first: a later format may have keys that this version does not know.
        #[derive(Deserialize)]
        struct Versioned {
            format_version: u32,
        }
        if json.len() > Manifest::MAX_BYTES {
            return Err(ManifestError::Length(json.len()));
        }
        let Versioned { format_version } = serde_json::from_str(json)?;
        if format_version != FORMAT_VERSION {
            return Err(ManifestError::FormatVersion(format_version));
        }
        let manifest: Manifest = serde_json::from_str(json)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`ManifestError`], the first found.
    pub fn validate(&self) -> Result<(), ManifestError> {
        if !Manifest::is_name(&self.name) {
            return Err(ManifestError::Name(self.name.clone()));
        }
        for name in &self.stations {
            if let Err(reason) = StationName::new(name) {
                return Err(ManifestError::Station { name: name.clone(), reason });
            }
        }
        self.window.validate().map_err(ManifestError::Window)?;
        let features = self.window.features.len();
        if self.window.len() > Manifest::MAX_WINDOW_LEN {
            return Err(ManifestError::WindowLength { samples: self.window.samples, features });
        }
        for (name, statistics) in [
            ("mean", &self.normalisation.mean),
            ("standard_deviation", &self.normalisation.standard_deviation),
        ] {
            if statistics.len() != features {
                let found = statistics.len();
                return Err(ManifestError::Statistics(format!(
                    "normalisation has {found} numbers of {name} for {features} features"
                )));
            }
            if !statistics.iter().all(|value| value.is_finite()) {
                return Err(ManifestError::Statistics(format!("normalisation {name} is not finite")));
            }
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !self.normalisation.standard_deviation.iter().copied().all(positive)
            || !positive(self.target.standard_deviation)
            || !self.target.mean.is_finite()
        {
            return Err(ManifestError::Statistics("a standard deviation is not positive".to_owned()));
        }
        if self.target.quantity != Quantity::AirTemperature.name() {
            return Err(ManifestError::Target(self.target.quantity.clone()));
        }
        let leads_rise = self.lead_h.windows(2).all(|pair| pair[0] < pair[1]);
        let leads_fit = self.lead_h.iter().all(|lead| (1..=Manifest::MAX_LEAD_H).contains(lead));
        if self.lead_h.is_empty() || !leads_rise || !leads_fit {
            return Err(ManifestError::Leads(self.lead_h.clone()));
        }
        if self.ranges.is_some_and(|ranges| !ranges.is_sound()) {
            return Err(ManifestError::Ranges);
        }
        let slots = self.window.history_slots(self.max_lead_h());
        let quantities = self.window.quantities().len();
        if slots.saturating_mul(quantities).saturating_mul(Manifest::BYTES_PER_CELL)
            > Manifest::MAX_HISTORY_BYTES
        {
            return Err(ManifestError::History { slots, quantities });
        }
        if let Some(hours) = self.extremes_h
            && (!(1..=Manifest::MAX_LEAD_H).contains(&hours) || self.quantiles.is_empty())
        {
            return Err(ManifestError::Extremes(hours));
        }
        let quantiles_rise = self.quantiles.windows(2).all(|pair| pair[0] < pair[1]);
        let quantiles_fit = self.quantiles.iter().all(|&quantile| quantile > 0.0 && quantile < 1.0);
        let has_median = self.quantiles.is_empty() || self.quantiles.contains(&0.5);
        if !quantiles_rise || !quantiles_fit || !has_median {
            return Err(ManifestError::Quantiles(self.quantiles.clone()));
        }
        if self.outputs() > Manifest::MAX_OUTPUTS {
            return Err(ManifestError::Outputs { leads: self.lead_h.len(), quantiles: self.quantiles.len() });
        }
        Ok(())
    }

    /// What the history of one station takes for windows and verification, in bytes.
    pub fn history_bytes(&self) -> usize {
        let cells = self.window.history_slots(self.max_lead_h()) * self.window.quantities().len();
        cells * Manifest::BYTES_PER_CELL
    }

    /// The longest lead, in hours.
    pub fn max_lead_h(&self) -> u32 {
        self.lead_h.last().copied().unwrap_or(0)
    }

    /// The positions among the quantiles of the ends of the interval that is published and verified: of 0.1 and 0.9 where
    /// they are there, else of the outermost. `None` without quantiles.
    pub fn interval(&self) -> Option<(usize, usize)> {
        let at = |quantile: f32| self.quantiles.iter().position(|&own| own == quantile);
        let last = self.quantiles.len().checked_sub(1)?;
        Some(at(0.1).zip(at(0.9)).unwrap_or((0, last)))
    }

    /// How many rows of outputs the network gives for one window: one for each lead, and two for the extremes.
    pub fn output_rows(&self) -> usize {
        self.lead_h.len() + if self.extremes_h.is_some() { 2 } else { 0 }
    }

    /// How many numbers the network gives for one window.
    pub fn outputs(&self) -> usize {
        self.output_rows() * self.quantiles.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::feature::Feature;
    use crate::window::spec::MissingValues;

    fn manifest() -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            name: "test".to_owned(),
            window: WindowSpec {
                grid_step_s: 600,
                sample_every_s: 3600,
                samples: 240,
                max_hole_s: 7200,
                site: Some(Site::new(50.91, 11.57)),
                missing: MissingValues::Refused,
                features: vec![Feature::Quantity(Quantity::AirTemperature)],
            },
            normalisation: Normalisation { mean: vec![0.0], standard_deviation: vec![1.0] },
            target: Target {
                quantity: "air_temperature".to_owned(),
                kind: TargetKind::Value,
                mean: 0.0,
                standard_deviation: 1.0,
            },
            lead_h: vec![1, 24],
            quantiles: Vec::new(),
            extremes_h: None,
            ranges: None,
            training: None,
            scores: Vec::new(),
            tool: "test".to_owned(),
            stations: Vec::new(),
            graph_sha256: None,
        }
    }

    /// What is said of the manifest after a change.
    fn said(change: impl FnOnce(&mut Manifest)) -> String {
        let mut manifest = manifest();
        change(&mut manifest);
        manifest.validate().unwrap_err().to_string()
    }

    fn set_features(manifest: &mut Manifest, features: usize) {
        manifest.window.features = vec![Feature::Quantity(Quantity::AirTemperature); features];
        manifest.normalisation =
            Normalisation { mean: vec![0.0; features], standard_deviation: vec![1.0; features] };
    }

    #[test]
    fn a_window_of_too_many_numbers_is_refused_with_their_number() {
        manifest().validate().unwrap();
        let said = said(|manifest| {
            manifest.window.samples = 10_000;
            set_features(manifest, 256);
        });
        assert_eq!(
            said,
            "manifest window of 10000 samples × 256 features is 2560000 numbers, at most 100000 are allowed"
        );
    }

    #[test]
    fn a_history_of_gigabytes_is_refused_with_its_size() {
        // The longest window on the finest grid: 5.2 GB for one station and quantity, six bytes for each second of 27 years.
        let said = said(|manifest| {
            manifest.window.samples = 10_000;
            manifest.window.sample_every_s = 86_400;
            manifest.window.grid_step_s = 1;
        });
        assert_eq!(
            said,
            "manifest needs 863924401 slots of 1 quantities, 5183546406 bytes for each station, at most 4194304 are \
             allowed"
        );
    }

    #[test]
    fn the_history_of_a_year_every_ten_minutes_is_taken() {
        let mut manifest = manifest();
        manifest.window.samples = 366;
        manifest.window.sample_every_s = 86_400;
        manifest.validate().unwrap();
        assert_eq!(manifest.history_bytes(), manifest.window.history_slots(24) * 6);
    }

    #[test]
    fn too_many_outputs_are_refused_with_their_number() {
        let said = said(|manifest| {
            manifest.lead_h = (1..=240).collect();
            manifest.quantiles = (1..100).map(|percent| percent as f32 / 100.0).collect();
        });
        assert_eq!(said, "manifest has 240 leads × 99 quantiles, at most 4096 outputs are allowed");
    }

    #[test]
    fn a_station_that_no_station_can_be_is_refused_by_its_name() {
        let said = said(|manifest| manifest.stations = vec!["roof".to_owned(), "a/b".to_owned()]);
        assert_eq!(said, "manifest stations has \"a/b\": station name holds '/'");
    }

    #[test]
    fn a_manifest_of_many_megabytes_is_not_parsed() {
        let json = format!("{{\"format_version\":1,\"settings\":[{}0]}}", "0,".repeat(1 << 20));
        let said = Manifest::parse(&json).unwrap_err().to_string();
        assert_eq!(said, format!("manifest of {} bytes, at most 1048576 are read", json.len()));
    }

    #[test]
    fn what_is_quoted_of_a_manifest_is_short_and_cannot_write_to_the_terminal() {
        let key = format!("\u{1b}[2J{}", "x".repeat(700_000));
        let json = serde_json::to_string(&serde_json::json!({ "format_version": 1, key: 0 })).unwrap();
        let errors = [
            Manifest::parse(&json).unwrap_err().to_string(),
            said(|manifest| manifest.name = "\u{1b}[2J".repeat(10_000)),
            said(|manifest| manifest.target.quantity = "\u{1b}[2J".repeat(10_000)),
            said(|manifest| manifest.lead_h = vec![0; 100_000]),
            said(|manifest| manifest.quantiles = vec![2.0; 100_000]),
            said(|manifest| manifest.stations = vec!["\u{1b}[2J".repeat(10_000)]),
        ];
        for said in errors {
            assert!(said.len() < 800 && !said.contains(char::is_control), "{said}");
        }
    }
}
