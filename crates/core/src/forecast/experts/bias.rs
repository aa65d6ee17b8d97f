//! The running bias of an expert, by lead and hour of the day.

use serde::{Deserialize, Serialize};

use crate::number::to_i16;

/// Hours of a day.
const HOURS: usize = 24;

/// The most days that a mean goes back to.
const MAX_MEMORY_DAYS: u8 = 60;

/// A bias that so many days are behind counts half.
const SHRINKAGE_DAYS: f32 = 5.0;

/// The variance of a normal distribution of mean absolute deviation 1.
const NORMAL_VARIANCE: f32 = std::f32::consts::FRAC_PI_2;

/// Degrees of one unit of what is stored.
const UNIT_C: f32 = 1.0 / 500.0;

/// Mean errors of one expert, forecast minus observation.
///
/// An hour of the day is one of the valid time in UTC; a place's own hours are as good as these, shifted. The number of days is kept by
/// hour, not by lead: an hour's observation is that of all leads at once. A lead that goes without now and then is shrunk
/// the more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Bias {
    /// By hour: days with an observation, up to [`MAX_MEMORY_DAYS`].
    days: [u8; HOURS],
    /// By lead, then hour, in units of [`UNIT_C`]; none where nothing is known.
    means: Vec<i16>,
}

impl Bias {
    /// No bias, for so many leads.
    pub(super) fn new(leads: usize) -> Bias {
        Bias { days: [0; HOURS], means: vec![0; leads * HOURS] }
    }

    /// What is to be taken off at a lead (by its index) and an hour (0 to 23), °C, where the expert's mean absolute error is
    /// `mae_c` at that lead.
    ///
    /// The mean b of n days is shrunk by n/(n + 5), and by b²/(b² + s²/n) with s the standard deviation of an error of that
    /// mean absolute one: what may as well be chance is left where it is (as an empirical Bayes estimate does).
    pub(super) fn correction_c(&self, lead: usize, hour: usize, lead_h: u16, mae_c: f32) -> f32 {
        let mean_c = f32::from(self.means.get(lead * HOURS + hour).copied().unwrap_or(0)) * UNIT_C;
        let days = f32::from(self.days[hour].min(memory_days(lead_h)));
        if mean_c == 0.0 || days == 0.0 {
            return 0.0;
        }
        let (signal, noise) = (mean_c * mean_c, mae_c * mae_c * NORMAL_VARIANCE / days);
        mean_c * (days / (days + SHRINKAGE_DAYS)) * (signal / (signal + noise))
    }

    /// Another day's observation of this hour is there: [`Bias::learn`] follows for each lead.
    pub(super) fn begin_day(&mut self, hour: usize) {
        self.days[hour] = (self.days[hour] + 1).min(MAX_MEMORY_DAYS);
    }

    /// Learns that the expert, without any correction, was wrong by `error_c`, forecast minus observation, at one of so many
    /// leads.
    pub(super) fn learn(&mut self, leads: usize, lead: usize, hour: usize, lead_h: u16, error_c: f32) {
        let days = self.days[hour].clamp(1, memory_days(lead_h));
        if self.means.is_empty() {
            self.means = vec![0; leads * HOURS];
        }
        let mean = &mut self.means[lead * HOURS + hour];
        let before = f32::from(*mean) * UNIT_C;
        let after = before + (error_c - before) / f32::from(days);
        *mean = to_i16(f64::from(after / UNIT_C));
    }

    /// Forgets what is known, and the room that it takes.
    pub(super) fn forget(&mut self) {
        *self = Bias { days: [0; HOURS], means: Vec::new() };
    }

    /// As it is written: of each lead how far it is from the one before, which takes fewer bytes as both are of one hour.
    pub(super) fn pack(&mut self) {
        for index in (HOURS..self.means.len()).rev() {
            self.means[index] = self.means[index].wrapping_sub(self.means[index - HOURS]);
        }
    }

    /// As it was before [`Bias::pack`].
    pub(super) fn unpack(&mut self) {
        for index in HOURS..self.means.len() {
            self.means[index] = self.means[index].wrapping_add(self.means[index - HOURS]);
        }
    }

    /// Whether this is what so many leads need.
    pub(super) fn is_sound(&self, leads: usize) -> bool {
        [0, leads * HOURS].contains(&self.means.len())
            && self.days.iter().all(|&days| days <= MAX_MEMORY_DAYS)
    }

    /// The same for other leads: each is given by its index before, if it was there.
    pub(super) fn with_leads(&self, leads: &[Option<usize>]) -> Bias {
        if self.means.is_empty() {
            return self.clone();
        }
        let mut bias = Bias { days: self.days, ..Bias::new(leads.len()) };
        for (own, before) in bias.means.chunks_exact_mut(HOURS).zip(leads) {
            if let Some(before) = before {
                own.copy_from_slice(&self.means[before * HOURS..][..HOURS]);
            }
        }
        bias
    }
}

/// Days that the mean of a lead goes back to. With more it follows the season less, with fewer it is noise; errors of a short
/// lead are small and follow the course of the day, which changes with the season, those of a long one are mostly noise.
fn memory_days(lead_h: u16) -> u8 {
    u8::try_from(12 + 2 * lead_h.min(100)).unwrap_or(u8::MAX).min(MAX_MEMORY_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A lead whose memory is 30 days.
    const LEAD_H: u16 = 9;

    fn learn_days(bias: &mut Bias, days: usize, error_c: impl Fn(usize) -> f32) {
        for day in 0..days {
            bias.begin_day(6);
            bias.learn(2, 1, 6, LEAD_H, error_c(day));
        }
    }

    fn correction_c(bias: &Bias, lead: usize, hour: usize, mae_c: f32) -> f32 {
        bias.correction_c(lead, hour, LEAD_H, mae_c)
    }

    #[test]
    fn a_bias_is_shrunk_by_the_days_behind_it() {
        let mut bias = Bias::new(2);
        assert_eq!(correction_c(&bias, 1, 6, 0.0), 0.0);
        learn_days(&mut bias, 1, |_| 3.0);
        assert!((correction_c(&bias, 1, 6, 0.0) - 3.0 / 6.0).abs() < 1e-3);
        learn_days(&mut bias, 4, |_| 3.0);
        assert!((correction_c(&bias, 1, 6, 0.0) - 1.5).abs() < 1e-2);
        assert_eq!((correction_c(&bias, 0, 6, 0.0), correction_c(&bias, 1, 7, 0.0)), (0.0, 0.0));
    }

    /// 20 days with a mean of 1 °C: errors of MAE 4 °C have a standard deviation of 5.01 °C and their mean one of 1.12 °C, so
    /// that b²/(b² + s²/n) is 0.443.
    #[test]
    fn a_bias_that_may_be_chance_is_mostly_left_where_it_is() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 20, |_| 1.0);
        let by_days = 20.0 / 25.0;
        assert!((correction_c(&bias, 1, 6, 4.0) - by_days * 0.443).abs() < 2e-3);
        assert!((correction_c(&bias, 1, 6, 0.1) - by_days).abs() < 2e-2);
    }

    #[test]
    fn a_bias_follows_the_season() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 200, |day| if day % 2 == 0 { 1.0 } else { 3.0 });
        let full = 30.0 / 35.0;
        assert!((correction_c(&bias, 1, 6, 0.0) - 2.0 * full).abs() < 0.1);
        learn_days(&mut bias, 90, |_| -1.0);
        // (29/30)^90 of the old mean is left.
        let expected = -1.0 + 3.0 * (29.0_f32 / 30.0).powi(90);
        assert!((correction_c(&bias, 1, 6, 0.0) - expected * full).abs() < 0.06);
    }

    #[test]
    fn an_error_beyond_what_is_stored_saturates() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 1, |_| 1e6);
        assert!((correction_c(&bias, 1, 6, 0.0) * 6.0 - 65.534).abs() < 1e-2);
        assert!(bias.is_sound(2) && !bias.is_sound(3));
    }

    #[test]
    fn a_bias_that_was_forgotten_takes_no_room_and_is_learned_anew() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 5, |_| 2.0);
        let learned = correction_c(&bias, 1, 6, 0.5);
        bias.forget();
        assert_eq!((correction_c(&bias, 1, 6, 0.5), bias.is_sound(2), bias.means.len()), (0.0, true, 0));
        assert_eq!(bias.with_leads(&[Some(1), None, None]), bias);
        learn_days(&mut bias, 5, |_| 2.0);
        assert_eq!(correction_c(&bias, 1, 6, 0.5), learned);
    }

    #[test]
    fn leads_that_stay_keep_their_bias() {
        let mut bias = Bias::new(2);
        learn_days(&mut bias, 5, |_| 2.0);
        let other = bias.with_leads(&[Some(1), None]);
        assert_eq!(correction_c(&other, 0, 6, 0.5), correction_c(&bias, 1, 6, 0.5));
        assert_eq!(correction_c(&other, 1, 6, 0.5), 0.0);
    }
}
