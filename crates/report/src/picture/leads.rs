//! How the error grows with the lead, beside the reference forecasts.

use forecastd_core::ErrorSum;

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::PartFigures;
use crate::scoring::lead_errors::LeadErrors;

impl PartFigures {
    /// Mean absolute error by lead: lines, or columns where there is one lead.
    pub(super) fn leads(&self) -> Chart {
        let series = |name: &str, hue: Hue, mark: Mark, of: fn(&LeadErrors) -> ErrorSum| {
            let point = |errors: &LeadErrors| (f64::from(errors.lead_h), of(errors).mae());
            Series { name: name.to_owned(), hue, mark, points: self.errors.leads.iter().map(point).collect() }
        };
        let mut all = vec![
            series("climatology", Hue::Green, Mark::Line, |errors| errors.climatology),
            series("same time yesterday", Hue::Violet, Mark::Line, |errors| errors.yesterday),
            series("same as now", Hue::Orange, Mark::Line, |errors| errors.persistence),
            series("model", Hue::Blue, Mark::Line, |errors| errors.model),
        ];
        all.retain(|series| series.points.iter().any(|(_, mae)| mae.is_finite()));
        if self.errors.leads.len() == 1 {
            all.iter_mut().for_each(|series| series.mark = Mark::Columns);
        }
        Chart {
            title: "Mean absolute error by lead".to_owned(),
            horizontal: match self.errors.leads.len() {
                1 => Horizontal::Names(vec![""]),
                _ => Horizontal::Hours("lead, hours"),
            },
            vertical: "mean absolute error, °C",
            from_zero: true,
            series: match self.errors.leads.len() {
                1 => all.into_iter().map(at_zero).collect(),
                _ => all,
            },
            dividers: Vec::new(),
        }
    }
}

/// The only number of a series, as the first column.
fn at_zero(mut series: Series) -> Series {
    series.points.iter_mut().for_each(|point| point.0 = 0.0);
    series
}
