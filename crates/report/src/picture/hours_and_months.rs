//! Errors by the hour of the day and by the month that is forecast.

use forecastd_core::ErrorSum;

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::{Beside, PartFigures};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HOURS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

impl PartFigures {
    /// Errors by hour of day.
    pub(super) fn hours(&self) -> Chart {
        beside("by hour", "mean absolute error, °C, by hour", &HOURS, &self.by_hour)
    }

    /// Errors by month.
    pub(super) fn months(&self) -> Chart {
        beside("by month", "mean absolute error, °C, by month", &MONTHS, &self.by_month)
    }
}

/// Columns of the model and of persistence side by side.
fn beside(title: &str, vertical: &'static str, names: &[&'static str], sums: &[Beside]) -> Chart {
    let points = |of: fn(&Beside) -> &ErrorSum| {
        sums.iter().enumerate().map(|(index, beside)| (index as f64, of(beside).mae())).collect()
    };
    let columns =
        |name: &str, hue, points| Series { name: name.to_owned(), hue, mark: Mark::Columns, points };
    Chart {
        title: format!("Mean absolute error {title}"),
        horizontal: Horizontal::Names(names.to_vec()),
        vertical,
        from_zero: true,
        series: vec![
            columns("persistence", Hue::Orange, points(|beside| &beside.persistence)),
            columns("model", Hue::Blue, points(|beside| &beside.model)),
        ],
        dividers: Vec::new(),
    }
}
