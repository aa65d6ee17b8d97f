//! The manifest: everything that a model's numbers mean, in one JSON document inside the ONNX file.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::excerpt::{excerpt, excerpt_of_list};
use super::normalisation::Normalisation;
use crate::model::ranges::Ranges;
use crate::model::target::Target;
use crate::model::training::{PartScores, Training};
use crate::weather::quantity::Quantity;
use crate::weather::reading::{StationName, StationNameError};
use crate::window::history::History;
use crate::window::spec::{WindowSpec, WindowSpecError};

/// The key in ONNX' `metadata_props` under which the manifest stands.
pub const MANIFEST_KEY: &str = "forecastd.manifest";

/// The manifest's format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// What a model's numbers mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the manifest's format: [`FORMAT_VERSION`] in a manifest that this version reads.
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
    /// `Artefact::assemble` of `forecastd-model`, and not needed in a file that something else has made.
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
        /// The number of samples in a window.
        samples: usize,
        /// The number of features in a sample.
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
        /// The number of leads.
        leads: usize,
        /// The number of quantiles of each lead.
        quantiles: usize,
    },
    /// There are more or fewer means, or standard deviations, than features.
    #[error("manifest normalisation has {found} numbers of {statistic} for {features} features")]
    StatisticCount {
        /// The key in the manifest's `normalisation`: `mean` or `standard_deviation`.
        statistic: &'static str,
        /// How many numbers stand there.
        found: usize,
        /// How many features a sample has.
        features: usize,
    },
    /// A mean or a standard deviation is no number: which, by its key in the manifest's `normalisation`.
    #[error("manifest normalisation {0} is not finite")]
    StatisticNotFinite(&'static str),
    /// A feature's or the target's standard deviation is not above 0, or the target's statistics are no numbers.
    #[error("manifest a standard deviation is not positive")]
    StandardDeviation,
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
    /// A score is no number.
    #[error("manifest scores of the part \"{}\" at {lead_h} h are not finite", excerpt(.part, QUOTED))]
    Scores {
        /// The part of the record that the score is of, as the manifest names it.
        part: String,
        /// The lead that the score is of, in hours.
        lead_h: u32,
    },
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
        Manifest::validate_shape(&self.window, &self.lead_h)?;
        let features = self.window.features.len();
        for (statistic, numbers) in [
            ("mean", &self.normalisation.mean),
            ("standard_deviation", &self.normalisation.standard_deviation),
        ] {
            if numbers.len() != features {
                return Err(ManifestError::StatisticCount { statistic, found: numbers.len(), features });
            }
            if !numbers.iter().all(|value| value.is_finite()) {
                return Err(ManifestError::StatisticNotFinite(statistic));
            }
        }
        let positive = |value: f32| value.is_finite() && value > 0.0;
        if !self.normalisation.standard_deviation.iter().copied().all(positive)
            || !positive(self.target.standard_deviation)
            || !self.target.mean.is_finite()
        {
            return Err(ManifestError::StandardDeviation);
        }
        if self.target.quantity != Quantity::AirTemperature.name() {
            return Err(ManifestError::Target(self.target.quantity.clone()));
        }
        if self.ranges.is_some_and(|ranges| !ranges.is_sound()) {
            return Err(ManifestError::Ranges);
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
        for PartScores { part, leads, .. } in &self.scores {
            if let Some(lead) = leads.iter().find(|lead| !lead.is_finite()) {
                return Err(ManifestError::Scores { part: part.clone(), lead_h: lead.lead_h });
            }
        }
        Ok(())
    }

    /// Checks that a model may look at such windows and forecast these leads, before there is one.
    ///
    /// # Errors
    /// [`ManifestError`], the first found.
    pub fn validate_shape(window: &WindowSpec, lead_h: &[u32]) -> Result<(), ManifestError> {
        window.validate().map_err(ManifestError::Window)?;
        if window.len() > Manifest::MAX_WINDOW_LEN {
            let (samples, features) = (window.samples, window.features.len());
            return Err(ManifestError::WindowLength { samples, features });
        }
        let leads_rise = lead_h.windows(2).all(|pair| pair[0] < pair[1]);
        let leads_fit = lead_h.iter().all(|lead| (1..=Manifest::MAX_LEAD_H).contains(lead));
        if lead_h.is_empty() || !leads_rise || !leads_fit {
            return Err(ManifestError::Leads(lead_h.to_vec()));
        }
        let slots = window.history_slots(lead_h.last().copied().unwrap_or(0));
        let quantities = window.quantities().len();
        if slots.saturating_mul(quantities).saturating_mul(Manifest::BYTES_PER_CELL)
            > Manifest::MAX_HISTORY_BYTES
        {
            return Err(ManifestError::History { slots, quantities });
        }
        window.validate_holes().map_err(ManifestError::Window)
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

    /// The position of the median among the quantiles; 0 without quantiles.
    pub fn median(&self) -> usize {
        self.quantiles.iter().position(|&quantile| quantile == 0.5).unwrap_or(0)
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
