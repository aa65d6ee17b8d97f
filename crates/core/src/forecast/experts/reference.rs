//! The experts that need no model: persistence, the same time yesterday, and the mixture of both.

use jiff::{SignedDuration, Timestamp};

use super::advice::{Advice, LeadAdvice, Spread};

/// The names of the reference experts.
pub const REFERENCES: [&str; 3] = ["persistence", "yesterday", "mixture"];

/// Prior weights, in the order of [`REFERENCES`].
const PRIORS: [f32; 3] = [1.0, 1.0, 3.0];

/// By lead in hours: how much of today's difference to yesterday is still there then.
///
/// Least-squares slopes of T(t + lead) − T(t + lead − 24 h) on T(t) − T(t − 24 h), mean of Jena 2009 to 2013 (0.95 at 1 h,
/// 0.62 at 6 h, 0.33 at 12 h) and Cambridge 2008 to 2013 (0.94, 0.57, 0.27). Below zero towards a day: what was unusual
/// yesterday is not to be repeated.
const REMAINING: [(f32, f32); 7] =
    [(0.0, 1.0), (1.0, 0.95), (3.0, 0.82), (6.0, 0.60), (12.0, 0.30), (18.0, 0.09), (24.0, -0.19)];

/// By lead in hours: the mean absolute error, °C, where nothing is known of the station; means over 33 records of four
/// continents, those of persistence at 18 h by the course of Jena's.
const PERSISTENCE_MAE: [(f32, f32); 6] =
    [(0.0, 0.3), (1.0, 0.83), (6.0, 3.6), (12.0, 4.95), (18.0, 4.2), (24.0, 2.28)];
const YESTERDAY_MAE: f32 = 2.27;
const MIXTURE_MAE: [(f32, f32); 5] = [(0.0, 0.3), (1.0, 0.81), (6.0, 1.85), (12.0, 2.17), (24.0, 2.26)];

/// What the reference experts say.
#[derive(Debug, Clone, PartialEq)]
pub struct References {
    /// In the order of [`REFERENCES`], by lead.
    leads: [Vec<Option<LeadAdvice>>; 3],
}

impl References {
    /// What they say at `origin`, when it is `newest_c`, for these leads. `value` gives what was measured at a time before
    /// the origin.
    pub fn new(
        lead_h: &[u32],
        origin: Timestamp,
        newest_c: f32,
        value: impl Fn(Timestamp) -> Option<f32>,
    ) -> References {
        let before = |hours: i64| match hours {
            0 => Some(newest_c),
            _ => value(origin - SignedDuration::from_hours(hours)),
        };
        let difference_c = before(24).map(|before_c| newest_c - before_c);
        let mut leads = [const { Vec::new() }; 3];
        for &lead_h in lead_h {
            // The same time of day, as late as it is known.
            let yesterday_c = before(24 * i64::from(lead_h.div_ceil(24).max(1)) - i64::from(lead_h));
            let hours = lead_h as f32;
            // Beyond a day persistence goes on with the course of the day, and nothing is left of today's difference.
            let of_day = if lead_h > 24 { ((lead_h - 1) % 24 + 1) as f32 } else { hours };
            let remaining = if lead_h > 24 { 0.0 } else { interpolate(&REMAINING, hours) };
            let mixture_c = yesterday_c.zip(difference_c).map(|(then_c, now_c)| then_c + remaining * now_c);
            let said = [
                (Some(newest_c), interpolate(&PERSISTENCE_MAE, of_day)),
                (yesterday_c, YESTERDAY_MAE),
                (mixture_c, interpolate(&MIXTURE_MAE, hours)),
            ];
            for (leads, (temperature_c, typical_c)) in leads.iter_mut().zip(said) {
                let spread = Spread::TypicalMae(typical_c);
                leads.push(temperature_c.map(|temperature_c| LeadAdvice { temperature_c, spread }));
            }
        }
        References { leads }
    }

    /// What the reference experts say, each under its name and with its prior weight.
    pub fn advices(&self) -> [Advice<'_>; 3] {
        std::array::from_fn(|index| Advice {
            name: REFERENCES[index],
            prior: PRIORS[index],
            leads: &self.leads[index],
        })
    }
}

/// Linear between points of rising abscissa, constant beyond them.
fn interpolate(points: &[(f32, f32)], at: f32) -> f32 {
    let after = points.partition_point(|(x, _)| *x < at);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after).copied()) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (None, Some((_, y))) | (Some((_, y)), None) => y,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn said(references: &References, index: usize) -> Vec<Option<f32>> {
        let leads = references.advices()[index].leads;
        leads.iter().map(|lead| lead.map(|lead| lead.temperature_c)).collect()
    }

    #[test]
    fn reference_experts_say_what_was_and_what_is() {
        // At hour h it was h °C; now, at hour 100, it is 105 °C.
        let value = |time: Timestamp| Some((time.as_second() / 3600) as f32);
        let references = References::new(&[1, 6, 24, 25, 48], at(100), 105.0, value);
        assert_eq!(said(&references, 0), [Some(105.0); 5]);
        assert_eq!(said(&references, 1), [Some(77.0), Some(82.0), Some(105.0), Some(77.0), Some(105.0)]);
        // 29 °C warmer than yesterday.
        let expected = [77.0 + 0.95 * 29.0, 82.0 + 0.6 * 29.0, 105.0 - 0.19 * 29.0, 77.0, 105.0];
        for (said, expected) in said(&references, 2).into_iter().zip(expected) {
            assert!((said.unwrap() - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn with_few_hours_of_history_those_speak_that_can() {
        // Six hours are known.
        let value = |time: Timestamp| (time >= at(94)).then_some(1.0);
        let references = References::new(&[1, 18, 24], at(100), 2.0, value);
        assert_eq!(said(&references, 0), [Some(2.0); 3]);
        assert_eq!(said(&references, 1), [None, Some(1.0), Some(2.0)]);
        assert_eq!(said(&references, 2), [None; 3]);
    }

    #[test]
    fn points_are_joined_by_lines() {
        assert_eq!(interpolate(&[(1.0, 2.0), (3.0, 6.0)], 2.0), 4.0);
        assert_eq!(interpolate(&[(1.0, 2.0), (3.0, 6.0)], 0.0), 2.0);
        assert_eq!(interpolate(&[(1.0, 2.0), (3.0, 6.0)], 9.0), 6.0);
        assert_eq!(interpolate(&[(1.0, 2.0), (3.0, 6.0)], 3.0), 6.0);
    }
}
