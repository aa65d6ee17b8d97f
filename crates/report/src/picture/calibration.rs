//! How often outcomes were below each quantile.

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::PartFigures;

impl PartFigures {
    /// Shares below each quantile by lead, beside what they should be.
    pub(super) fn reliability(&self, quantiles: [f32; 3]) -> Chart {
        let leads = || self.calibration.iter().map(|calibration| f64::from(calibration.lead_h));
        let hues = [Hue::Violet, Hue::Blue, Hue::Orange];
        let mut series = Vec::new();
        for (index, (quantile, hue)) in quantiles.into_iter().zip(hues).enumerate() {
            let nominal = 100.0 * f64::from(quantile);
            let below = self.calibration.iter().map(|calibration| 100.0 * calibration.below[index]);
            series.push(Series {
                name: String::new(),
                hue,
                mark: Mark::Dashed,
                points: leads().map(|lead| (lead, nominal)).collect(),
            });
            series.push(Series {
                name: format!("below the quantile of {nominal:.0} %"),
                hue,
                mark: Mark::Line,
                points: leads().zip(below).collect(),
            });
        }
        Chart {
            title: "Calibration of the quantiles".to_owned(),
            horizontal: Horizontal::Numbers("lead, hours"),
            vertical: "share of outcomes, %",
            from_zero: true,
            series,
            dividers: Vec::new(),
        }
    }
}
