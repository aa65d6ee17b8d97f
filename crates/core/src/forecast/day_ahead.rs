//! The lowest and the highest temperature of the hours ahead, and how likely it is to become colder than a threshold.

use super::experts::QUANTILES;
use super::quantiles::{probability_below, published};
use super::{from_centidegrees, to_centidegrees};
use crate::model::manifest::Manifest;
use crate::model::outputs::{are_temperatures, decode_row};
use crate::number::to_single;

/// An extreme of the hours ahead, °C, in whole centidegrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    /// The median.
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
