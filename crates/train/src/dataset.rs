//! What a network is trained on: windows of a record, and what was observed after each.

use std::ops::Range;
use std::sync::Arc;

use forecastd_core::ErrorSum;
use forecastd_core::Quantity;
use forecastd_core::Slot;
use forecastd_core::WindowSpec;
use forecastd_core::{Refit, Split, Target, TargetKind};
use forecastd_record::{Part, Record};

use super::epoch::Validation;
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
    /// What was observed at each lead, `[origin, lead]`, in the units that the network learns in; NaN where nothing was
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

    /// Some of them.
    fn select(&self, indices: impl Iterator<Item = usize>) -> Examples {
        let leads = self.targets.len() / self.len().max(1);
        let mut selected = Examples::default();
        for index in indices {
            selected.origins.push(self.origins[index]);
            selected.newest_c.push(self.newest_c[index]);
            selected.targets.extend_from_slice(&self.targets[index * leads..][..leads]);
        }
        selected
    }
}

/// A record made ready for training.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The windows; shared with what is made of some of the examples.
    pub windows: Arc<WindowCache>,
    /// What the outputs are.
    pub target: Target,
    /// Leads in hours.
    pub lead_h: Vec<u32>,
    /// For each lead, how many of the target's standard deviations a unit of what the network learns in is.
    pub scale: Vec<f32>,
    /// What is trained on.
    pub train: Examples,
    /// The part to choose by; empty where it is trained on too.
    pub validation: Examples,
}

/// Why a record cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// No window of a part is complete.
    #[error(transparent)]
    NoWindow(Box<NoWindow>),
}

/// A part without a complete window.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file}: the {part} part ({rows} rows) has no complete window of {window_h:.0} h with a reading {lead_h} h later; the \
     record spans {span_h:.0} h, {missing:.0} % of its rows are missing, and the longest stretch without a hole of more \
     than {max_hole_h:.0} h is {longest_h:.0} h: at least {needed_h:.0} h without such a hole are needed in each part{why}"
)]
pub struct NoWindow {
    /// The name of the record's file.
    pub file: String,
    /// The part that has no window.
    pub part: &'static str,
    /// The number of rows of the part.
    pub rows: usize,
    /// The window's length.
    pub window_h: f64,
    /// The longest lead.
    pub lead_h: u32,
    /// The record's length.
    pub span_h: f64,
    /// How many percent of the rows are missing.
    pub missing: f64,
    /// The longest hole that is filled.
    pub max_hole_h: f64,
    /// The longest stretch without a longer one.
    pub longest_h: f64,
    /// How long it would have to be.
    pub needed_h: f64,
    /// What else stands in the way, as clauses.
    pub why: String,
}

impl Dataset {
    /// Cuts a record into windows. Statistics are those of what is trained on: the training part, or more.
    ///
    /// # Errors
    /// [`DatasetError::NoWindow`] when a part has none.
    pub fn new(
        record: &Record,
        spec: &WindowSpec,
        split: Split,
        target: &TargetSpec,
        refit: Option<Refit>,
    ) -> Result<Dataset, DatasetError> {
        let slots = record.learned(split, refit);
        let rows = record.rows_within(&slots);
        let no_window = |part: Part| no_window(record, spec, split, target, part);
        let windows = WindowCache::new(record.history(), spec, rows).ok_or_else(|| no_window(Part::Train))?;
        let mut train = examples(record, &windows, slots, target);
        // By the longest lead it is chosen and evaluated.
        let longest = |examples: &Examples| {
            let of_example = examples.targets.chunks_exact(target.lead_h.len().max(1));
            of_example.filter_map(|targets| targets.last()).filter(|target| !target.is_nan()).count()
        };
        if longest(&train) == 0 {
            return Err(no_window(Part::Train));
        }
        let mut validation = Examples::default();
        if refit.is_none() {
            validation = examples(record, &windows, record.part(split, Part::Validation), target);
            if longest(&validation) == 0 {
                return Err(no_window(Part::Validation));
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
            let targets = train.targets.iter().skip(lead).step_by(leads);
            mean_size(targets).map_or(1.0, |size| size / standard_deviation)
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
        let windows = Arc::new(windows);
        Ok(Dataset { windows, target: described, lead_h: target.lead_h.clone(), scale, train, validation })
    }

    /// The examples to train on without one of `blocks` that follow each other in time, which is what is chosen by then.
    /// Examples whose targets overlap the block's are in neither. Statistics stay as they are.
    pub fn without_block(&self, block: usize, blocks: usize) -> Dataset {
        let all = &self.train;
        let at = |block: usize| block * all.len() / blocks;
        let held = at(block)..at(block + 1);
        let step_s = i64::from(self.windows.spec().grid_step_s);
        let lead = i64::from(self.lead_h.last().copied().unwrap_or(0)) * 3600 / step_s;
        let near = match held.is_empty() {
            true => 0..0,
            false => all.origins[held.start] - lead..all.origins[held.end - 1] + lead + 1,
        };
        let is_far = |&index: &usize| !near.contains(&all.origins[index]);
        Dataset {
            train: all.select((0..all.len()).filter(is_far)),
            validation: all.select(held),
            ..self.clone()
        }
    }

    /// The temperature in °C that a network's number at position `lead` means.
    pub fn temperature_c(&self, lead: usize, number: f32, newest_c: f32) -> f32 {
        self.target.temperature_c(number * self.scale[lead], newest_c)
    }

    /// Mean absolute error of persistence at the longest lead on the part to choose by, °C.
    pub fn persistence_c(&self) -> f64 {
        let examples = &self.validation;
        let leads = self.lead_h.len();
        let mut errors = ErrorSum::default();
        for (&newest_c, targets) in examples.newest_c.iter().zip(examples.targets.chunks_exact(leads)) {
            let observed_c = self.temperature_c(leads - 1, targets[leads - 1], newest_c);
            if !observed_c.is_nan() {
                errors.add(f64::from(newest_c), f64::from(observed_c));
            }
        }
        errors.mae()
    }

    /// The normalised windows of some examples, `[example, sample, feature]`.
    pub fn gather(&self, examples: &Examples, indices: &[usize]) -> Vec<f32> {
        let size = self.windows.spec().len();
        let mut windows = vec![0.0; indices.len() * size];
        for (window, &index) in windows.chunks_exact_mut(size).zip(indices) {
            self.fill(examples.origins[index], window);
        }
        windows
    }

    /// Sets `window` to the normalised window of an example, `[sample, feature]`.
    pub(super) fn fill(&self, origin: Slot, window: &mut [f32]) {
        let complete = self.windows.fill(origin, window);
        debug_assert!(complete, "only complete windows are examples");
    }

    /// How good outputs `[example, lead]`, each of `N` numbers, are on the part to choose by. The loss of an output is the
    /// sum of what `losses` gives for its target and its numbers; the score is the mean absolute error of the number in the
    /// middle at the longest lead, °C.
    pub(super) fn validation<const N: usize>(
        &self,
        outputs: &[f32],
        losses: impl Fn(f32, [f32; N]) -> [f64; N],
    ) -> Validation {
        let leads = self.lead_h.len();
        let unit_c = f64::from(self.scale[leads - 1] * self.target.standard_deviation);
        let (mut loss, mut count) = (0.0, 0_u64);
        let (mut error_c, mut last_count) = (0.0, 0_u64);
        let (outputs, _) = outputs.as_chunks::<N>();
        for (index, (&target, output)) in self.validation.targets.iter().zip(outputs).enumerate() {
            if target.is_nan() {
                continue;
            }
            losses(target, *output).into_iter().for_each(|part| loss += part);
            count += 1;
            if index % leads == leads - 1 {
                error_c += f64::from((target - output[N / 2]).abs()) * unit_c;
                last_count += 1;
            }
        }
        Validation { loss: loss / count as f64, score: error_c / last_count as f64 }
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

/// The mean size of the numbers that are not NaN; `None` when there is none or all are zero.
pub(super) fn mean_size<'a>(values: impl Iterator<Item = &'a f32>) -> Option<f32> {
    let present = values.filter(|value| !value.is_nan());
    let (count, sum) =
        present.fold((0.0, 0.0), |(count, sum), &value| (count + 1.0, sum + f64::from(value).abs()));
    (sum > 0.0).then(|| (sum / count) as f32)
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
    let mut why = facts.quality.of_most();
    let cadence_s = record.cadence_s();
    if cadence_s > 0.0 && (f64::from(lead_h) * 3600.0) % cadence_s != 0.0 {
        why += &format!("; readings that come every {:.1} h are never {lead_h} h apart", cadence_s / 3600.0);
    }
    DatasetError::NoWindow(Box::new(NoWindow {
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
        why,
    }))
}
