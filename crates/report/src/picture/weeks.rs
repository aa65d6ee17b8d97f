//! Two weeks of forecasts, each at the time it was for.

use crate::chart::{Chart, Horizontal, Hue, Mark, Series};
use crate::figures::PartFigures;
use crate::scoring::cases::Case;

impl PartFigures {
    /// Model, interval, persistence and observations over two weeks.
    pub(super) fn two_weeks(&self) -> Chart {
        // A hole in the record is one in the lines.
        let usual_s = self.weeks.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(f64::INFINITY, f64::min);
        let mut shown: Vec<(f64, Option<&Case>)> = Vec::new();
        for (time, case) in &self.weeks {
            if let Some(&(before, _)) = shown.last().filter(|(before, _)| time - before > 3.5 * usual_s) {
                shown.push((before + 1.0, None));
            }
            shown.push((*time, Some(case)));
        }
        let points = |of: &dyn Fn(&Case) -> f64| -> Vec<(f64, f64)> {
            shown.iter().map(|(time, case)| (*time, case.map_or(f64::NAN, of))).collect()
        };
        let low = points(&|case| case.interval_c.map_or(f64::NAN, |(low_c, _)| low_c));
        let high = points(&|case| case.interval_c.map_or(f64::NAN, |(_, high_c)| high_c));
        let mut series = Vec::new();
        if let Some([first, _, last]) = self.quantiles {
            series.push(Series {
                name: format!("{:.0} % interval", 100.0 * (last - first)),
                hue: Hue::Blue,
                mark: Mark::Band(high.into_iter().map(|(_, high_c)| high_c).collect()),
                points: low,
            });
        }
        let line = |name: &str, hue, mark, of: &dyn Fn(&Case) -> f64| Series {
            name: name.to_owned(),
            hue,
            mark,
            points: points(of),
        };
        series.push(line("same as now", Hue::Orange, Mark::Dashed, &|case| case.persistence_c));
        series.push(line("model", Hue::Blue, Mark::Line, &|case| case.model_c));
        series.push(line("observed", Hue::Ink, Mark::Line, &|case| case.observed_c));
        Chart {
            title: "Forecasts and observations".to_owned(),
            horizontal: Horizontal::Time,
            vertical: "air temperature, °C",
            from_zero: false,
            series,
            dividers: Vec::new(),
        }
    }
}
