//! The running bias of an expert, by lead and hour of the day.

use serde::{Deserialize, Serialize};

/// Hours of a day.
const HOURS: usize = 24;

/// Days that the mean goes back to: with more it follows the season less, with fewer it is noise.
const MEMORY_DAYS: u8 = 30;

/// A bias that so many days are behind counts half.
const SHRINKAGE_DAYS: f32 = 5.0;

/// Degrees of one unit of what is stored.
const UNIT_C: f32 = 1.0 / 500.0;

/// Mean errors of one expert, forecast minus observation.
///
/// An hour of the day is one of the valid time in UTC; a place's own hours are as good as these, shifted. The number of days is kept by
/// hour, not by lead: an hour's observation is that of all leads at once. A lead that goes without now and then is shrunk
/// the more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Bias {
    /// By hour: days with an observation, up to [`MEMORY_DAYS`].
    days: [u8; HOURS],
    /// By lead, then hour, in units of [`UNIT_C`].
    means: Vec<i16>,
}

impl Bias {
    /// No bias, for so many leads.
    pub(super) fn new(leads: usize) -> Bias {
        Bias { days: [0; HOURS], means: vec![0; leads * HOURS] }
    }

    /// What is to be taken off at a lead (by its index) and an hour (0 to 23), °C: the mean error, shrunk by n/(n + 5).
    pub(super) fn correction_c(&self, lead: usize, hour: usize) -> f32 {
        let days = f32::from(self.days[hour]);
        f32::from(self.means[lead * HOURS + hour]) * UNIT_C * (days / (days + SHRINKAGE_DAYS))
    }

    /// Another day's observation of this hour is there: [`Bias::learn`] follows for each lead.
    pub(super) fn begin_day(&mut self, hour: usize) {
        self.days[hour] = (self.days[hour] + 1).min(MEMORY_DAYS);
    }

    /// Learns that the expert, without any correction, was wrong by `error_c`, forecast minus observation.
    pub(super) fn learn(&mut self, lead: usize, hour: usize, error_c: f32) {
        let mean = &mut self.means[lead * HOURS + hour];
        let before = f32::from(*mean) * UNIT_C;
        let after = before + (error_c - before) / f32::from(self.days[hour].max(1));
        // Conversion saturates.
        *mean = (after / UNIT_C).round() as i16;
    }

    /// Whether this is what so many leads need.
    pub(super) fn is_sound(&self, leads: usize) -> bool {
        self.means.len() == leads * HOURS && self.days.iter().all(|&days| days <= MEMORY_DAYS)
    }

    /// The same for other leads: each is given by its index before, if it was there.
    pub(super) fn with_leads(&self, leads: &[Option<usize>]) -> Bias {
        let mut bias = Bias { days: self.days, ..Bias::new(leads.len()) };
        for (own, before) in bias.means.chunks_exact_mut(HOURS).zip(leads) {
            if let Some(before) = before {
                own.copy_from_slice(&self.means[before * HOURS..][..HOURS]);
            }
        }
        bias
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn_days(bias: &mut Bias, days: usize, error_c: impl Fn(usize) -> f32) {
        for day in 0..days {
            bias.begin_day(6);
            bias.learn(1, 6, error_c(day));
        }
    }

    #[test]
    fn a_bias_is_shrunk_by_the_days_behind_it() {
        let mut bias = Bias::new(2);
        assert_eq!(bias.correction_c(1, 6), 0.0);
        learn_days(&mut bias, 1, |_| 3.0);
        assert!((bias.correction_c(1, 6) - 3.0 / 6.0).abs() < 1e-3);
        learn_days(&mut bias, 4, |_| 3.0);
        assert!((bias.correction_c(1, 6) - 1.5).abs() < 1e-2);
        assert_eq!((bias.correction_c(0, 6), bias.correction_c(1, 7)), (0.0, 0.0));
    }

    #[test]
    fn a_bias_follows_the_season() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 200, |day| if day % 2 == 0 { 1.0 } else { 3.0 });
        let full = 30.0 / 35.0;
        assert!((bias.correction_c(1, 6) - 2.0 * full).abs() < 0.1);
        learn_days(&mut bias, 90, |_| -1.0);
        // (29/30)^90 of the old mean is left.
        let expected = -1.0 + 3.0 * (29.0_f32 / 30.0).powi(90);
        assert!((bias.correction_c(1, 6) - expected * full).abs() < 0.06);
    }

    #[test]
    fn an_error_beyond_what_is_stored_saturates() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 1, |_| 1e6);
        assert!((bias.correction_c(1, 6) * 6.0 - 65.534).abs() < 1e-2);
        assert!(bias.is_sound(2) && !bias.is_sound(3));
    }

    #[test]
    fn leads_that_stay_keep_their_bias() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 5, |_| 2.0);
        let other = bias.with_leads(&[Some(1), None]);
        assert_eq!((other.correction_c(0, 6), other.correction_c(1, 6)), (bias.correction_c(1, 6), 0.0));
    }
}
