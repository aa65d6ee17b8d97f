//! What becomes of a reading: it is refused, held, or taken by its station.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::clock::drop_future;
use super::parts::Part;
use super::{Discovery, Effect, Event, Now, Service, Token};
use crate::journal::Entry;
use crate::station::{Adopted, News, Next, Rejected, Sighting, Station};
use crate::weather::place::Place;
use crate::weather::quantity::Values;
use crate::weather::reading::StationName;
use crate::window::history::Inserted;

#[derive(Debug)]
pub(super) struct HeldReading {
    pub(super) station: StationName,
    pub(super) time: Timestamp,
    pub(super) values: Values,
    pub(super) place: Option<Place>,
    /// What acknowledges it; none where its parts have been.
    pub(super) token: Option<Token>,
    pub(super) arrived: Duration,
    /// Where it is a part of a reading, what else there is of it.
    pub(super) part: Option<Part>,
}

/// Whether a reading must wait for the forecasts in flight; also one from elsewhere, for which the station may have other
/// models.
fn must_wait(station: &Station, reading: &HeldReading) -> bool {
    let stands_elsewhere = || station.sighted(reading.time, reading.place).changes_place();
    station.must_wait(reading.time) || station.in_flight() > 0 && stands_elsewhere()
}

/// Readings have no finer times than seconds: the journal and the history keep no others.
pub(super) fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

impl Service {
    pub(super) fn message_came(&mut self, effects: &mut Vec<Effect>) {
        self.has_message = true;
        if std::mem::take(&mut self.says_no_readings) {
            effects.push(Effect::Emit(Event::NoReadings(false)));
        }
    }

    pub(super) fn reading(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        let ahead = reading.time.duration_since(now.wall);
        if ahead > self.settings.max_ahead {
            self.clock.ahead(&reading.station, ahead, now.uptime);
            if self.clock.is_behind(now.wall, self.settings.max_ahead) {
                self.early.push_back(reading);
                if !std::mem::replace(&mut self.clock_is_behind, true) {
                    let waiting = self.early.len();
                    effects.push(Effect::Emit(Event::ClockBehind { is_behind: true, by: ahead, waiting }));
                }
                return;
            }
            return self.refuse_ahead(reading, ahead, effects);
        }
        self.clock.on_time(&reading.station, now.uptime);
        self.admit(now, reading, effects);
    }

    /// Refuses a reading that is `ahead` of the clock.
    pub(super) fn refuse_ahead(
        &mut self,
        reading: HeldReading,
        ahead: SignedDuration,
        effects: &mut Vec<Effect>,
    ) {
        let HeldReading { station, time, token, .. } = reading;
        let error = Rejected::InFuture { time, ahead };
        self.refuse(Some(station), error.reason(), error.to_string(), token, effects);
    }

    /// Takes a reading that is not ahead of the clock; a part of one with the others of its slot.
    pub(super) fn admit(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        let reading = match reading.part {
            Some(part) => self.merge(now, part, reading, effects),
            None => Some(reading),
        };
        if let Some(reading) = reading {
            self.take_or_hold(now, reading, effects);
        }
    }

    /// Takes a reading, or holds it while it must wait for the forecasts of its station.
    pub(super) fn take_or_hold(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        if let Some(entry) = self.stations.get_mut(&reading.station)
            && (!entry.held.is_empty() || !entry.recalled.is_empty() || must_wait(&entry.station, &reading))
        {
            self.held += 1;
            entry.held.push_back(reading);
            return;
        }
        self.take(now, reading, effects);
    }

    /// Takes a reading that waits for nothing any more.
    pub(super) fn take(&mut self, now: Now, reading: HeldReading, effects: &mut Vec<Effect>) {
        let HeldReading { station: name, time, values, place, token, arrived, .. } = reading;
        let max_stations = self.settings.max_stations;
        let is_full = self.stations.len() >= max_stations;
        let limit = now.wall + self.settings.max_ahead;
        self.remove_future_left(now, &name, time);
        let is_doubted = self.clock.is_doubted(now);
        // A name is served from its first good reading on.
        let mut unserved = None;
        let (station, is_known) = match self.stations.get_mut(&name) {
            Some(entry) => (&mut entry.station, true),
            None if is_full => {
                let error = Rejected::TooManyStations { max: max_stations };
                return self.refuse(Some(name), error.reason(), error.to_string(), token, effects);
            }
            None => {
                let setup = self.setup(&name);
                let station = Station::new(name.clone(), Arc::clone(self.models.main()))
                    .numbered_from(self.first_number)
                    .set_up(setup)
                    .with_specialists(self.specialists(&name, setup.place));
                (unserved.insert(station), false)
            }
        };
        if is_known && !is_doubted {
            drop_future(station, limit, &mut self.entries, effects);
        }
        let sighting = place.map_or(Sighting::Nothing, |place| station.sight(time, place));
        if let Sighting::Doubted(distance_km) = sighting {
            let error = Rejected::Elsewhere { time, distance_km };
            self.mark_dirty(&name);
            return self.refuse(Some(name), error.reason(), error.to_string(), token, effects);
        }
        if sighting.changes_place() {
            let specialists = match self.settings.experts {
                true => self.models.of_station(&name, station.place().map(|place| place.site)),
                false => Box::default(),
            };
            if station.adopt(Arc::clone(self.models.main()), specialists) == Adopted::MoreHistory {
                effects.push(Effect::Recall(station.recall_readings()));
            }
            self.announcements.changed(&Discovery::new(
                station,
                self.models.main(),
                self.settings.stale_after,
            ));
        }
        let observed = match station.observe(time, values, now.wall, arrived) {
            Ok(observed) => observed,
            Err(error) => {
                let (reason, detail) = (error.reason(), error.to_string());
                // Screening remembers what it did not believe, and that must be durable before the broker forgets it.
                self.mark_dirty(&name);
                return self.refuse(Some(name), reason, detail, token, effects);
            }
        };
        // The history keeps what the models look at; the journal keeps all that was measured.
        let has_more = observed.kept.iter().any(|(quantity, _)| !station.keeps(quantity));
        let slot_begins = {
            let grid = self.models.main().manifest.window.grid();
            grid.slot_begins(grid.slot(time))
        };
        if let Some(station) = unserved {
            if self.silent.remove(&name) {
                effects.push(Effect::Recall(station.recall_readings()));
            }
            self.serve(now, station);
        }
        let is_news = !matches!(observed.inserted, Inserted::Unchanged(_) | Inserted::TooOld(_));
        if is_news && let Some(entry) = self.stations.get_mut(&name) {
            entry.active_uptime = now.uptime.as_nanos() as i128;
        }
        if is_news || has_more {
            let station = name.clone();
            self.entries.push(Entry::Reading { station, time, values: observed.kept, slot_begins });
        }
        // Screening remembers what the history does not keep, and the station where it stands, of a repeated reading too.
        if is_news || has_more || !observed.dropped.is_empty() || sighting != Sighting::Nothing {
            self.mark_dirty(&name);
        }
        self.tokens.extend(token);
        effects
            .push(Effect::Emit(Event::ReadingTaken { station: name.clone(), inserted: observed.inserted }));
        for dropped in observed.dropped {
            effects.push(Effect::Emit(Event::ValueDropped { station: name.clone(), dropped }));
        }
        self.scored(&name, &observed.scores, effects);
        match observed.next {
            Next::Nothing => {}
            Next::Infer(number, windows) => self.infer(&name, number, windows, effects),
            Next::Reference(forecast) => {
                let delay = now.uptime.checked_sub(arrived);
                self.issue(forecast, delay, effects);
            }
        }
        self.say_newest(&name, effects);
        let is_odd = self.say_oddities(&name, effects);
        self.update_state(now, &name, is_odd || sighting.changes_place(), effects);
    }

    /// Says what is odd about a station, each thing once as long as it stays so, but for its moves; whether that is another
    /// thing than before.
    pub(super) fn say_oddities(&mut self, name: &StationName, effects: &mut Vec<Effect>) -> bool {
        let Some(entry) = self.stations.get_mut(name) else { return false };
        let News { begun, has_changed } = entry.station.take_news();
        let said = |oddity| Effect::Emit(Event::StationOdd { station: name.clone(), oddity });
        effects.extend(begun.into_iter().map(said));
        has_changed
    }

    /// Takes the readings of a station that waited for its forecasts, as far as they need not wait any more.
    pub(super) fn release_held(&mut self, now: Now, name: &StationName, effects: &mut Vec<Effect>) {
        loop {
            let Some(entry) = self.stations.get_mut(name) else { return };
            let can_go = entry.held.front().is_some_and(|reading| !must_wait(&entry.station, reading));
            if !can_go {
                return;
            }
            let Some(reading) = entry.held.pop_front() else { return };
            self.held -= 1;
            self.take(now, reading, effects);
        }
    }

    /// A message that is not taken would never be: it is counted, said, and acknowledged with what is on its way to the disk.
    pub(super) fn refuse(
        &mut self,
        station: Option<StationName>,
        reason: &'static str,
        detail: String,
        token: Option<Token>,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Emit(Event::ReadingRefused { station, reason, detail }));
        self.tokens.extend(token);
    }
}
