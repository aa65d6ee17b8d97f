//! How far the shares of observations below each quantile stray from what they should be.

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::PartFigures;

/// The standard score that 95 of 100 normal numbers stay within.
const NINETY_FIVE: f64 = 1.96;

impl PartFigures {
    /// By lead: the share below each quantile less its level, percentage points, beside what chance alone does.
    pub(super) fn deviations(&self, quantiles: [f32; 3]) -> Chart {
        let leads = || self.calibration.iter().map(|calibration| f64::from(calibration.lead_h));
        // Forecasts of one day err together: a day counts as one case. The median's share strays furthest.
        let stray = 100.0 * NINETY_FIVE * (0.25 / self.days.max(1) as f64).sqrt();
        let mut series = vec![Series {
            name: "chance alone".to_owned(),
            hue: Hue::Faint,
            mark: Mark::Band(leads().map(|_| stray).collect()),
            points: leads().map(|lead| (lead, -stray)).collect(),
        }];
        let hues = [Hue::Violet, Hue::Blue, Hue::Orange];
        for (index, (quantile, hue)) in quantiles.into_iter().zip(hues).enumerate() {
            let nominal = 100.0 * f64::from(quantile);
            let deviations =
                self.calibration.iter().map(|calibration| 100.0 * calibration.below[index] - nominal);
            series.push(Series {
                name: if quantile == 0.5 { "median".to_owned() } else { format!("{nominal:.0} % quantile") },
                hue,
                mark: Mark::Line,
                points: leads().zip(deviations).collect(),
            });
        }
        let mut horizontal = Horizontal::Hours("lead, hours");
        if let [only] = &self.calibration[..] {
            horizontal = Horizontal::Names(vec![""]);
            series.remove(0);
            for series in &mut series {
                series.mark = Mark::Columns;
                series.points.iter_mut().for_each(|(x, _)| *x -= f64::from(only.lead_h));
            }
        }
        Chart {
            title: "Calibration of the quantiles".to_owned(),
            horizontal,
            vertical: "below less than wanted (−) or more (+), %",
            from_zero: true,
            series,
            dividers: Vec::new(),
        }
    }
}
