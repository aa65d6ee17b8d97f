//! What the service says of its stations to whoever asks. Asking changes nothing.

use std::collections::BinaryHeap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{Now, Service, StationEntry, StationState};
use crate::forecast::Forecast;
use crate::forecast::day_scores::DayScores;
use crate::forecast::experts::Standing;
use crate::forecast::lead_scores::Scores;
use crate::weather::place::Place;
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;

/// How far back a view shows what was observed.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// One station as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct StationView {
    /// The name by which topics and journal know the station.
    pub station: StationName,
    /// How it is.
    pub state: StationState,
    /// The time of its newest reading.
    pub newest_reading: Option<Timestamp>,
    /// The temperature of that reading, °C.
    pub temperature_c: Option<f32>,
    /// Where it stands, if that is known.
    pub place: Option<Place>,
    /// How far away the one site is that the model is for, where the station stands elsewhere, km.
    pub model_distance_km: Option<u32>,
    /// What is odd about it, as words.
    pub odd: Vec<&'static str>,
    /// The main model.
    pub model: Arc<str>,
    /// The specialists beside it.
    pub specialists: Vec<Arc<str>>,
    /// The newest forecast.
    pub forecast: Option<Forecast>,
    /// The temperatures of the last day before the newest reading, °C, as far as memory holds them; by rising time.
    pub recent: Vec<(Timestamp, f32)>,
}

/// How good the forecasts of a station have been.
#[derive(Debug, Clone, PartialEq)]
pub struct VerificationView {
    /// The scores of what was published, at each lead, since the beginning and lately.
    pub scores: Scores,
    /// How its experts stand, by rising name.
    pub experts: Vec<Standing>,
    /// Of the lowest and the highest temperature and of frost, once a day that was forecast is over.
    pub day_ahead: Option<DayScores>,
}

/// Which stations are wanted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StationQuery {
    /// What their names hold, in whichever case; empty = every name.
    pub search: String,
    /// Only names after this text.
    pub after: String,
    /// At most so many.
    pub most: usize,
}

/// Some of the stations.
#[derive(Debug, Clone, PartialEq)]
pub struct StationList {
    /// How many are served.
    pub served: usize,
    /// How many of them are wanted, were there room for all.
    pub matching: usize,
    /// Those that there was room for, by rising name.
    pub stations: Vec<StationView>,
}

impl Service {
    /// A station as it is now; none when there is none of this name.
    pub fn view(&self, now: Now, name: &StationName) -> Option<StationView> {
        self.stations.get(name).map(|entry| self.view_of(now, entry))
    }

    /// The stations that are wanted, as they are now.
    pub fn list(&self, now: Now, query: &StationQuery) -> StationList {
        let search = query.search.to_lowercase();
        let is_wanted =
            |name: &&StationName| search.is_empty() || name.as_str().to_lowercase().contains(&search);
        let mut matching = 0;
        // The first names: the greatest of those that there is room for is on top.
        let mut first = BinaryHeap::with_capacity(query.most.min(self.stations.len()) + 1);
        for name in self.stations.keys().filter(is_wanted) {
            matching += 1;
            if name.as_str() > query.after.as_str() {
                first.push(name);
                if first.len() > query.most {
                    first.pop();
                }
            }
        }
        let entries = first.into_sorted_vec().into_iter().filter_map(|name| self.stations.get(name));
        let stations = entries.map(|entry| self.view_of(now, entry)).collect();
        StationList { served: self.stations.len(), matching, stations }
    }

    /// How good the forecasts of a station have been.
    pub fn verification(&self, name: &StationName) -> Option<VerificationView> {
        let station = &self.stations.get(name)?.station;
        Some(VerificationView {
            scores: station.scores().clone(),
            experts: station.expert_standings(),
            day_ahead: station.day_scores().cloned(),
        })
    }

    /// What memory holds of a station's readings, by rising time: as much as its models look at.
    pub fn remembered(&self, name: &StationName) -> Option<Vec<(Timestamp, Values)>> {
        self.stations.get(name).map(|entry| entry.station.readings().collect())
    }

    fn view_of(&self, now: Now, entry: &StationEntry) -> StationView {
        let station = &entry.station;
        let newest = station.newest();
        let recent = newest.map(|(time, _)| station.temperatures(time - RECENT).collect());
        StationView {
            station: station.name().clone(),
            state: entry.state(now, self.settings.stale_after),
            newest_reading: newest.map(|(time, _)| time),
            temperature_c: newest.and_then(|(_, temperature_c)| temperature_c),
            place: station.place(),
            model_distance_km: station.model_distance_km(),
            odd: entry.station.odd(),
            model: Arc::clone(&self.models.main().id),
            specialists: station.specialists().iter().map(|model| Arc::clone(&model.id)).collect(),
            forecast: station.newest_forecast().cloned(),
            recent: recent.unwrap_or_default(),
        }
    }
}
