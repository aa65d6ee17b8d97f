//! The windows of a record, and what was observed after each, as arrays for whoever trains with something else than our
//! trainer. Statistics, order and numbers are those of the trainer, bit for bit, and so those that a daemon gives a model.

use std::io::{Result, Seek, Write};
use std::ops::Range;

use forecastd_core::{
    FORMAT_VERSION, Manifest, MissingValues, Normalisation, PROGRAM, Quantity, Site, Slot, Split, Target,
    TargetKind, Training, WindowSpec,
};

use crate::npz::{Npz, Type};
use crate::{Part, Record};

/// Windows that are written at once.
const CHUNK: usize = 256;

/// Why there are no windows.
#[derive(Debug, thiserror::Error)]
pub enum WindowsError {
    /// It is not known where the station stands.
    #[error("{file}: it is not known where the station stands, which the windows need")]
    NoSite {
        /// The record's file.
        file: String,
    },
    /// No window is complete.
    #[error(
        "{file}: no complete window of {window_h:.0} h with an observation after it; {missing:.0} % of the rows are missing, and \
         the longest stretch without a hole of more than {max_hole_h:.0} h is {longest_h:.0} h"
    )]
    NoWindow {
        /// The record's file.
        file: String,
        /// The window's length.
        window_h: f64,
        /// How many percent of the rows are missing.
        missing: f64,
        /// The longest hole that is filled.
        max_hole_h: f64,
        /// The longest stretch without a longer one.
        longest_h: f64,
    },
    /// A feature is the newest value's own, and has no statistics of the record.
    #[error("{0} depends on where a window ends: it needs the statistics of a model (--model)")]
    NoStatistics(String),
}

/// The windows of a record.
#[derive(Debug)]
pub struct Windows<'a> {
    record: &'a Record,
    spec: WindowSpec,
    site: Site,
    lead_h: Vec<u32>,
    split: Split,
    normalisation: Normalisation,
    /// The standard deviation of the differences between targets and newest temperatures of the training part, °C.
    unit_c: f32,
    /// Ends of windows with their parts, rising.
    origins: Vec<(Slot, Part)>,
}

impl<'a> Windows<'a> {
    /// Finds the complete windows of a record that have an observation at one of the leads within their part. The statistics
    /// are those given, or those of the training part.
    ///
    /// # Errors
    /// [`WindowsError`].
    pub fn new(
        record: &'a Record,
        spec: &WindowSpec,
        lead_h: &[u32],
        split: Split,
        normalisation: Option<Normalisation>,
    ) -> std::result::Result<Windows<'a>, WindowsError> {
        let file = || record.facts().file.clone();
        let site = spec.site_for(record.site()).ok_or_else(|| WindowsError::NoSite { file: file() })?;
        let no_window = || {
            let (missing, longest_h) = record.holes(spec.max_hole_slots());
            WindowsError::NoWindow {
                file: file(),
                window_h: spec.span_slots() as f64 * f64::from(spec.grid_step_s) / 3600.0,
                missing: 100.0 * missing,
                max_hole_h: f64::from(spec.max_hole_s) / 3600.0,
                longest_h,
            }
        };
        let normalisation = match normalisation {
            Some(normalisation) => normalisation,
            None => {
                if let Some(feature) = spec.features.iter().find(|feature| !feature.is_of_slot()) {
                    return Err(WindowsError::NoStatistics(feature.to_string()));
                }
                statistics_of_rows(record, spec, site, &record.part(split, Part::Train))
                    .ok_or_else(no_window)?
            }
        };
        let mut origins = Vec::new();
        let mut differences: Vec<f32> = Vec::new();
        let mut window = vec![0.0; spec.len()];
        for part in [Part::Train, Part::Validation, Part::Test] {
            let slots = record.part(split, part);
            for &origin in record.rows_within(&slots) {
                let targets = lead_h.iter().map(|&lead_h| record.target(origin, lead_h, &slots));
                let targets: Vec<f32> = targets.collect();
                if targets.iter().all(|target| target.is_nan())
                    || spec.fill(record.history(), site, origin, &mut window).is_err()
                {
                    continue;
                }
                origins.push((origin, part));
                if part == Part::Train {
                    let newest_c = record.history().value(origin, Quantity::AirTemperature);
                    differences.extend(targets.iter().map(|target| target - newest_c));
                }
            }
        }
        if origins.is_empty() {
            return Err(no_window());
        }
        let unit_c = deviation(&differences);
        Ok(Windows {
            record,
            spec: spec.clone(),
            site,
            lead_h: lead_h.to_vec(),
            split,
            normalisation,
            unit_c,
            origins,
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is none; never true.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// How many are of a part.
    pub fn of_part(&self, part: Part) -> usize {
        self.origins.iter().filter(|(_, own)| *own == part).count()
    }

    /// The manifest of a model of these windows whose outputs are differences to the newest temperature in units of
    /// `target.standard_deviation`, one for each lead. A model for one site is for that of the record.
    pub fn manifest(&self, name: &str) -> Manifest {
        let facts = self.record.facts();
        let site = match self.spec.missing {
            MissingValues::Refused => Some(self.site),
            MissingValues::Mean => self.spec.site,
        };
        Manifest {
            format_version: FORMAT_VERSION,
            name: name.to_owned(),
            stations: Vec::new(),
            window: WindowSpec { site, ..self.spec.clone() },
            normalisation: self.normalisation.clone(),
            target: Target {
                quantity: Quantity::AirTemperature.name().to_owned(),
                kind: TargetKind::DifferenceToNewest,
                mean: 0.0,
                standard_deviation: self.unit_c,
            },
            lead_h: self.lead_h.clone(),
            quantiles: Vec::new(),
            extremes_h: None,
            ranges: None,
            training: Some(Training {
                file: facts.file.clone(),
                sha256: facts.sha256.clone(),
                rows: facts.readings,
                first: facts.first,
                last: facts.last,
                split: self.split,
                refit: None,
                seed: 0,
                experiment: name.to_owned(),
                settings: serde_json::Value::Null,
                climatology: None,
                records: Vec::new(),
            }),
            scores: Vec::new(),
            tool: PROGRAM.to_owned(),
            graph_sha256: None,
        }
    }

    /// Writes the archive: arrays by windows, and the manifest as `manifest.json`.
    ///
    /// | array | type, shape | holds |
    /// | --- | --- | --- |
    /// | `inputs` | f4 `[window, sample, feature]` | what a network is given: normalised, 0 where `inputs_mask` is false |
    /// | `inputs_mask` | bool, the same | whether the feature is known there |
    /// | `targets` | f4 `[window, lead]` | the temperature observed then, °C; NaN where `targets_mask` is false |
    /// | `targets_mask` | bool, the same | whether it was observed, within the window's part |
    /// | `newest` | f4 `[window]` | the newest temperature, °C |
    /// | `times` | i8 `[window]` | the end of the window, seconds since 1970 |
    /// | `part` | i1 `[window]` | 0 training, 1 validation, 2 test |
    /// | `lead_h` | i8 `[lead]` | leads, hours |
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write<W: Write + Seek>(&self, manifest: &Manifest, file: W) -> Result<W> {
        let mut npz = Npz::new(file);
        let (count, leads) = (self.origins.len(), self.lead_h.len());
        let window_shape = [count, self.spec.samples, self.spec.features.len()];
        npz.file("manifest.json")?;
        npz.write(&serde_json::to_vec_pretty(manifest)?)?;
        npz.begin("inputs", Type::F32, &window_shape)?;
        self.windows(|windows| {
            self.normalisation.apply(windows);
            npz.write(&windows.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
        })?;
        npz.begin("inputs_mask", Type::Bool, &window_shape)?;
        self.windows(|windows| {
            npz.write(&windows.iter().map(|value| u8::from(!value.is_nan())).collect::<Vec<u8>>())
        })?;
        let targets: Vec<f32> = self.targets();
        npz.begin("targets", Type::F32, &[count, leads])?;
        npz.write(&targets.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
        npz.begin("targets_mask", Type::Bool, &[count, leads])?;
        npz.write(&targets.iter().map(|value| u8::from(!value.is_nan())).collect::<Vec<u8>>())?;
        npz.begin("newest", Type::F32, &[count])?;
        let history = self.record.history();
        let newest = |origin: Slot| history.value(origin, Quantity::AirTemperature).to_le_bytes();
        npz.write(&self.of_origins(|origin, _| newest(origin).to_vec()))?;
        npz.begin("times", Type::I64, &[count])?;
        let time = |origin: Slot| history.grid().time(origin).as_second().to_le_bytes();
        npz.write(&self.of_origins(|origin, _| time(origin).to_vec()))?;
        npz.begin("part", Type::I8, &[count])?;
        npz.write(&self.of_origins(|_, part| vec![number(part)]))?;
        npz.begin("lead_h", Type::I64, &[leads])?;
        let lead = |lead_h: &u32| i64::from(*lead_h).to_le_bytes();
        npz.write(&self.lead_h.iter().flat_map(lead).collect::<Vec<u8>>())?;
        npz.finish()
    }

    /// Makes the windows, physical values, some at a time.
    fn windows(&self, mut take: impl FnMut(&mut [f32]) -> Result<()>) -> Result<()> {
        let size = self.spec.len();
        let mut windows = vec![0.0; CHUNK * size];
        for chunk in self.origins.chunks(CHUNK) {
            for ((origin, _), window) in chunk.iter().zip(windows.chunks_exact_mut(size)) {
                let made = self.spec.fill(self.record.history(), self.site, *origin, window);
                debug_assert!(made.is_ok(), "only complete windows are kept");
            }
            take(&mut windows[..chunk.len() * size])?;
        }
        Ok(())
    }

    fn targets(&self) -> Vec<f32> {
        let slots: Vec<Range<Slot>> = [Part::Train, Part::Validation, Part::Test]
            .map(|part| self.record.part(self.split, part))
            .to_vec();
        let of_origin = |&(origin, part): &(Slot, Part)| {
            let slots = &slots[usize::from(number(part))];
            self.lead_h.iter().map(move |&lead_h| self.record.target(origin, lead_h, slots))
        };
        self.origins.iter().flat_map(of_origin).collect()
    }

    fn of_origins(&self, of: impl Fn(Slot, Part) -> Vec<u8>) -> Vec<u8> {
        self.origins.iter().flat_map(|&(origin, part)| of(origin, part)).collect()
    }
}

fn number(part: Part) -> u8 {
    match part {
        Part::Train | Part::Whole => 0,
        Part::Validation => 1,
        Part::Test => 2,
    }
}

/// The statistics of the rows of some slots, each as in a window that ends when holes have closed.
fn statistics_of_rows(
    record: &Record,
    spec: &WindowSpec,
    site: Site,
    slots: &Range<Slot>,
) -> Option<Normalisation> {
    let features = spec.features.len();
    let mut rows = Vec::new();
    let mut row = vec![0.0; features];
    for &slot in record.rows_within(slots) {
        spec.row(record.history(), site, slot, slot + spec.max_hole_slots(), &mut row);
        rows.extend_from_slice(&row);
    }
    Normalisation::fit(&rows, features)
}

/// The standard deviation of the numbers that are not NaN; 1 where they do not vary.
fn deviation(values: &[f32]) -> f32 {
    let present = || values.iter().filter(|value| !value.is_nan()).map(|&value| f64::from(value));
    let count = present().count().max(1) as f64;
    let mean = present().sum::<f64>() / count;
    let variance = present().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    if variance > 1e-12 { variance.sqrt() as f32 } else { 1.0 }
}
