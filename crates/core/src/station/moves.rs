//! Where a station stands, as its payload has it, and what becomes of it when it stands elsewhere.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::models::empty_history;
use super::{Character, Oddity, Station};
use crate::forecast::verification::Verification;
use crate::intake::screening::Screening;
use crate::model::Model;
use crate::number::to_u32;
use crate::weather::place::{Place, Precision};
use crate::weather::site::Site;
use crate::window::grid::Slot;
use crate::window::spec::WindowSpec;

/// Where a payload says that its station stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Reported {
    latitude_deg: f64,
    longitude_deg: f64,
    elevation_m: Option<f64>,
    /// The second of the first reading there, where it stood elsewhere before.
    moved_s: Option<i64>,
    /// By what the payload says it. It is written behind all else, as it came later.
    #[serde(skip, default = "in_degrees")]
    precision: Precision,
}

fn in_degrees() -> Precision {
    Precision::Payload
}

impl Reported {
    fn new(place: Place, moved_s: Option<i64>) -> Reported {
        let Place { site: Site { latitude_deg, longitude_deg, elevation_m }, precision } = place;
        Reported { latitude_deg, longitude_deg, elevation_m, moved_s, precision }
    }

    fn site(&self) -> Site {
        let Reported { latitude_deg, longitude_deg, elevation_m, .. } = *self;
        Site { latitude_deg, longitude_deg, elevation_m }
    }

    fn place(&self) -> Place {
        Place { site: self.site(), precision: self.precision }
    }

    pub(super) fn precision(&self) -> Precision {
        self.precision
    }

    pub(super) fn with_precision(self, precision: Precision) -> Reported {
        Reported { precision, ..self }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.site().validate().is_ok()
            && self.precision != Precision::Given
            && self.moved_s.is_none_or(|second| Timestamp::from_second(second).is_ok())
    }
}

/// Where a station said last that it stands, as the journal knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportedPlace {
    /// The position in the payload, with the elevation if there is one; that of a time zone or country where the payload has no
    /// other.
    pub place: Place,
    /// The first reading there, where it stood elsewhere before: nothing older is of this place.
    pub since: Option<Timestamp>,
}

impl From<Reported> for ReportedPlace {
    fn from(reported: Reported) -> ReportedPlace {
        let since = reported.moved_s.and_then(|second| Timestamp::from_second(second).ok());
        ReportedPlace { place: reported.place(), since }
    }
}

/// So many readings in a row from elsewhere are a move: a receiver that errs, or somebody else who writes to the topic, must not
/// cost what was learned.
pub(super) const BELIEVED: u8 = 3;

/// Where the newest readings say that a station stands, while that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Elsewhere {
    reported: Reported,
    readings: u8,
    /// The second of the newest of them: the broker may deliver one again.
    newest_s: i64,
}

impl Elsewhere {
    pub(super) fn is_sound(&self) -> bool {
        self.reported.is_sound() && self.readings < BELIEVED
    }
}

/// What the site of a reading means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sighting {
    /// Nothing: there is none, it is the one that is known, or the configuration says better.
    Nothing,
    /// It is elsewhere, so far away, which is not believed yet.
    Doubted(f64),
    /// It is the one that is known, after some from elsewhere.
    Returned,
    /// It is the first that is known.
    First,
    /// It is the one that is known, with the elevation, which was not, or better known.
    Fuller,
    /// The station stands elsewhere now, so far away.
    Moved(f64),
}

impl Sighting {
    /// Whether the station's place is another than before, or more is known of it.
    pub fn changes_place(self) -> bool {
        matches!(self, Sighting::First | Sighting::Fuller | Sighting::Moved(_))
    }
}

/// Where a station stands by what the configuration says and by what its payload has: what is known best, and the configuration
/// where both know it as well.
pub(super) fn place(configured: Option<Place>, reported: Option<Reported>) -> Option<Place> {
    Place::better_known(configured, reported.map(|reported| reported.place()))
}

impl Station {
    /// Where it stands, if that is known: as the configuration gives it, else as its payload has it, else roughly, by its time
    /// zone, else by its country, of the configuration or the payload.
    pub fn place(&self) -> Option<Place> {
        place(self.setup.place, self.reported)
    }

    /// What the place of a reading of `time` means. Late readings do not move a station, and neither does what a receiver's
    /// position varies by: as much as a model for one site is good for. A zone or country beside degrees says nothing more, and
    /// degrees are better known than a place of before that was a zone's.
    pub fn sighted(&self, time: Timestamp, place: Option<Place>) -> Sighting {
        let is_sound = |place: &Place| place.site.validate().is_ok();
        let Some(place) = place.filter(is_sound) else { return Sighting::Nothing };
        let Place { site, precision } = place;
        if self.newest.is_some_and(|(newest, _)| time < newest) {
            return Sighting::Nothing;
        }
        let Some(before) = self.reported else { return Sighting::First };
        if self.is_vaguer(&place) {
            return Sighting::Nothing;
        }
        if precision < before.precision {
            return Sighting::Fuller;
        }
        let distance_km = before.site().distance_km(&site);
        if distance_km <= WindowSpec::MAX_DISTANCE_KM {
            if before.elevation_m.is_none() && site.elevation_m.is_some() {
                return Sighting::Fuller;
            }
            return if self.elsewhere.is_some() { Sighting::Returned } else { Sighting::Nothing };
        }
        // Where the configuration says better, another place takes nothing away.
        match self.is_configured() || self.readings_there(time, &site) >= BELIEVED {
            true => Sighting::Moved(distance_km),
            false => Sighting::Doubted(distance_km),
        }
    }

    /// Whether a place is less well known than the one that the payload has said before.
    fn is_vaguer(&self, place: &Place) -> bool {
        self.reported.is_some_and(|before| place.precision > before.precision)
    }

    fn is_configured(&self) -> bool {
        self.setup.place.is_some_and(|place| place.precision == Precision::Given)
    }

    /// How many readings in a row are from there, with one of `time`, which may be one of those that are counted.
    fn readings_there(&self, time: Timestamp, site: &Site) -> u8 {
        let is_there = |elsewhere: &Elsewhere| {
            elsewhere.reported.site().distance_km(site) <= WindowSpec::MAX_DISTANCE_KM
        };
        let is_one_more = |elsewhere: &Elsewhere| time.as_second() > elsewhere.newest_s;
        self.elsewhere
            .filter(is_there)
            .map_or(1, |elsewhere| elsewhere.readings + u8::from(is_one_more(&elsewhere)))
    }

    /// Takes the place of a reading of `time`, and says what it meant. Where the place changes, the station's models may be
    /// others, and nothing may be in flight. A move is believed when several readings in a row are from there; all that was
    /// known of the station is of the place before, and is forgotten, unless the configuration says where it stands.
    pub fn sight(&mut self, time: Timestamp, place: Place) -> Sighting {
        let sighting = self.sighted(time, Some(place));
        if self.is_vaguer(&place) {
            // It speaks neither for what is known nor for what is doubted.
            return sighting;
        }
        if let Sighting::Doubted(_) = sighting {
            let readings = self.readings_there(time, &place.site);
            // Of readings that are from there, the newest counts; one from yet another place begins anew.
            let before = self.elsewhere.filter(|_| readings > 1).map_or(i64::MIN, |before| before.newest_s);
            let newest_s = before.max(time.as_second());
            self.elsewhere = Some(Elsewhere { reported: Reported::new(place, None), readings, newest_s });
            return sighting;
        }
        self.elsewhere = None;
        match sighting {
            Sighting::Nothing | Sighting::Doubted(_) | Sighting::Returned => return sighting,
            Sighting::First => self.reported = Some(Reported::new(place, None)),
            Sighting::Fuller => {
                let moved_s = self.reported.and_then(|before| before.moved_s);
                self.reported = Some(Reported::new(place, moved_s));
            }
            Sighting::Moved(distance_km) if !self.is_configured() => {
                debug_assert!(self.in_flight.is_empty(), "outputs for the place before would come");
                self.reported = Some(Reported::new(place, Some(time.as_second())));
                self.oddities.add([Oddity::Moved { distance_km: to_u32(distance_km) }]);
                self.forget_place();
            }
            Sighting::Moved(_) => self.reported = Some(Reported::new(place, None)),
        }
        self.oddities.add(self.place_differs());
        self.measure_readiness();
        sighting
    }

    /// By how much its payload gives another place than the configuration, if it does.
    pub(super) fn place_differs(&self) -> Option<Oddity> {
        let configured = self.setup.place.filter(|_| self.is_configured())?;
        // The principal place of a zone is no other place.
        let reported = self.reported.filter(|reported| !reported.precision.is_rough())?;
        let distance_km = configured.site.distance_km(&reported.site());
        let is_far = distance_km > WindowSpec::MAX_DISTANCE_KM;
        is_far.then(|| Oddity::PlaceDiffers { distance_km: to_u32(distance_km) })
    }

    /// Forgets what is of a place: readings, what was believed of them, what experts learned, and forecasts that wait. Scores
    /// stay, as they are of forecasts that were published.
    fn forget_place(&mut self) {
        let specialists: Vec<Arc<Model>> = self.specialists.to_vec();
        self.history = empty_history(&self.model, &specialists);
        self.screening = Screening::default();
        self.verification = Verification::with_scores(self.verification.scores().clone());
        self.character = Character::default();
        self.newest = None;
        self.newest_forecast = None;
        if let Some(experts) = &mut self.experts {
            experts.forget_place(&self.model.manifest);
        }
    }

    /// The first reading where the station stands now, where it stood elsewhere before: nothing older is of this place.
    pub(super) fn moved_at(&self) -> Option<Timestamp> {
        let moved_s =
            self.reported.and_then(|reported| reported.moved_s).filter(|_| !self.is_configured())?;
        Timestamp::from_second(moved_s).ok()
    }

    /// The slot of that reading, which the first forecast from there has its origin in: its time may be before the reading's.
    pub(super) fn moved_in(&self) -> Option<Slot> {
        self.moved_at().map(|moved_at| self.history.grid().slot(moved_at))
    }

    /// Whether a reading of `time` is from before the station stood where it stands.
    pub(super) fn is_of_another_place(&self, time: Timestamp) -> bool {
        self.moved_at().is_some_and(|moved_at| time < moved_at)
    }

    /// Forgets readings from elsewhere that were later than `limit`: a clock was ahead, and those that come would be none after
    /// them.
    pub(super) fn forget_sightings_after(&mut self, limit: Timestamp) {
        self.elsewhere = self.elsewhere.filter(|elsewhere| elsewhere.newest_s <= limit.as_second());
    }

    /// Takes a reading of `time` as one of where the station stands: the first that is known of the place is the first there,
    /// also where the clock was ahead when the station moved.
    pub(super) fn believe_of_this_place(&mut self, time: Timestamp) {
        if self.newest.is_none()
            && let Some(moved_s) = self.reported.as_mut().and_then(|reported| reported.moved_s.as_mut())
        {
            *moved_s = time.as_second().min(*moved_s);
        }
    }
}
