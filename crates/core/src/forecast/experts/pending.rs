//! What was said at the issue of a forecast and waits for its hours, in centidegrees.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::advice::Distances;
use super::record::Record;

/// Marks a temperature that is absent.
pub(super) const ABSENT: i16 = i16::MIN;

/// Distances up to here are kept in fine units, and what is beyond in coarse ones: 2.56 °C.
const FINE_UNITS: u8 = 128;
const FINE_UNIT_C: f32 = 0.02;
const COARSE_UNIT_C: f32 = 0.1;

/// Distances of one lead, below and above.
const DISTANCES: usize = 6;

const HOUR_S: i64 = 3600;

/// The distances of issued intervals as they are kept, a byte each: what is issued and what is learned from are the same
/// numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct KeptDistances([u8; DISTANCES]);

impl KeptDistances {
    /// No distance.
    pub(super) const NONE: KeptDistances = KeptDistances([0; DISTANCES]);

    /// Rounds to 0.02 °C up to 2.56 °C and to 0.1 °C up to 15.26 °C; no distance is longer.
    pub(super) fn new(distances: &Distances) -> KeptDistances {
        let all = distances.below.iter().chain(&distances.above);
        let mut kept = [0; DISTANCES];
        for (kept, distance) in kept.iter_mut().zip(all) {
            let fine = (distance / FINE_UNIT_C).round();
            let beyond = (distance - f32::from(FINE_UNITS) * FINE_UNIT_C) / COARSE_UNIT_C;
            // Conversion saturates.
            let coarse = (f32::from(FINE_UNITS) + beyond.round()) as u8;
            *kept = if fine <= f32::from(FINE_UNITS) { fine as u8 } else { coarse };
        }
        KeptDistances(kept)
    }

    pub(super) fn get(self) -> Distances {
        let distance = |kept: u8| {
            let (fine, coarse) = (kept.min(FINE_UNITS), kept.saturating_sub(FINE_UNITS));
            f32::from(fine) * FINE_UNIT_C + f32::from(coarse) * COARSE_UNIT_C
        };
        let side = |from: usize| std::array::from_fn(|level| distance(self.0[from + level]));
        Distances { below: side(0), above: side(DISTANCES / 2) }
    }
}

/// A combination of one hour, with what it was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Issue {
    /// Second of its origin.
    pub(super) origin_s: i64,
    /// The numbers of the experts that said something, as bits.
    experts: u16,
    /// Index of the first lead that waits.
    first: u8,
    /// By waiting lead: the combination, then the experts by rising number.
    temperatures: Vec<i16>,
    /// By waiting lead.
    distances: Vec<u8>,
}

/// One lead of an issue whose hour has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due<'a> {
    /// Index of the lead.
    pub(super) lead: usize,
    /// Second of the hour that it was for.
    pub(super) valid_s: i64,
    /// Centidegrees.
    pub(super) combined: i16,
    pub(super) distances: KeptDistances,
    experts: u16,
    said: &'a [i16],
}

impl Due<'_> {
    /// What an expert said, in centidegrees.
    pub(super) fn said(&self, number: u8) -> Option<i16> {
        if self.experts & (1 << number) == 0 {
            return None;
        }
        let index = (self.experts & ((1 << number) - 1)).count_ones() as usize;
        self.said.get(index).copied().filter(|said| *said != ABSENT)
    }
}

impl Issue {
    /// An issue of which nothing is said yet.
    pub(super) fn new(origin_s: i64, numbers: impl Iterator<Item = u8>) -> Issue {
        let experts = numbers.fold(0, |experts, number| experts | 1 << number);
        Issue { origin_s, experts, first: 0, temperatures: Vec::new(), distances: Vec::new() }
    }

    /// Adds the next lead: the combination and what each expert says, in centidegrees.
    pub(super) fn push(&mut self, combined: i16, distances: KeptDistances, said: impl Fn(u8) -> i16) {
        self.temperatures.push(combined);
        let numbers = (0..16).filter(|number| self.experts & (1 << number) != 0);
        self.temperatures.extend(numbers.map(said));
        self.distances.extend(distances.0);
    }

    /// Numbers of one lead.
    fn width(&self) -> usize {
        1 + self.experts.count_ones() as usize
    }

    fn waiting(&self) -> usize {
        self.distances.len() / DISTANCES
    }

    fn valid_s(&self, lead_h: u16) -> i64 {
        self.origin_s + i64::from(lead_h) * HOUR_S
    }

    /// How many of its leads were for a time before `before_s`.
    fn due(&self, lead_h: &[u16], before_s: i64) -> usize {
        let waiting = lead_h.iter().skip(usize::from(self.first)).take(self.waiting());
        waiting.take_while(|lead_h| self.valid_s(**lead_h) < before_s).count()
    }

    fn drop_first(&mut self, leads: usize) {
        if leads == 0 {
            return;
        }
        self.temperatures.drain(..leads * self.width());
        self.distances.drain(..leads * DISTANCES);
        // There are two dozen issues for each of many stations.
        self.temperatures.shrink_to_fit();
        self.distances.shrink_to_fit();
        self.first += leads as u8;
    }
}

/// Issues by rising hour, at most one an hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    issues: VecDeque<Issue>,
}

impl Pending {
    /// Whether a time is in a later hour than the newest issue.
    pub(super) fn is_over_hour(&self, second: i64) -> bool {
        let hour = |second: i64| second.div_euclid(HOUR_S);
        self.issues.back().is_none_or(|newest| hour(newest.origin_s) < hour(second))
    }

    /// Whether an issue of this origin would be kept: the first of its hour is, and one that is made again.
    pub(super) fn wants(&self, origin_s: i64) -> bool {
        self.is_over_hour(origin_s) || self.issues.back().is_some_and(|newest| newest.origin_s == origin_s)
    }

    /// Keeps an issue that is wanted.
    pub(super) fn keep(&mut self, issue: Issue) {
        if self.issues.back().is_some_and(|newest| newest.origin_s == issue.origin_s) {
            self.issues.pop_back();
        }
        self.issues.push_back(issue);
    }

    /// Whether a lead was for a time before `before_s`.
    pub(super) fn has_due(&self, lead_h: &[u16], before_s: i64) -> bool {
        self.issues.iter().any(|issue| issue.due(lead_h, before_s) > 0)
    }

    /// All that was for a time before `before_s`, by rising time.
    pub(super) fn due(&self, lead_h: &[u16], before_s: i64) -> Vec<Due<'_>> {
        let mut due = Vec::new();
        for issue in &self.issues {
            // Where nobody said anything there is nothing to learn.
            let is_said = |index: &usize| issue.temperatures[index * issue.width()] != ABSENT;
            for index in (0..issue.due(lead_h, before_s)).filter(is_said) {
                let row = &issue.temperatures[index * issue.width()..][..issue.width()];
                let mut distances = [0; DISTANCES];
                distances.copy_from_slice(&issue.distances[index * DISTANCES..][..DISTANCES]);
                let lead = usize::from(issue.first) + index;
                due.push(Due {
                    lead,
                    valid_s: issue.valid_s(lead_h[lead]),
                    combined: row[0],
                    distances: KeptDistances(distances),
                    experts: issue.experts,
                    said: &row[1..],
                });
            }
        }
        due.sort_by_key(|due| due.valid_s);
        due
    }

    /// Drops all that was for a time before `before_s`.
    pub(super) fn drop_due(&mut self, lead_h: &[u16], before_s: i64) {
        for issue in &mut self.issues {
            let due = issue.due(lead_h, before_s);
            issue.drop_first(due);
        }
        self.issues.retain(|issue| issue.waiting() > 0);
    }

    /// Drops all that was issued after a time.
    pub(super) fn drop_after(&mut self, second: i64) {
        self.issues.retain(|issue| issue.origin_s <= second);
    }

    /// Whether a number stands for an expert of something that is pending.
    pub(super) fn knows(&self, number: u8) -> bool {
        self.issues.iter().any(|issue| issue.experts & (1 << number) != 0)
    }

    /// Whether this is what waits for these leads of these experts.
    pub(super) fn is_sound(&self, leads: usize, records: &[Record]) -> bool {
        let known = records.iter().fold(0_u16, |known, record| known | 1 << record.number);
        let hour = |issue: &Issue| issue.origin_s.div_euclid(HOUR_S);
        let is_whole = |issue: &Issue| {
            Timestamp::from_second(issue.origin_s).is_ok()
                && issue.experts & !known == 0
                && usize::from(issue.first) + issue.waiting() == leads
                && issue.distances.len() == issue.waiting() * DISTANCES
                && issue.temperatures.len() == issue.waiting() * issue.width()
        };
        self.issues.iter().all(is_whole)
            && self
                .issues
                .iter()
                .zip(self.issues.iter().skip(1))
                .all(|(left, right)| hour(left) < hour(right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEADS: [u16; 3] = [1, 2, 24];

    fn issue(origin_s: i64, combined: i16) -> Issue {
        let mut issue = Issue::new(origin_s, [9, 2].into_iter());
        for lead in 0..3_i16 {
            let distances = Distances { below: [0.5, 1.0, 3.22], above: [0.5, 1.0, 99.0] };
            issue.push(combined + lead, KeptDistances::new(&distances), |number| {
                if lead == 1 && number == 2 { ABSENT } else { i16::from(number) * 100 + lead }
            });
        }
        issue
    }

    #[test]
    fn distances_keep_their_order_and_their_value_to_half_a_unit() {
        let mut before = 0.0;
        for step in 0..1526 {
            let distance = step as f32 / 100.0;
            let kept =
                KeptDistances::new(&Distances { below: [distance; 3], above: [0.0; 3] }).get().below[0];
            let unit = if distance > 2.57 { COARSE_UNIT_C } else { FINE_UNIT_C };
            assert!((kept - distance).abs() <= unit / 2.0 + 1e-4, "{distance} is kept as {kept}");
            assert!(kept >= before);
            before = kept;
        }
    }

    #[test]
    fn a_lead_is_due_when_its_hour_is_over_and_says_what_was_said() {
        let mut pending = Pending::default();
        pending.keep(issue(600, 700));
        assert!(!pending.has_due(&LEADS, 600 + 3600));
        assert!(pending.has_due(&LEADS, 600 + 3601));
        let due = pending.due(&LEADS, 600 + 2 * 3600 + 1);
        assert_eq!(due.len(), 2);
        assert_eq!((due[1].lead, due[1].valid_s, due[1].combined), (1, 600 + 7200, 701));
        assert_eq!((due[0].said(2), due[1].said(2), due[1].said(9)), (Some(200), None, Some(901)));
        assert_eq!((due[0].said(0), due[0].said(15)), (None, None));
        let distances = due[0].distances.get();
        for (distance, expected) in distances.below.iter().zip([0.5, 1.0, 3.26]) {
            assert!((distance - expected).abs() < 1e-5);
        }
        assert!((distances.above[2] - 15.26).abs() < 1e-4, "what is beyond a byte saturates");
        pending.drop_due(&LEADS, 600 + 7201);
        let due = pending.due(&LEADS, i64::MAX);
        assert_eq!((due.len(), due[0].lead, due[0].said(9)), (1, 2, Some(902)));
        pending.drop_due(&LEADS, i64::MAX);
        assert_eq!(pending, Pending::default());
    }

    #[test]
    fn the_first_issue_of_an_hour_is_kept_and_replaced_only_by_itself() {
        let mut pending = Pending::default();
        pending.keep(issue(3600, 1));
        assert!(!pending.wants(4200) && !pending.wants(3000) && pending.wants(3600) && pending.wants(7200));
        pending.keep(issue(3600, 5));
        assert_eq!(pending.due(&LEADS, i64::MAX)[0].combined, 5);
        assert_eq!(pending.due(&LEADS, i64::MAX).len(), 3);
    }

    #[test]
    fn what_waits_for_other_experts_or_leads_is_not_sound() {
        let mut pending = Pending::default();
        pending.keep(issue(3600, 1));
        let records = [Record::new("a", 2, 3), Record::new("b", 9, 3)];
        assert!(pending.is_sound(3, &records));
        assert!(!pending.is_sound(3, &records[..1]));
        assert!(!pending.is_sound(2, &records));
        pending.drop_due(&LEADS, 3600 + 3601);
        assert!(pending.is_sound(3, &records));
    }
}
