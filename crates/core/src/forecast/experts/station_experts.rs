//! The experts of one station: what they say together, and what each has been worth.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::advice::{Advice, Distances, LEVELS, LeadAdvice};
use super::boa::{self, Part, Regret};
use super::combination::{Combination, Combined, CombinedLead, Member};
use super::pending::{ABSENT, Due, KeptDistances, Pending};
use super::record::{ExpertRecord, LeadRecord, LeadStanding, RollingMae, Standing, is_prior};
use super::tracker::Trackers;
use crate::forecast::{from_centidegrees, to_centidegrees};
use crate::number::{to_i16, to_single};

/// The most experts of a station: each is a bit of what is pending.
const MAX_EXPERTS: usize = 16;

/// An expert that has said nothing for so many hours is forgotten: 60 days.
const FORGOTTEN_AFTER_H: i64 = 60 * 24;

/// The running bias of an expert that has said nothing for so many hours is forgotten, as it takes most of the room: two weeks.
const BIAS_FORGOTTEN_AFTER_H: i64 = 14 * 24;

const HOUR_S: i64 = 3600;

/// The format of [`Experts::encode`], its first byte; that of before was not packed.
const FORMAT: u8 = 3;
const UNPACKED_FORMAT: u8 = 1;

/// The experts of one station, how much each is believed at each lead, and what is still to be learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experts {
    /// The leads that experts are asked for, in hours, rising.
    lead_h: Vec<u16>,
    /// By rising name.
    records: Vec<ExpertRecord>,
    /// How much wider or narrower than the experts expect the intervals must be, by lead.
    trackers: Vec<Trackers>,
    /// By lead: the errors of the combination.
    combined: Vec<RollingMae>,
    pending: Pending,
}

/// What one expert says of one lead, with what is known of it.
struct Spoken {
    /// Centidegrees, the running bias taken off.
    temperature: i16,
    prior: f32,
    regret: Regret,
    distances: Distances,
}

impl Spoken {
    /// What an expert says with its running bias taken off, if that is a temperature.
    fn new(said: &LeadAdvice, prior: f32, correction_c: f32, known: &LeadRecord) -> Option<Spoken> {
        let temperature = to_centidegrees(said.temperature_c - correction_c)?;
        let distances = known.distances(said);
        distances.is_finite().then_some(Spoken { temperature, prior, regret: known.regret, distances })
    }
}

impl Experts {
    /// Experts of which nothing is known yet, for these leads in hours: rising, each below 65,536 h.
    pub fn new(lead_h: &[u32]) -> Experts {
        let lead_h = sorted_leads(lead_h);
        Experts {
            records: Vec::new(),
            trackers: vec![Trackers::default(); lead_h.len()],
            combined: vec![RollingMae::default(); lead_h.len()],
            pending: Pending::default(),
            lead_h,
        }
    }

    /// The leads in hours, rising: the order in which an advice gives them.
    pub fn lead_h(&self) -> impl Iterator<Item = u32> + '_ {
        self.lead_h.iter().map(|lead_h| u32::from(*lead_h))
    }

    /// Goes on with other leads. What is known of leads that stay is kept; what was pending is not.
    pub fn set_leads(&mut self, lead_h: &[u32]) {
        let lead_h = sorted_leads(lead_h);
        if lead_h == self.lead_h {
            return;
        }
        let before: Vec<Option<usize>> =
            lead_h.iter().map(|lead_h| self.lead_h.iter().position(|own| own == lead_h)).collect();
        let kept = |before: &Option<usize>| before.map(|lead| (self.trackers[lead], self.combined[lead]));
        let (trackers, combined) = before.iter().map(|before| kept(before).unwrap_or_default()).unzip();
        *self = Experts {
            records: self.records.iter().map(|record| record.with_leads(&before)).collect(),
            trackers,
            combined,
            pending: Pending::default(),
            lead_h,
        };
    }

    /// Learns from every hour before `origin` that something was said of; `observed` gives the temperature of a time, where
    /// one was measured. To be called before [`Experts::combine`] for the same origin. Whether there was such an hour: it is
    /// learned from with the first forecast of an hour, so that what is to be written changes once an hour.
    pub fn learn_until(&mut self, origin: Timestamp, observed: impl Fn(Timestamp) -> Option<f32>) -> bool {
        let before_s = origin.as_second();
        if !self.pending.is_over_hour(before_s) || !self.pending.has_due(&self.lead_h, before_s) {
            return false;
        }
        let mut pending = std::mem::take(&mut self.pending);
        let dues = pending.due(&self.lead_h, before_s);
        for dues in dues.chunk_by(|left, right| hour_of(left.valid_s) == hour_of(right.valid_s)) {
            let known = dues.iter().filter_map(|due| {
                let observed_c = observed(Timestamp::from_second(due.valid_s).ok()?)?;
                observed_c.is_finite().then_some((due, observed_c))
            });
            self.learn_hour(&known.collect::<Vec<_>>());
        }
        pending.drop_due(&self.lead_h, before_s);
        self.pending = pending;
        true
    }

    /// Learns from leads that were for the same hour, each with what was observed, °C.
    fn learn_hour(&mut self, dues: &[(&Due<'_>, f32)]) {
        let Some((first, _)) = dues.first() else { return };
        let hour = hour_of_day(first.valid_s);
        for &(due, observed_c) in dues {
            let combined_c = from_centidegrees(due.combined);
            let parts = self.records.iter_mut().filter_map(|record| {
                let said_c = f64::from(from_centidegrees(due.said(record.number)?));
                Some(Part { said_c, prior: record.prior, regret: &mut record.leads[due.lead].regret })
            });
            boa::learn(&mut parts.collect::<Vec<_>>(), f64::from(combined_c), f64::from(observed_c));
            self.trackers[due.lead].learn(
                &due.distances.get(),
                observed_c - combined_c,
                self.lead_h[due.lead],
            );
            self.combined[due.lead].add(combined_c - observed_c);
        }
        for record in &mut self.records {
            let mut errors: Vec<(usize, f32)> = Vec::new();
            for (due, observed_c) in dues {
                let Some(said) = due.said(record.number) else { continue };
                let error_c = from_centidegrees(said) - observed_c;
                // What was taken off then is, but for the day between, what would be taken off now.
                let correction_c = record.correction_c(due.lead, hour, self.lead_h[due.lead]);
                errors.push((due.lead, error_c + correction_c));
                record.leads[due.lead].rolling.add(error_c);
            }
            if !errors.is_empty() {
                record.bias.begin_day(hour);
            }
            for (lead, error_c) in errors {
                record.bias.learn(self.lead_h.len(), lead, hour, self.lead_h[lead], error_c);
            }
        }
    }

    /// Combines what the experts say at `origin`. What is no temperature counts as not said; the order of the advices does
    /// not matter, and of two with one name one counts.
    pub fn combine(&self, origin: Timestamp, advices: &[Advice<'_>]) -> Combination {
        let origin_s = origin.as_second();
        let mut advices: Vec<&Advice<'_>> = advices.iter().filter(|advice| is_prior(advice.prior)).collect();
        advices.sort_by(|left, right| left.name.cmp(right.name));
        advices.dedup_by(|left, right| left.name == right.name);
        advices.truncate(MAX_EXPERTS);
        let records: Vec<Option<&ExpertRecord>> =
            advices.iter().map(|advice| self.record(advice.name)).collect();
        let members =
            advices.iter().map(|advice| Member { name: advice.name.to_owned(), prior: advice.prior });
        let leads = self.lead_h.len();
        let mut combination = Combination {
            origin_s,
            members: members.collect(),
            leads: Vec::with_capacity(leads),
            combined: Vec::with_capacity(leads),
            said: Vec::with_capacity(leads * advices.len()),
        };
        let mut spoken: Vec<Spoken> = Vec::with_capacity(advices.len());
        let mut weights = Vec::with_capacity(advices.len());
        for (lead, &lead_h) in self.lead_h.iter().enumerate() {
            let hour = hour_of_day(origin_s + i64::from(lead_h) * HOUR_S);
            spoken.clear();
            for (advice, record) in advices.iter().zip(&records) {
                let said = advice.leads.get(lead).copied().flatten();
                let own = said.and_then(|said| {
                    let correction_c = record.map_or(0.0, |record| record.correction_c(lead, hour, lead_h));
                    let known = record.map_or_else(LeadRecord::default, |record| record.leads[lead]);
                    Spoken::new(&said, advice.prior, correction_c, &known)
                });
                combination.said.push(own.as_ref().map_or(ABSENT, |own| own.temperature));
                spoken.extend(own);
            }
            boa::weigh(spoken.iter().map(|own| (own.prior, own.regret)), &mut weights);
            let combined = weighted(&spoken, &weights).map(|(temperature, expected)| {
                let distances = KeptDistances::new(&self.trackers[lead].calibrate(&expected));
                Combined { temperature, distances }
            });
            combination.leads.push(combined.map(|Combined { temperature, distances }| {
                CombinedLead::new(u32::from(lead_h), temperature, &distances.get())
            }));
            combination.combined.push(combined.unwrap_or(Combined::NOTHING));
        }
        combination
    }

    /// Keeps a combination until its hours have come, if it is the first of its hour, or one that is made again. Whether it
    /// is kept.
    pub fn issued(&mut self, combination: &Combination) -> bool {
        if combination.is_empty() || !self.pending.wants(combination.origin_s) {
            return false;
        }
        let hour = hour_of(combination.origin_s);
        let pending = &self.pending;
        self.records.retain(|record| {
            record.heard_h >= hour.saturating_sub(FORGOTTEN_AFTER_H) || pending.knows(record.number)
        });
        let numbers: Vec<Option<u8>> = combination
            .members
            .iter()
            .map(|member| self.number_of(member, &combination.members, hour))
            .collect();
        self.pending.keep(&combination.issue(&numbers));
        let pending = &self.pending;
        let sleeps = |record: &&mut ExpertRecord| {
            record.heard_h < hour.saturating_sub(BIAS_FORGOTTEN_AFTER_H) && !pending.knows(record.number)
        };
        self.records.iter_mut().filter(sleeps).for_each(|record| record.bias.forget());
        true
    }

    /// The number of an expert that has just spoken, together with `all` of them; `None` where there are too many. Where there
    /// is no free one, the expert is forgotten that has been asleep for the longest and that nothing waits for.
    fn number_of(&mut self, member: &Member, all: &[Member], hour: i64) -> Option<u8> {
        let found = self.records.binary_search_by(|record| record.name.as_str().cmp(&member.name));
        let index = match found {
            Ok(index) => index,
            Err(index) => {
                let is_free = |number: &u8| {
                    self.records.iter().all(|record| record.number != *number) && !self.pending.knows(*number)
                };
                let Some(number) = (0..=u8::MAX).take(MAX_EXPERTS).find(is_free) else {
                    let sleeps = |record: &&ExpertRecord| {
                        !self.pending.knows(record.number)
                            && all.iter().all(|awake| awake.name != record.name)
                    };
                    let number =
                        self.records.iter().filter(sleeps).min_by_key(|record| record.heard_h)?.number;
                    self.records.retain(|record| record.number != number);
                    return self.number_of(member, all, hour);
                };
                self.records.insert(index, ExpertRecord::new(&member.name, number, self.lead_h.len()));
                index
            }
        };
        let record = &mut self.records[index];
        record.prior = member.prior;
        record.heard_h = hour;
        Some(record.number)
    }

    /// Forgets what was issued after a time: a clock was ahead.
    pub fn drop_after(&mut self, limit: Timestamp) {
        self.pending.drop_after(limit.as_second());
        let hour = hour_of(limit.as_second());
        for record in &mut self.records {
            record.heard_h = record.heard_h.min(hour);
        }
    }

    /// How each expert stands, by rising name.
    pub fn standings(&self) -> Vec<Standing> {
        let newest_h = self.records.iter().map(|record| record.heard_h).max();
        let is_asleep = |record: &ExpertRecord| Some(record.heard_h) != newest_h;
        let mut standings: Vec<Standing> = self
            .records
            .iter()
            .map(|record| {
                let leads = self.lead_h.iter().zip(&record.leads).map(|(lead_h, lead)| LeadStanding {
                    lead_h: u32::from(*lead_h),
                    weight: 0.0,
                    mae_c: lead.rolling.mae_c(),
                });
                Standing { name: record.name.clone(), is_asleep: is_asleep(record), leads: leads.collect() }
            })
            .collect();
        let mut weights = Vec::new();
        for lead in 0..self.lead_h.len() {
            let awake = self.records.iter().filter(|record| !is_asleep(record));
            boa::weigh(awake.map(|record| (record.prior, record.leads[lead].regret)), &mut weights);
            let awake = standings.iter_mut().filter(|standing| !standing.is_asleep);
            for (standing, weight) in awake.zip(&weights) {
                standing.leads[lead].weight = to_single(*weight);
            }
        }
        standings
    }

    /// The rolling mean absolute error of the combination by lead in hours, once an hour, °C; `None` before the first hour.
    pub fn combined_mae_c(&self) -> impl Iterator<Item = (u32, Option<f32>)> + '_ {
        self.lead_h().zip(self.combined.iter().map(RollingMae::mae_c))
    }

    /// As bytes, from which [`Experts::decode`] makes the same again, bit for bit.
    pub fn encode(&self) -> Vec<u8> {
        let mut packed = self.clone();
        packed.pending.pack();
        packed.records.iter_mut().for_each(ExpertRecord::pack);
        postcard::to_extend(&packed, vec![FORMAT]).expect("numbers in vectors can be written")
    }

    /// What [`Experts::encode`] wrote, or an earlier version; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Experts> {
        let (&format, bytes) = bytes.split_first()?;
        let (mut experts, rest): (Experts, &[u8]) = postcard::take_from_bytes(bytes).ok()?;
        if format == FORMAT && experts.pending.is_sound(experts.lead_h.len(), &experts.records) {
            experts.pending.unpack();
            experts.records.iter_mut().for_each(ExpertRecord::unpack);
        }
        let is_known = [FORMAT, UNPACKED_FORMAT].contains(&format);
        (is_known && rest.is_empty() && experts.is_sound()).then_some(experts)
    }

    fn is_sound(&self) -> bool {
        let leads = self.lead_h.len();
        let mut numbers: Vec<u8> = self.records.iter().map(|record| record.number).collect();
        numbers.sort_unstable();
        self.lead_h.is_sorted_by(|left, right| left < right)
            && leads < usize::from(u8::MAX)
            && self.records.is_sorted_by(|left, right| left.name < right.name)
            && self.records.iter().all(|record| record.is_sound(leads))
            && numbers.is_sorted_by(|left, right| left < right)
            && numbers.last().is_none_or(|last| usize::from(*last) < MAX_EXPERTS)
            && self.trackers.len() == leads
            && self.trackers.iter().all(Trackers::is_sound)
            && self.combined.len() == leads
            && self.combined.iter().all(RollingMae::is_sound)
            && self.pending.is_sound(leads, &self.records)
    }

    fn record(&self, name: &str) -> Option<&ExpertRecord> {
        let found = self.records.binary_search_by(|record| record.name.as_str().cmp(name));
        found.ok().map(|index| &self.records[index])
    }
}

/// The weighted means of what was said, in centidegrees, and of how far from it the observation is expected; `None` if nothing
/// was said.
fn weighted(spoken: &[Spoken], weights: &[f64]) -> Option<(i16, Distances)> {
    if spoken.is_empty() {
        return None;
    }
    let mean = |value: &dyn Fn(&Spoken) -> f64| -> f64 {
        spoken.iter().zip(weights).map(|(own, weight)| value(own) * weight).sum()
    };
    let mut distances = Distances::default();
    for level in 0..LEVELS.len() {
        distances.below[level] = to_single(mean(&|own| f64::from(own.distances.below[level])));
        distances.above[level] = to_single(mean(&|own| f64::from(own.distances.above[level])));
    }
    // A mean of 16 bits has 16 bits.
    let temperature = to_i16(mean(&|own| f64::from(own.temperature)));
    Some((temperature, distances))
}

fn sorted_leads(lead_h: &[u32]) -> Vec<u16> {
    let mut lead_h: Vec<u16> = lead_h.iter().filter_map(|lead_h| u16::try_from(*lead_h).ok()).collect();
    lead_h.sort_unstable();
    lead_h.dedup();
    lead_h
}

/// The hour since the Unix epoch.
fn hour_of(second: i64) -> i64 {
    second.div_euclid(HOUR_S)
}

/// The hour of the day in UTC.
#[expect(clippy::cast_possible_truncation, reason = "one of 24")]
fn hour_of_day(second: i64) -> usize {
    hour_of(second).rem_euclid(24) as usize
}
