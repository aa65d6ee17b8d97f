//! What the experts say together.

use super::advice::{Distances, LEVELS, QUANTILES};
use super::pending::{ABSENT, Issue, KeptDistances};
use crate::forecast::{from_centidegrees, to_centidegrees};

/// The place of the median among [`QUANTILES`].
const MEDIAN: usize = QUANTILES.len() / 2;

/// What the experts say of one lead together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CombinedLead {
    /// How far ahead of the origin this is, in hours.
    pub lead_h: u32,
    /// °C, in whole centidegrees.
    pub temperature_c: f32,
    /// The quantiles [`QUANTILES`], rising, °C, in whole centidegrees; the one in the middle is the temperature.
    pub quantiles_c: [f32; QUANTILES.len()],
}

impl CombinedLead {
    /// Around a temperature in centidegrees, which the observation is expected to miss by these distances.
    pub(super) fn new(lead_h: u32, temperature: i16, distances: &Distances) -> CombinedLead {
        let temperature_c = from_centidegrees(temperature);
        let end = |distance: f32| {
            let end_c = temperature_c + distance;
            to_centidegrees(end_c).map_or(end_c, from_centidegrees)
        };
        let mut quantiles_c = [temperature_c; QUANTILES.len()];
        for level in 0..LEVELS.len() {
            quantiles_c[MEDIAN - 1 - level] = end(-distances.below[level]);
            quantiles_c[MEDIAN + 1 + level] = end(distances.above[level]);
        }
        CombinedLead { lead_h, temperature_c, quantiles_c }
    }

    /// The ends of the central interval of this probability, one of [`LEVELS`], °C.
    pub fn interval_c(&self, probability: f32) -> Option<(f32, f32)> {
        let level = LEVELS.iter().position(|level| *level == probability)?;
        Some((self.quantiles_c[MEDIAN - 1 - level], self.quantiles_c[MEDIAN + 1 + level]))
    }
}

/// An expert that is part of a combination.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) prior: f32,
}

/// What went into a combination at one lead, in centidegrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Combined {
    pub(super) temperature: i16,
    pub(super) distances: KeptDistances,
}

impl Combined {
    /// Where nobody said anything.
    pub(super) const NOTHING: Combined = Combined { temperature: ABSENT, distances: KeptDistances::NONE };
}

/// What the experts say together, and what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Combination {
    pub(super) origin_s: i64,
    /// By rising name.
    pub(super) members: Vec<Member>,
    /// By lead; `None` where nobody said anything.
    pub(super) leads: Vec<Option<CombinedLead>>,
    /// What is kept of each lead for when its hour has come; [`Combined::NOTHING`] where nobody said anything.
    pub(super) combined: Vec<Combined>,
    /// By lead, then member: centidegrees with the running bias taken off, or [`ABSENT`].
    pub(super) said: Vec<i16>,
}

impl Combination {
    /// By rising lead, without those of which nobody said anything.
    pub fn leads(&self) -> impl Iterator<Item = &CombinedLead> + '_ {
        self.leads.iter().flatten()
    }

    /// Whether nobody said anything of any lead.
    pub(super) fn is_empty(&self) -> bool {
        self.said.iter().all(|said| *said == ABSENT)
    }

    /// As what waits for its hours, with the numbers that stand for its members; those without are left out.
    pub(super) fn issue(&self, numbers: &[Option<u8>]) -> Issue {
        let mut issue = Issue::new(self.origin_s, numbers.iter().copied().flatten());
        for (lead, combined) in self.combined.iter().enumerate() {
            let said = &self.said[lead * self.members.len()..][..self.members.len()];
            issue.push(combined.temperature, combined.distances, |number| {
                numbers.iter().position(|own| *own == Some(number)).map_or(ABSENT, |member| said[member])
            });
        }
        issue
    }
}
