//! What a network learns from: windows of a record, and what came after each.

use std::ops::Range;

use crate::grid::Slot;
use crate::model::{Normalisation, Split, Target, TargetKind};
use crate::quantity::Quantity;
use crate::record::{Part, Record};
use crate::window::WindowSpec;

use super::window_cache::WindowCache;

/// What is to be forecast.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetSpec {
    /// Value or difference to the newest temperature.
    pub kind: TargetKind,
    /// Leads in hours.
    pub lead_h: Vec<u32>,
    /// Whether windows, too, must lie within their part, as in the notebook.
    pub windows_within_part: bool,
}

/// The windows of one part of the record.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// The slot that each window ends at.
    pub origins: Vec<Slot>,
    /// The newest temperature of each, °C.
    pub newest_c: Vec<f32>,
    /// What came at each lead, `[origin, lead]`, in the units that the network learns in; NaN where nothing was
    /// measured.
    pub targets: Vec<f32>,
}

impl Examples {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }
}

/// A record made ready for training.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The windows.
    pub windows: WindowCache,
    /// What the outputs are.
    pub target: Target,
    /// Leads in hours.
    pub lead_h: Vec<u32>,
    /// For each lead, how many of the target's standard deviations a unit of what the network learns in is.
    pub scale: Vec<f32>,
    /// The part to learn from.
    pub train: Examples,
    /// The part to choose by.
    pub validation: Examples,
}

/// Why a record cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No window of a part is complete.
    #[error(
        "{file}: the {part} part ({rows} rows) has no complete window of {window_h:.0} h with a reading {lead_h} h \
         later; the record spans {span_h:.0} h, {missing:.0} % of its rows are missing, and the longest stretch without \
         a hole of more than {max_hole_h:.0} h is {longest_h:.0} h: at least {needed_h:.0} h without such a hole are \
         needed in each part"
    )]
    NoWindow {
        /// Which file.
        file: String,
        /// Which part.
        part: &'static str,
        /// Its rows.
        rows: usize,
        /// The window's length.
        window_h: f64,
        /// The longest lead.
        lead_h: u32,
        /// The record's length.
        span_h: f64,
        /// How many percent of the rows are missing.
        missing: f64,
        /// The longest hole that is filled.
        max_hole_h: f64,
        /// The longest stretch without a longer one.
        longest_h: f64,
        /// How long it would have to be.
        needed_h: f64,
    },
}

impl Dataset {
    /// Cuts a record into windows. Statistics are those of the training part, or given.
    ///
    /// # Errors
    /// [`DatasetError::NoWindow`] when a part has none.
    pub fn new(
        record: &Record,
        spec: &WindowSpec,
        split: Split,
        target: &TargetSpec,
        normalisation: Option<Normalisation>,
    ) -> Result<Dataset, DatasetError> {
        let slots = record.part(split, Part::Train);
        let rows = record.rows_within(&slots);
        let no_window = |part: Part| no_window(record, spec, split, target, part);
        let windows = WindowCache::new(record.history(), spec, normalisation, rows)
            .ok_or_else(|| no_window(Part::Train))?;
        let mut train = examples(record, &windows, slots, target);
        let mut validation = examples(record, &windows, record.part(split, Part::Validation), target);
        for (part, examples) in [(Part::Train, &train), (Part::Validation, &validation)] {
            if examples.is_empty() {
                return Err(no_window(part));
            }
        }
        let leads = target.lead_h.len();
        let (mean, standard_deviation) = match target.kind {
            TargetKind::Value => {
                statistics(rows.iter().map(|&row| record.history().value(row, Quantity::AirTemperature)))
            }
            TargetKind::DifferenceToNewest => (0.0, statistics(train.targets.iter().copied()).1),
        };
        // Differences grow with the lead; the network learns each in units of its own mean size.
        let size_of_lead = |lead: usize| {
            let sizes = train.targets.iter().skip(lead).step_by(leads).filter(|size| !size.is_nan());
            let (count, sum) =
                sizes.fold((0.0, 0.0), |(count, sum), &size| (count + 1.0, sum + f64::from(size).abs()));
            if sum > 0.0 { (sum / count) as f32 / standard_deviation } else { 1.0 }
        };
        let scale: Vec<f32> = match target.kind {
            TargetKind::Value => vec![1.0; leads],
            TargetKind::DifferenceToNewest => (0..leads).map(size_of_lead).collect(),
        };
        for examples in [&mut train, &mut validation] {
            for (index, value) in examples.targets.iter_mut().enumerate() {
                *value = (*value - mean) / standard_deviation / scale[index % leads];
            }
        }
        let quantity = Quantity::AirTemperature.name().to_owned();
        let described = Target { quantity, kind: target.kind, mean, standard_deviation };
        Ok(Dataset { windows, target: described, lead_h: target.lead_h.clone(), scale, train, validation })
    }

    /// The temperature in °C that a network's number at position `lead` means.
    pub fn temperature_c(&self, lead: usize, number: f32, newest_c: f32) -> f32 {
        self.target.temperature_c(number * self.scale[lead], newest_c)
    }

    /// The normalised windows of some examples, `[example, sample, feature]`.
    pub fn gather(&self, examples: &Examples, indices: &[usize]) -> Vec<f32> {
        let size = self.windows.spec().len();
        let mut windows = vec![0.0; indices.len() * size];
        for (window, &index) in windows.chunks_exact_mut(size).zip(indices) {
            let complete = self.windows.fill(examples.origins[index], window);
            debug_assert!(complete, "only complete windows are examples");
        }
        windows
    }
}

/// The origins within `slots` whose window is complete and that have a target, with targets in °C relative to what the
/// target's kind says.
fn examples(record: &Record, windows: &WindowCache, slots: Range<Slot>, target: &TargetSpec) -> Examples {
    let mut examples = Examples::default();
    let earliest = match target.windows_within_part {
        true => slots.start + windows.spec().span_slots(),
        false => slots.start,
    };
    for &origin in record.rows_within(&(earliest..slots.end)) {
        let outcomes = target.lead_h.iter().map(|&lead_h| record.target(origin, lead_h, &slots));
        let outcomes: Vec<f32> = outcomes.collect();
        if outcomes.iter().all(|outcome| outcome.is_nan()) || !windows.is_complete(origin) {
            continue;
        }
        let newest_c = record.history().value(origin, Quantity::AirTemperature);
        let base_c = match target.kind {
            TargetKind::DifferenceToNewest => newest_c,
            TargetKind::Value => 0.0,
        };
        examples.origins.push(origin);
        examples.newest_c.push(newest_c);
        examples.targets.extend(outcomes.iter().map(|outcome| outcome - base_c));
    }
    examples
}

/// Mean and standard deviation of the numbers that are not NaN; 1 for a deviation of zero.
fn statistics(values: impl Iterator<Item = f32> + Clone) -> (f32, f32) {
    let present = || values.clone().filter(|value| !value.is_nan()).map(f64::from);
    let count = present().count().max(1) as f64;
    let mean = present().sum::<f64>() / count;
    let variance = present().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let deviation = if variance > 1e-12 { variance.sqrt() } else { 1.0 };
    (mean as f32, deviation as f32)
}

fn no_window(
    record: &Record,
    spec: &WindowSpec,
    split: Split,
    target: &TargetSpec,
    part: Part,
) -> DatasetError {
    let hours = |seconds: i64| seconds as f64 / 3600.0;
    let step_s = i64::from(spec.grid_step_s);
    let (missing, longest_h) = record.holes(spec.max_hole_slots());
    let facts = record.facts();
    let lead_h = target.lead_h.last().copied().unwrap_or(0);
    let window_h = hours(spec.span_slots() * step_s);
    DatasetError::NoWindow {
        file: facts.file.clone(),
        part: part.name(),
        rows: record.rows_within(&record.part(split, part)).len(),
        window_h,
        lead_h,
        span_h: hours(facts.last.as_second() - facts.first.as_second()),
        missing: 100.0 * missing,
        max_hole_h: hours(i64::from(spec.max_hole_s)),
        longest_h,
        needed_h: window_h + f64::from(lead_h),
    }
}
