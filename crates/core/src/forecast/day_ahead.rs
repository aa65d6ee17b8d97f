//! The lowest and the highest temperature of the hours ahead, and how likely it is to become colder than a threshold.

use super::experts::QUANTILES;
use super::quantiles::{probability_below, published};
use super::{LeadForecast, from_centidegrees, to_centidegrees};
use crate::model::manifest::Manifest;
use crate::model::outputs::{are_temperatures, decode_row};
use crate::number::to_single;

/// An extreme of the hours ahead, °C, in whole centidegrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    /// The median of the extreme, °C.
    pub temperature_c: f32,
    /// The ends of the interval.
    pub interval_c: (f32, f32),
    /// The quantiles of [`QUANTILES`], rising; `None` where they are not known, as in what was read from the journal.
    pub quantiles_c: Option<[f32; QUANTILES.len()]>,
}

/// The probability that it becomes colder than a threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Below {
    /// The threshold, °C, in whole centidegrees.
    pub threshold_c: f32,
    /// The probability, in whole thousandths.
    pub probability: f32,
}

/// What the hours ahead bring. They are whole hours after the origin, as the model was trained on: between two of them it may
/// be a little colder or warmer.
#[derive(Debug, Clone, PartialEq)]
pub struct DayAhead {
    /// How many hours.
    pub hours: u32,
    /// The lowest temperature.
    pub lowest: Extreme,
    /// The highest temperature.
    pub highest: Extreme,
    /// For each threshold, how likely the lowest temperature is below it.
    pub below: Vec<Below>,
}

impl DayAhead {
    /// What a model's outputs mean, with the newest temperature `newest_c`; `None` where it does not forecast extremes, or one
    /// is no temperature.
    pub(crate) fn decode(
        manifest: &Manifest,
        newest_c: f32,
        outputs: &[f32],
        thresholds_c: &[f32],
    ) -> Option<DayAhead> {
        let hours = manifest.extremes_h?;
        let (low, high) = manifest.interval()?;
        let levels = &manifest.quantiles;
        let mut rows = outputs.chunks_exact(levels.len()).skip(manifest.lead_h.len());
        let mut next_row = || -> Option<Vec<f32>> {
            let row = rows.next().filter(|row| are_temperatures(manifest, newest_c, row))?;
            let row_c = decode_row(manifest, newest_c, row);
            row_c.into_iter().map(|own| to_centidegrees(own).map(from_centidegrees)).collect()
        };
        let (lowest, highest) = (next_row()?, next_row()?);
        let extreme = |row: &[f32]| Extreme {
            temperature_c: row[manifest.median()],
            interval_c: (row[low], row[high]),
            quantiles_c: published(levels, row),
        };
        let below = thresholds_c.iter().filter_map(|&threshold_c| {
            let threshold_c = from_centidegrees(to_centidegrees(threshold_c)?);
            let probability = probability_below(levels, &lowest, threshold_c)?;
            Some(Below { threshold_c, probability: from_thousandths(to_thousandths(probability)) })
        });
        let below = below.collect();
        Some(DayAhead { hours, lowest: extreme(&lowest), highest: extreme(&highest), below })
    }

    /// The same, in agreement with the hours: the lowest of them is no warmer than any of them, and the highest no colder, so that
    /// each quantile of the lowest is at most the least one of its level among the hours. The hours are what the experts say together;
    /// the extremes are one model's, as they stand in its outputs, and nothing but this is done to them.
    pub(crate) fn agreeing_with(mut self, leads: &[LeadForecast]) -> DayAhead {
        for lead in leads.iter().filter(|lead| lead.lead_h <= self.hours) {
            self.lowest = self.lowest.beyond(lead, f32::min);
            self.highest = self.highest.beyond(lead, f32::max);
        }
        if let Some(quantiles_c) = self.lowest.quantiles_c {
            for below in &mut self.below {
                if let Some(probability) = probability_below(&QUANTILES, &quantiles_c, below.threshold_c) {
                    below.probability = from_thousandths(to_thousandths(probability));
                }
            }
        }
        self
    }
}

impl Extreme {
    /// What lies further out, of the extreme and of an hour, quantile by quantile.
    fn beyond(self, hour: &LeadForecast, outer: fn(f32, f32) -> f32) -> Extreme {
        let ends = hour.interval_c.unwrap_or(self.interval_c);
        let quantiles_c = match (self.quantiles_c, hour.quantiles_c) {
            (Some(own), Some(of_hour)) => {
                Some(std::array::from_fn(|index| outer(own[index], of_hour[index])))
            }
            (own, _) => own,
        };
        Extreme {
            temperature_c: outer(self.temperature_c, hour.temperature_c),
            interval_c: (outer(self.interval_c.0, ends.0), outer(self.interval_c.1, ends.1)),
            quantiles_c,
        }
    }
}

/// A probability in whole thousandths: what is published, stored and shown is then the same number.
#[expect(clippy::cast_possible_truncation, reason = "at most 1000")]
pub fn to_thousandths(probability: f32) -> u16 {
    (f64::from(probability.clamp(0.0, 1.0)) * 1000.0).round() as u16
}

/// The probability that a number of thousandths means.
pub fn from_thousandths(thousandths: u16) -> f32 {
    to_single(f64::from(thousandths) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::manifest::FORMAT_VERSION;
    use crate::model::normalisation::Normalisation;
    use crate::model::target::{Target, TargetKind};
    use crate::window::spec::{MissingValues, WindowSpec};

    fn manifest(extremes_h: Option<u32>) -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            name: "one lead".to_owned(),
            window: WindowSpec {
                grid_step_s: 3600,
                sample_every_s: 3600,
                samples: 1,
                max_hole_s: 3600,
                site: None,
                missing: MissingValues::Mean,
                features: Vec::new(),
            },
            normalisation: Normalisation { mean: Vec::new(), standard_deviation: Vec::new() },
            target: Target {
                quantity: "air_temperature".to_owned(),
                kind: TargetKind::DifferenceToNewest,
                mean: 0.0,
                standard_deviation: 1.0,
            },
            stations: Vec::new(),
            lead_h: vec![1],
            quantiles: vec![0.1, 0.25, 0.5, 0.75, 0.9],
            extremes_h,
            ranges: None,
            training: None,
            scores: Vec::new(),
            tool: "test".to_owned(),
            graph_sha256: None,
        }
    }

    #[test]
    fn extremes_are_the_rows_after_the_leads_and_frost_follows_from_the_lowest() {
        let lead = [0.0; 5];
        let lowest = [-6.0, -5.0, -4.0, -3.0, -2.0];
        let highest = [1.0, 2.0, 3.0, 4.0, 5.0];
        let outputs = [lead, lowest, highest].concat();
        let day = DayAhead::decode(&manifest(Some(24)), 4.0, &outputs, &[0.0, 1.5]).unwrap();
        assert_eq!(day.hours, 24);
        assert_eq!((day.lowest.temperature_c, day.lowest.interval_c), (0.0, (-2.0, 2.0)));
        assert_eq!((day.highest.temperature_c, day.highest.interval_c), (7.0, (5.0, 9.0)));
        // The median of the lowest is 0 °C; 1.5 °C lies half way between the quantiles of 0.75 and 0.9.
        let probabilities: Vec<f32> = day.below.iter().map(|below| below.probability).collect();
        assert_eq!(probabilities, [0.5, 0.825]);
        assert_eq!(DayAhead::decode(&manifest(None), 4.0, &lead, &[0.0]), None);
    }

    #[test]
    fn quantiles_of_the_lowest_that_cross_give_one_interval_and_a_probability_that_agrees_with_it() {
        // Those of 0.1 and 0.25 lie above the median, that of 0.9 below the one of 0.75.
        let crossed = [1.0, 2.0, 0.0, 3.0, 1.0];
        let outputs = [[0.0; 5], crossed, [5.0; 5]].concat();
        let day = DayAhead::decode(&manifest(Some(24)), 0.0, &outputs, &[-1.0, 1.5]).unwrap();
        assert_eq!((day.lowest.temperature_c, day.lowest.interval_c), (0.0, (0.0, 3.0)));
        // Nothing below the median; 1.5 °C lies half way between it and the quantile of 0.75.
        let probabilities: Vec<f32> = day.below.iter().map(|below| below.probability).collect();
        assert_eq!(probabilities, [0.0, 0.625]);
    }

    fn row(median_c: f32, step_c: f32) -> [f32; QUANTILES.len()] {
        std::array::from_fn(|index| median_c + (index as f32 - 3.0) * step_c)
    }

    fn extreme(quantiles_c: [f32; QUANTILES.len()]) -> Extreme {
        let interval_c = (quantiles_c[1], quantiles_c[5]);
        Extreme { temperature_c: quantiles_c[3], interval_c, quantiles_c: Some(quantiles_c) }
    }

    fn hour(lead_h: u32, quantiles_c: [f32; QUANTILES.len()]) -> LeadForecast {
        let Extreme { temperature_c, interval_c, quantiles_c } = extreme(quantiles_c);
        let valid_at = jiff::Timestamp::UNIX_EPOCH;
        LeadForecast { lead_h, valid_at, temperature_c, interval_c: Some(interval_c), quantiles_c }
    }

    /// The lowest of the hours was to be -0.5 to 1.5 °C with 80 %, while one of them alone is -3 to 5 °C; that of the 25th hour
    /// is not among them.
    #[test]
    fn the_lowest_of_the_hours_is_no_warmer_than_one_of_them_and_the_highest_no_colder() {
        let (lowest, highest) = (extreme(row(0.5, 0.5)), extreme(row(4.0, 1.0)));
        let below = vec![Below { threshold_c: 0.0, probability: 0.3 }];
        let day = DayAhead { hours: 24, lowest, highest, below };
        let hours = [hour(3, row(1.0, 2.0)), hour(9, row(3.0, 0.25)), hour(25, row(-20.0, 1.0))];
        let agreeing = day.agreeing_with(&hours);
        let expected = [-5.0, -3.0, -1.0, 0.5, 1.0, 1.5, 2.0];
        assert_eq!(agreeing.lowest, extreme(expected));
        assert_eq!(agreeing.highest, extreme([2.25, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0]));
        // 0 °C lies two thirds of the way from the quartile at -1 °C to the median at 0.5 °C.
        let probability = agreeing.below[0].probability;
        assert!((probability - (0.25 + 0.25 * 2.0 / 3.0)).abs() < 1e-3, "{probability}");
    }

    #[test]
    fn extremes_that_agree_with_the_hours_stay_and_so_do_those_of_which_less_is_known() {
        let (lowest, highest) = (extreme(row(-2.0, 1.0)), extreme(row(8.0, 1.0)));
        let day = DayAhead { hours: 24, lowest, highest, below: Vec::new() };
        let hours = [hour(1, row(3.0, 0.5)), hour(24, row(2.0, 1.0))];
        assert_eq!(day.clone().agreeing_with(&hours), day);
        let bare = Extreme { quantiles_c: None, ..day.lowest };
        let of_interval = DayAhead { lowest: bare, ..day.clone() }.agreeing_with(&[hour(1, row(-3.0, 1.0))]);
        assert_eq!((of_interval.lowest.interval_c, of_interval.lowest.temperature_c), ((-5.0, -1.0), -3.0));
    }

    #[test]
    fn extremes_that_no_thermometer_shows_are_none() {
        for hostile in [f32::NAN, f32::INFINITY, -150.0, 150.0] {
            let mut outputs = [0.0; 15];
            outputs[12] = hostile;
            assert_eq!(DayAhead::decode(&manifest(Some(24)), 4.0, &outputs, &[0.0]), None, "{hostile}");
        }
    }

    #[test]
    fn every_thousandth_survives_being_a_float() {
        for thousandths in 0..=1000 {
            assert_eq!(to_thousandths(from_thousandths(thousandths)), thousandths);
        }
        assert_eq!((to_thousandths(-1.0), to_thousandths(2.0)), (0, 1000));
    }
}
