//! What is known of one expert, and what of it is shown.

use serde::{Deserialize, Serialize};

use super::advice::{Distances, LeadAdvice, Spread};
use super::bias::Bias;
use super::boa::Regret;

/// Hours that a rolling error goes back to: 30 days.
const ROLLING_HOURS: u16 = 720;

/// A typical error counts as much as so many hours of an expert's own.
const TYPICAL_HOURS: f32 = 24.0;

/// A rolling mean absolute error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RollingMae {
    /// The mean absolute error over the hours behind it, °C; 0 without any.
    mae_c: f32,
    /// Hours behind it, up to [`ROLLING_HOURS`].
    hours: u16,
}

impl RollingMae {
    pub(super) fn add(&mut self, error_c: f32) {
        self.hours = (self.hours + 1).min(ROLLING_HOURS);
        self.mae_c += (error_c.abs() - self.mae_c) / f32::from(self.hours);
    }

    /// °C; `None` before the first hour.
    pub(super) fn mae_c(&self) -> Option<f32> {
        (self.hours > 0).then_some(self.mae_c)
    }

    /// The error to expect, °C, where `typical_c` is typical.
    fn expected_c(&self, typical_c: f32) -> f32 {
        let hours = f32::from(self.hours);
        (self.mae_c * hours + typical_c * TYPICAL_HOURS) / (hours + TYPICAL_HOURS)
    }

    pub(super) fn is_sound(&self) -> bool {
        self.mae_c.is_finite() && self.mae_c >= 0.0 && self.hours <= ROLLING_HOURS
    }
}

/// What is known of one expert at one lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LeadRecord {
    pub(super) regret: Regret,
    pub(super) rolling: RollingMae,
}

impl LeadRecord {
    /// How far from what it says the observation is expected.
    pub(super) fn distances(&self, advice: &LeadAdvice) -> Distances {
        match advice.spread {
            Spread::Distances(distances) => distances,
            Spread::TypicalMae(typical_c) => Distances::from_mae(self.rolling.expected_c(typical_c)),
        }
    }
}

/// What is known of one expert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ExpertRecord {
    pub(super) name: String,
    /// What stands for it in what is pending; no other expert has it.
    pub(super) number: u8,
    /// Its prior weight, as it was given last.
    pub(super) prior: f32,
    /// The hour since the Unix epoch in which it last said something.
    pub(super) heard_h: i64,
    /// How it has done, by lead in the order of the station's leads.
    pub(super) leads: Vec<LeadRecord>,
    pub(super) bias: Bias,
}

impl ExpertRecord {
    pub(super) fn new(name: &str, number: u8, leads: usize) -> ExpertRecord {
        ExpertRecord {
            name: name.to_owned(),
            number,
            prior: 0.0,
            heard_h: i64::MIN,
            leads: vec![LeadRecord::default(); leads],
            bias: Bias::new(leads),
        }
    }

    /// What is to be taken off at a lead and an hour of the day, °C.
    pub(super) fn correction_c(&self, lead: usize, hour: usize, lead_h: u16) -> f32 {
        let mae_c = self.leads[lead].rolling.mae_c().unwrap_or(0.0);
        self.bias.correction_c(lead, hour, lead_h, mae_c)
    }

    /// As it is written: hours and biases as far as they differ from those of the lead before.
    pub(super) fn pack(&mut self) {
        for lead in (1..self.leads.len()).rev() {
            let before = self.leads[lead - 1].rolling.hours;
            let rolling = &mut self.leads[lead].rolling;
            rolling.hours = before.wrapping_sub(rolling.hours);
        }
        self.bias.pack();
    }

    /// As it was before [`Record::pack`].
    pub(super) fn unpack(&mut self) {
        for lead in 1..self.leads.len() {
            let before = self.leads[lead - 1].rolling.hours;
            let rolling = &mut self.leads[lead].rolling;
            rolling.hours = before.wrapping_sub(rolling.hours);
        }
        self.bias.unpack();
    }

    /// Whether this is a record of so many leads.
    pub(super) fn is_sound(&self, leads: usize) -> bool {
        let lead_is_sound = |lead: &LeadRecord| lead.regret.is_sound() && lead.rolling.is_sound();
        is_prior(self.prior)
            && self.leads.len() == leads
            && self.leads.iter().all(lead_is_sound)
            && self.bias.is_sound(leads)
    }

    /// The same for other leads: each is given by its index before, if it was there.
    pub(super) fn with_leads(&self, leads: &[Option<usize>]) -> ExpertRecord {
        let lead = |before: &Option<usize>| before.map(|before| self.leads[before]).unwrap_or_default();
        ExpertRecord {
            leads: leads.iter().map(lead).collect(),
            bias: self.bias.with_leads(leads),
            name: self.name.clone(),
            ..*self
        }
    }
}

/// Whether a number can be a prior weight.
pub(super) fn is_prior(prior: f32) -> bool {
    prior.is_finite() && prior > 0.0
}

/// How an expert stands at one lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeadStanding {
    /// The lead that this is the standing at, in hours.
    pub lead_h: u32,
    /// Its share in the combination; 0 where it is asleep.
    pub weight: f32,
    /// Its rolling mean absolute error over about 30 days, once an hour, its bias taken off, °C; `None` before the first hour.
    pub mae_c: Option<f32>,
}

/// How an expert stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// The expert's name, as in the advice: of a reference forecast or of a model.
    pub name: String,
    /// Whether it said nothing of late.
    pub is_asleep: bool,
    /// By rising lead.
    pub leads: Vec<LeadStanding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolling_error_is_the_mean_at_first_and_forgets_later() {
        let mut rolling = RollingMae::default();
        assert_eq!(rolling.mae_c(), None);
        assert_eq!(rolling.expected_c(2.0), 2.0);
        for error_c in [1.0, -3.0] {
            rolling.add(error_c);
        }
        assert_eq!(rolling.mae_c(), Some(2.0));
        assert!((rolling.expected_c(4.0) - (2.0 * 2.0 + 24.0 * 4.0) / 26.0).abs() < 1e-6);
        for _ in 0..3 * ROLLING_HOURS {
            rolling.add(1.0);
        }
        assert!((rolling.mae_c().unwrap() - 1.0).abs() < 0.06);
        assert!(rolling.is_sound());
    }
}
