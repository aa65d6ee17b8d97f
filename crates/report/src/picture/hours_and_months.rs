//! What the model saves of the error of "same as now", by the hour of the day and by the month that is forecast.

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::{Beside, PartFigures};

pub(crate) const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HOURS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18",
    "19", "20", "21", "22", "23",
];

impl PartFigures {
    /// What is saved by hour of day.
    pub(super) fn hours(&self) -> Chart {
        saved("by hour", &HOURS, &self.by_hour)
    }

    /// What is saved by month.
    pub(super) fn months(&self) -> Chart {
        saved("by month", &MONTHS, &self.by_month)
    }
}

/// Columns of skill: above zero the model errs less, below it more.
fn saved(title: &str, names: &[&'static str], sums: &[Beside]) -> Chart {
    let skill = |beside: &Beside| 100.0 * beside.model.skill(&beside.persistence);
    Chart {
        title: format!("Error saved {title}"),
        horizontal: Horizontal::Names(names.to_vec()),
        vertical: "error saved, %",
        from_zero: true,
        series: vec![Series {
            name: "against \u{201c}same as now\u{201d}".to_owned(),
            hue: Hue::Blue,
            mark: Mark::Columns,
            points: sums.iter().enumerate().map(|(index, beside)| (index as f64, skill(beside))).collect(),
        }],
        dividers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_a_share_of_the_error_of_persistence_and_below_zero_where_the_model_is_worse() {
        let beside = |model_c: f64, persistence_c: f64| {
            let mut beside = Beside::default();
            beside.model.add(10.0 + model_c, 10.0);
            beside.persistence.add(10.0 + persistence_c, 10.0);
            beside
        };
        let chart =
            saved("by hour", &["0", "1", "2"], &[beside(1.0, 4.0), beside(3.0, -2.0), Beside::default()]);
        let heights: Vec<f64> = chart.series[0].points.iter().map(|(_, height)| *height).collect();
        assert_eq!(heights[..2], [75.0, -50.0]);
        assert!(heights[2].is_nan(), "nothing was forecast for it");
    }
}
