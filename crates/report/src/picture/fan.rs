//! One forecast as a fan that continues what was observed.

use crate::chart::{Chart, Divider, Horizontal, Hue, Mark, Series};
use crate::fan::{Fan, FanLead};

/// The shares of the intervals that are drawn where the model gives them, the widest first.
const INTERVALS: [f32; 3] = [0.9, 0.8, 0.5];

impl Fan {
    /// Median and intervals, what was observed before and after, and "same as now".
    pub(super) fn chart(&self) -> Chart {
        let now_c = self.newest_c;
        // The fan opens where the forecast was issued.
        let points = |of: &dyn Fn(&FanLead) -> f64| -> Vec<(f64, f64)> {
            let leads = self.leads.iter().map(|lead| (f64::from(lead.lead_h), of(lead)));
            std::iter::once((0.0, now_c)).chain(leads).collect()
        };
        let mut series = Vec::new();
        for (share, low, high) in self.intervals() {
            let tops = points(&|lead| lead.quantiles_c[high]);
            series.push(Series {
                name: format!("{:.0} % interval", 100.0 * share),
                hue: Hue::Blue,
                mark: Mark::Band(tops.into_iter().map(|(_, top_c)| top_c).collect()),
                points: points(&|lead| lead.quantiles_c[low]),
            });
        }
        let line = |name: &str, hue, mark, points| Series { name: name.to_owned(), hue, mark, points };
        let point = if self.levels.is_empty() { "forecast" } else { "median" };
        series.push(line("same as now", Hue::Orange, Mark::Dashed, points(&|_| now_c)));
        series.push(line(point, Hue::Blue, Mark::Line, points(&|lead| lead.quantiles_c[self.median])));
        series.push(line("observed", Hue::Ink, Mark::Line, self.observed.clone()));
        Chart {
            title: "One forecast".to_owned(),
            horizontal: Horizontal::Hours("hours from the time of issue"),
            vertical: "air temperature, °C",
            from_zero: false,
            series,
            dividers: vec![Divider { at: 0.0, label: "issued".to_owned() }],
        }
    }

    /// The intervals that the quantiles give: share, and which quantiles are its ends; all that there are of [`INTERVALS`], else
    /// the widest.
    fn intervals(&self) -> Vec<(f32, usize, usize)> {
        let at = |level: f32| self.levels.iter().position(|own| (own - level).abs() < 1e-4);
        let of = |share: f32| Some((share, at((1.0 - share) / 2.0)?, at(f32::midpoint(1.0, share))?));
        let usual: Vec<_> = INTERVALS.into_iter().filter_map(of).collect();
        match self.levels[..] {
            [first, .., last] if usual.is_empty() => vec![(last - first, 0, self.levels.len() - 1)],
            _ => usual,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fan(levels: &[f32]) -> Fan {
        let lead = |lead_h| FanLead { lead_h, quantiles_c: vec![0.0; levels.len().max(1)] };
        Fan {
            issued_at: jiff::Timestamp::UNIX_EPOCH,
            newest_c: 4.0,
            observed: vec![(-1.0, 5.0), (0.0, 4.0), (1.0, 3.0)],
            levels: levels.to_vec(),
            median: levels.len() / 2,
            leads: vec![lead(1), lead(2)],
        }
    }

    #[test]
    fn every_interval_is_drawn_that_the_model_gives_the_widest_at_the_back() {
        let names = |levels: &[f32]| -> Vec<String> {
            fan(levels).chart().series.into_iter().map(|series| series.name).collect()
        };
        assert_eq!(
            names(&[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]),
            ["90 % interval", "80 % interval", "50 % interval", "same as now", "median", "observed"]
        );
        assert_eq!(names(&[0.1, 0.5, 0.9]), ["80 % interval", "same as now", "median", "observed"]);
        assert_eq!(names(&[0.2, 0.5, 0.8]), ["60 % interval", "same as now", "median", "observed"]);
        assert_eq!(names(&[]), ["same as now", "forecast", "observed"]);
    }

    #[test]
    fn the_fan_opens_at_the_newest_reading() {
        let chart = fan(&[0.1, 0.5, 0.9]).chart();
        for series in chart.series.iter().filter(|series| series.name != "observed") {
            assert_eq!(series.points[0], (0.0, 4.0), "{}", series.name);
        }
    }
}
