//! What was said at the issue of a forecast and waits for its hours, in centidegrees.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::advice::Distances;
use super::record::ExpertRecord;

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
    /// The distances where nothing was said: all are zero.
    pub(super) const NONE: KeptDistances = KeptDistances([0; DISTANCES]);

    /// Rounds to 0.02 °C up to 2.56 °C and to 0.1 °C up to 15.26 °C; no distance is longer.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the conversion saturates: no kept distance is longer"
    )]
    pub(super) fn new(distances: &Distances) -> KeptDistances {
        let all = distances.below.iter().chain(&distances.above);
        let mut kept = [0; DISTANCES];
        for (kept, distance) in kept.iter_mut().zip(all) {
            let fine = (distance / FINE_UNIT_C).round();
            let beyond = (distance - f32::from(FINE_UNITS) * FINE_UNIT_C) / COARSE_UNIT_C;
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

/// A combination with what it was made of, on its way to what is pending.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Issue {
    origin_s: i64,
    experts: u16,
    temperatures: Vec<i16>,
    distances: Vec<u8>,
}

impl Issue {
    /// An issue of which nothing is said yet.
    pub(super) fn new(origin_s: i64, numbers: impl Iterator<Item = u8>) -> Issue {
        let experts = numbers.fold(0, |experts, number| experts | 1 << number);
        Issue { origin_s, experts, temperatures: Vec::new(), distances: Vec::new() }
    }

    /// Adds the next lead: the combination and what each expert says, in centidegrees.
    pub(super) fn push(&mut self, combined: i16, distances: KeptDistances, said: impl Fn(u8) -> i16) {
        self.temperatures.push(combined);
        let numbers = (0..16).filter(|number| self.experts & (1 << number) != 0);
        self.temperatures.extend(numbers.map(said));
        self.distances.extend(distances.0);
    }
}

/// What is kept of an issue beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Head {
    /// Second of its origin.
    origin_s: i64,
    /// The numbers of the experts that said something, as bits.
    experts: u16,
    /// Index of the first lead that waits.
    first: u8,
    /// How many leads wait.
    waiting: u8,
}

impl Head {
    /// Temperatures of one lead.
    fn width(&self) -> usize {
        1 + self.experts.count_ones() as usize
    }

    /// Temperatures of all its leads.
    fn len(&self) -> usize {
        usize::from(self.waiting) * self.width()
    }

    fn valid_s(&self, lead_h: u16) -> i64 {
        self.origin_s + i64::from(lead_h) * HOUR_S
    }

    /// How many of its leads were for a time before `before_s`.
    fn due(&self, lead_h: &[u16], before_s: i64) -> usize {
        let waiting = lead_h.iter().skip(usize::from(self.first)).take(usize::from(self.waiting));
        waiting.take_while(|lead_h| self.valid_s(**lead_h) < before_s).count()
    }
}

/// One lead of an issue whose hour has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due<'a> {
    /// Index of the lead.
    pub(super) lead: usize,
    /// Second of the hour that it was for.
    pub(super) valid_s: i64,
    /// The combined temperature, in centidegrees.
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

/// Issues by rising hour, at most one an hour. The rows of all lie in two vectors that stay as long from hour to hour: there
/// are very many stations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    heads: Vec<Head>,
    /// By issue, then waiting lead: the combination, then the experts by rising number.
    temperatures: Vec<i16>,
    /// By issue, then waiting lead.
    distances: Vec<u8>,
}

impl Pending {
    /// Whether a time is in a later hour than the newest issue.
    pub(super) fn is_over_hour(&self, second: i64) -> bool {
        let hour = |second: i64| second.div_euclid(HOUR_S);
        self.heads.last().is_none_or(|newest| hour(newest.origin_s) < hour(second))
    }

    /// Whether an issue of this origin would be kept: the first of its hour is, and one that is made again.
    pub(super) fn wants(&self, origin_s: i64) -> bool {
        self.is_over_hour(origin_s) || self.heads.last().is_some_and(|newest| newest.origin_s == origin_s)
    }

    /// Keeps an issue that is wanted.
    #[expect(clippy::cast_possible_truncation, reason = "the manifest bounds leads to 240")]
    pub(super) fn keep(&mut self, issue: &Issue) {
        if self.heads.last().is_some_and(|newest| newest.origin_s == issue.origin_s) {
            self.drop_newest();
        }
        self.heads.reserve_exact(1);
        self.heads.push(Head {
            origin_s: issue.origin_s,
            experts: issue.experts,
            first: 0,
            waiting: (issue.distances.len() / DISTANCES) as u8,
        });
        self.temperatures.reserve_exact(issue.temperatures.len());
        self.temperatures.extend_from_slice(&issue.temperatures);
        self.distances.reserve_exact(issue.distances.len());
        self.distances.extend_from_slice(&issue.distances);
    }

    fn drop_newest(&mut self) {
        if let Some(head) = self.heads.pop() {
            self.temperatures.truncate(self.temperatures.len() - head.len());
            self.distances.truncate(self.distances.len() - usize::from(head.waiting) * DISTANCES);
        }
    }

    /// Whether a lead was for a time before `before_s`.
    pub(super) fn has_due(&self, lead_h: &[u16], before_s: i64) -> bool {
        self.heads.iter().any(|head| head.due(lead_h, before_s) > 0)
    }

    /// All that was for a time before `before_s`, by rising time.
    pub(super) fn due(&self, lead_h: &[u16], before_s: i64) -> Vec<Due<'_>> {
        let mut due = Vec::new();
        let (mut temperatures, mut distances) = (&self.temperatures[..], &self.distances[..]);
        for head in &self.heads {
            let (own, later) = temperatures.split_at(head.len());
            let (own_distances, later_distances) = distances.split_at(usize::from(head.waiting) * DISTANCES);
            (temperatures, distances) = (later, later_distances);
            let rows = own.chunks_exact(head.width()).zip(own_distances.as_chunks::<DISTANCES>().0);
            let rows = (usize::from(head.first)..).zip(rows).take(head.due(lead_h, before_s));
            due.extend(rows.map(|(lead, (row, distances))| Due {
                lead,
                valid_s: head.valid_s(lead_h[lead]),
                combined: row[0],
                distances: KeptDistances(*distances),
                experts: head.experts,
                said: &row[1..],
            }));
        }
        // Where nobody said anything there is nothing to learn.
        due.retain(|due| due.combined != ABSENT);
        due.sort_by_key(|due| due.valid_s);
        due
    }

    /// Drops all that was for a time before `before_s`.
    #[expect(clippy::cast_possible_truncation, reason = "no more than wait, which is a byte")]
    pub(super) fn drop_due(&mut self, lead_h: &[u16], before_s: i64) {
        let (mut read, mut write) = ([0, 0], [0, 0]);
        for head in &mut self.heads {
            let due = head.due(lead_h, before_s);
            let kept = usize::from(head.waiting) - due;
            for (vector, width) in [head.width(), DISTANCES].into_iter().enumerate() {
                let from = read[vector] + due * width..read[vector] + (due + kept) * width;
                read[vector] = from.end;
                match vector {
                    0 => self.temperatures.copy_within(from, write[vector]),
                    _ => self.distances.copy_within(from, write[vector]),
                }
                write[vector] += kept * width;
            }
            head.first += due as u8;
            head.waiting = kept as u8;
        }
        self.temperatures.truncate(write[0]);
        self.distances.truncate(write[1]);
        self.heads.retain(|head| head.waiting > 0);
    }

    /// Drops all that was issued after a time.
    pub(super) fn drop_after(&mut self, second: i64) {
        while self.heads.last().is_some_and(|newest| newest.origin_s > second) {
            self.drop_newest();
        }
    }

    /// Whether a number stands for an expert of something that is pending.
    pub(super) fn knows(&self, number: u8) -> bool {
        self.heads.iter().any(|head| head.experts & (1 << number) != 0)
    }

    /// As it is written: what the experts say as far as it differs from their combination, and all of that as far as it differs
    /// from the lead before, which takes fewer bytes. Of what is sound alone.
    pub(super) fn pack(&mut self) {
        self.for_each_issue(|rows, width| {
            for row in rows.chunks_exact_mut(width) {
                let combined = row[0];
                row[1..].iter_mut().for_each(|said| *said = said.wrapping_sub(combined));
            }
            for index in (width..rows.len()).rev() {
                rows[index] = rows[index].wrapping_sub(rows[index - width]);
            }
        });
    }

    /// As it was before [`Pending::pack`].
    pub(super) fn unpack(&mut self) {
        self.for_each_issue(|rows, width| {
            for index in width..rows.len() {
                rows[index] = rows[index].wrapping_add(rows[index - width]);
            }
            for row in rows.chunks_exact_mut(width) {
                let combined = row[0];
                row[1..].iter_mut().for_each(|said| *said = said.wrapping_add(combined));
            }
        });
    }

    /// Each issue's temperatures, and how many one lead has of them.
    fn for_each_issue(&mut self, change: impl Fn(&mut [i16], usize)) {
        let mut temperatures = &mut self.temperatures[..];
        for head in &self.heads {
            let (own, later) = temperatures.split_at_mut(head.len());
            temperatures = later;
            change(own, head.width());
        }
    }

    /// Whether this is what waits for these leads of these experts.
    pub(super) fn is_sound(&self, leads: usize, records: &[ExpertRecord]) -> bool {
        let bit = |record: &ExpertRecord| 1_u16.checked_shl(u32::from(record.number)).unwrap_or(0);
        let known = records.iter().fold(0, |known, record| known | bit(record));
        let hour = |head: &Head| head.origin_s.div_euclid(HOUR_S);
        let is_whole = |head: &Head| {
            Timestamp::from_second(head.origin_s).is_ok()
                && head.experts & !known == 0
                && usize::from(head.first) + usize::from(head.waiting) == leads
        };
        self.heads.iter().all(is_whole)
            && self.heads.is_sorted_by(|left, right| hour(left) < hour(right))
            && self.temperatures.len() == self.heads.iter().map(Head::len).sum::<usize>()
            && self.distances.len()
                == self.heads.iter().map(|head| usize::from(head.waiting) * DISTANCES).sum::<usize>()
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
        pending.keep(&issue(600, 700));
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
        pending.keep(&issue(3600, 1));
        assert!(!pending.wants(4200) && !pending.wants(3000) && pending.wants(3600) && pending.wants(7200));
        pending.keep(&issue(3600, 5));
        assert_eq!(pending.due(&LEADS, i64::MAX)[0].combined, 5);
        assert_eq!(pending.due(&LEADS, i64::MAX).len(), 3);
    }

    #[test]
    fn each_issue_keeps_its_own_rows_while_others_come_and_go() {
        let mut pending = Pending::default();
        let mut one = Issue::new(0, [3].into_iter());
        for lead in 0..3 {
            one.push(10 + lead, KeptDistances::NONE, |_| 20 + lead);
        }
        pending.keep(&one);
        pending.keep(&issue(3600, 700));
        pending.keep(&issue(7200, 800));
        pending.drop_due(&LEADS, 3600 + 7201);
        let said: Vec<(usize, i16, Option<i16>, Option<i16>)> = pending
            .due(&LEADS, i64::MAX)
            .iter()
            .map(|due| (due.lead, due.combined, due.said(3), due.said(9)))
            .collect();
        let expected = [
            (1, 801, None, Some(901)),
            (2, 12, Some(22), None),
            (2, 702, None, Some(902)),
            (2, 802, None, Some(902)),
        ];
        assert_eq!(said, expected);
        pending.drop_after(3600);
        assert_eq!(pending.due(&LEADS, i64::MAX).len(), 2);
        assert!(pending.is_over_hour(7200));
    }

    #[test]
    fn what_waits_for_other_experts_or_leads_is_not_sound() {
        let mut pending = Pending::default();
        pending.keep(&issue(3600, 1));
        let records = [ExpertRecord::new("a", 2, 3), ExpertRecord::new("b", 9, 3)];
        assert!(pending.is_sound(3, &records));
        assert!(!pending.is_sound(3, &records[..1]));
        assert!(!pending.is_sound(2, &records));
        pending.drop_due(&LEADS, 3600 + 3601);
        assert!(pending.is_sound(3, &records));
    }
}
