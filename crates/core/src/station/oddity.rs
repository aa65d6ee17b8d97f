//! What is odd about a station, and what of it was said.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Station;
use crate::model::ranges::Measure;

/// So many temperatures of a day at least are looked at for whether all are whole degrees: those of a station that speaks every
/// three hours.
const LEAST_READINGS: usize = 8;

/// What is no further from a whole degree is one, °C, as units are converted.
const ROUNDING_C: f32 = 0.005;

/// What is odd about a station.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Oddity {
    /// The daily wave of temperature has its maximum at an hour of solar time, `peak_h`, at which it has it nowhere: the sign or
    /// the order of latitude and longitude is wrong, or the times are.
    Clock {
        /// The hour of mean solar time of the maximum.
        peak_h: f32,
    },
    /// The mean pressure is one of the sea's level, where the elevation lets expect `expected_hpa`.
    SeaLevelPressure {
        /// The mean of the measured pressure, hPa.
        mean_hpa: f32,
        /// The pressure of the standard atmosphere at the station's elevation, hPa.
        expected_hpa: f32,
    },
    /// A measure lies outside of what the main model was trained on.
    OutsideTraining {
        /// The measure that lies outside.
        measure: Measure,
        /// The value that the station has of the measure.
        value: f32,
        /// The lowest of the training.
        low: f32,
        /// The highest of the training.
        high: f32,
    },
    /// Every temperature of a day is a whole number of degrees.
    WholeDegrees,
    /// The payload gives another place than the configuration, which counts.
    PlaceDiffers {
        /// By how much.
        distance_km: u32,
    },
    /// The payload gives another place than before: what was known of the station is of the place before, and was forgotten.
    Moved {
        /// The distance between the two places, km.
        distance_km: u32,
    },
}

/// What kind of thing is odd. A thing of a kind is said once as long as it stays so.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
enum Kind {
    Clock,
    SeaLevelPressure,
    OutsideTraining(Measure),
    PlaceDiffers,
    Moved,
    WholeDegrees,
}

impl Oddity {
    /// Every oddity's word.
    pub const NAMES: &'static [&'static str] = <Kind as strum::VariantNames>::VARIANTS;

    /// The word in payloads and metrics.
    pub fn name(&self) -> &'static str {
        self.kind().into()
    }

    /// What is said once as long as it stays so: its word, or the measure that lies outside of the training.
    pub fn subject(&self) -> &'static str {
        match self {
            Oddity::OutsideTraining { measure, .. } => measure.name(),
            other => other.name(),
        }
    }

    fn kind(&self) -> Kind {
        match *self {
            Oddity::Clock { .. } => Kind::Clock,
            Oddity::SeaLevelPressure { .. } => Kind::SeaLevelPressure,
            Oddity::OutsideTraining { measure, .. } => Kind::OutsideTraining(measure),
            Oddity::WholeDegrees => Kind::WholeDegrees,
            Oddity::PlaceDiffers { .. } => Kind::PlaceDiffers,
            Oddity::Moved { .. } => Kind::Moved,
        }
    }
}

/// What was found to be odd about a station, and what of it was said; the latter is in the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Oddities {
    /// Since it was last said.
    found: Vec<Oddity>,
    /// Whether these are all: what was found before and is not among them is not odd any more.
    is_all: bool,
    said: Said,
}

/// What was said and is still so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Said(BTreeSet<Kind>);

/// What there is to be said of what is odd about a station.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct News {
    /// What was not odd before; a move each time.
    pub(crate) begun: Vec<Oddity>,
    /// Whether what is odd is another than before.
    pub(crate) has_changed: bool,
}

impl Oddities {
    /// Those of a station that is restored: what was said before is not said again as long as it is still so. A move is over
    /// when a day has been looked at.
    pub(super) fn restore(said: Said, found: Vec<Oddity>) -> Oddities {
        let is_still_so = |kind: &Kind| *kind == Kind::Moved || found.iter().any(|own| own.kind() == *kind);
        let said = Said(said.0.into_iter().filter(is_still_so).collect());
        Oddities { found, is_all: false, said }
    }

    /// Something more is odd.
    pub(super) fn add(&mut self, found: impl IntoIterator<Item = Oddity>) {
        self.found.extend(found);
    }

    /// These are odd, with what was found since that was last said, and nothing else is any more.
    pub(super) fn replace(&mut self, found: impl IntoIterator<Item = Oddity>) {
        self.found.extend(found);
        self.is_all = true;
    }

    pub(super) fn said(&self) -> &Said {
        &self.said
    }

    /// The words of what was said and is still so, each once.
    pub(super) fn words(&self) -> Vec<&'static str> {
        let mut words: Vec<&'static str> = self.said.0.iter().map(|kind| (*kind).into()).collect();
        words.dedup();
        words
    }

    /// What there is to be said, which is said now.
    pub(super) fn take_news(&mut self) -> News {
        let found = std::mem::take(&mut self.found);
        let is_all = std::mem::take(&mut self.is_all);
        let before = self.said.clone();
        if is_all {
            self.said.0.clear();
        }
        let mut begun = Vec::new();
        for oddity in found {
            let kind = oddity.kind();
            let is_first = self.said.0.insert(kind) && !before.0.contains(&kind);
            if is_first || kind == Kind::Moved {
                begun.push(oddity);
            }
        }
        let has_changed = !begun.is_empty() || self.said != before;
        News { begun, has_changed }
    }
}

impl Station {
    /// Looks at the day before, when another one has begun, and at a latitude that was not known before.
    pub(super) fn look_at_days(&mut self) {
        let place = self.place();
        let has_moved = self.is_latitude_news();
        if self.character.look(&self.history, place) || has_moved {
            self.oddities.replace(self.all_that_is_odd());
        }
    }

    /// Whether the station stands at another latitude than when this was asked last.
    pub(super) fn is_latitude_news(&mut self) -> bool {
        let latitude_deg = self.place().map(|place| place.site.latitude_deg);
        std::mem::replace(&mut self.oddities_latitude_deg, latitude_deg) != latitude_deg
    }

    /// All that is odd about it as it is now.
    pub(super) fn all_that_is_odd(&self) -> Vec<Oddity> {
        let ranges = self.model.manifest.ranges.as_ref();
        let of_days = self.character.oddities(self.place(), ranges);
        let whole_degrees = self.is_in_whole_degrees().then_some(Oddity::WholeDegrees);
        of_days.into_iter().chain(self.place_differs()).chain(whole_degrees).collect()
    }

    /// Whether every temperature of the last day is a whole number of degrees, which is no chance of so many.
    fn is_in_whole_degrees(&self) -> bool {
        let Some((newest, _)) = self.newest else { return false };
        let mut count = 0;
        let mut of_day = self.temperatures(newest - SignedDuration::from_hours(24));
        of_day.all(|(_, temperature_c)| {
            count += 1;
            (temperature_c - temperature_c.round()).abs() < ROUNDING_C
        }) && count >= LEAST_READINGS
    }

    /// What there is to be said of what is odd about it, which is said now.
    pub(crate) fn take_news(&mut self) -> News {
        self.oddities.take_news()
    }

    /// What is odd about it and was not said before, which is said now; for those who walk a station without the service.
    pub fn take_oddities(&mut self) -> Vec<Oddity> {
        self.take_news().begun
    }

    /// The words of what is odd about it and was said, each once.
    pub fn odd(&self) -> Vec<&'static str> {
        self.oddities.words()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_that_lies_outside_is_a_subject_of_its_own() {
        let outside = |measure: &Measure| Oddity::OutsideTraining {
            measure: *measure,
            value: 0.0,
            low: 1.0,
            high: 2.0,
        };
        let all: Vec<Oddity> = <Measure as strum::VariantArray>::VARIANTS.iter().map(outside).collect();
        let mut oddities = Oddities::default();
        oddities.add(all.clone());
        assert_eq!(oddities.take_news(), News { begun: all.clone(), has_changed: true });
        assert_eq!(oddities.words(), ["outside_training"]);
        let mut subjects: Vec<&str> =
            all.iter().map(Oddity::subject).chain(Oddity::NAMES.iter().copied()).collect();
        let count = subjects.len();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), count);
        // One of them is not so any more, which is no news to be logged.
        oddities.replace(all[1..].to_vec());
        assert_eq!(oddities.take_news(), News { begun: vec![], has_changed: true });
        oddities.replace(all.clone());
        assert_eq!(oddities.take_news().begun, all[..1]);
    }
}
