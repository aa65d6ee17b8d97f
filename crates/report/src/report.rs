//! A report: the record, how networks learned, and how good forecasts are.

use std::fmt;

use forecastd_core::{Refit, Split};
use forecastd_record::{Part, Record};

use crate::chart::{CHART_STYLE, Chart, Divider};
use crate::experiment::Experiment;
use crate::figures::PartFigures;
use crate::picture::Overview;

/// A page about a record, the networks that were tried on it, and how good their forecasts are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    pub(crate) overview: Option<Overview>,
    pub(crate) model: Option<String>,
    pub(crate) conclusion: Option<(String, bool)>,
    /// What was tried.
    pub experiments: Vec<Experiment>,
    /// How good the model is, by part.
    pub parts: Vec<PartFigures>,
}

impl Report {
    /// A report on a record.
    pub fn new(record: Option<&Record>) -> Report {
        Report { overview: record.map(Overview::from_record), ..Report::default() }
    }

    /// Says which model the forecasts are of.
    pub fn describe_model(&mut self, model: impl Into<String>) {
        self.model = Some(model.into());
    }

    /// Says how it came out where no part of the record is left to evaluate on, and whether that is good.
    pub fn conclude(&mut self, conclusion: impl fmt::Display, is_good: bool) {
        self.conclusion = Some((conclusion.to_string(), is_good));
    }

    /// Every picture of the forecasts as an SVG file of its own: its name and its content.
    pub fn pictures(&self) -> Vec<(String, String)> {
        let picture = |part: &str, chart: &Chart| {
            let title = chart.title.to_lowercase().replace(' ', "-");
            Some((format!("{part}-{title}.svg"), chart.file(CHART_STYLE)?))
        };
        let of_part = |part: &PartFigures| -> Vec<(String, String)> {
            let name = part.errors.part.name();
            part.charts().iter().filter_map(|(_, chart)| picture(name, chart)).collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Marks where the record's validation and test parts begin, of which `refit` says what the model was trained on too.
    pub fn mark_parts(&mut self, record: &Record, split: Split, refit: Option<Refit>) {
        let Some(overview) = &mut self.overview else { return };
        overview.refit = refit;
        let begin = |part: Part| {
            let slots = record.part(split, part);
            let at = record.history().grid().time(slots.start).as_second() as f64;
            Divider { at, label: part.name().to_owned() }
        };
        overview.parts = vec![begin(Part::Validation), begin(Part::Test)];
    }
}
