//! Readings that come in parts: what becomes of a part, and when a slot is closed.
//!
//! A part passes the clock as a reading does, and is merged into the slot that it belongs to; when that is over, its parts
//! together are one reading, which goes the way of every other. What is not plausible is dropped before it is merged, what leaps from
//! the other values of its slot when that is closed.
//!
//! A part is acknowledged when it is merged: acknowledgements go in the order of arrival, so that one message that waited for the
//! end of its slot would hold up everybody's. A kill costs what is merged of slots that are open; an orderly end nothing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::readings::HeldReading;
use super::{Effect, Event, Now, Service};
use crate::intake::merge::OpenSlot;
use crate::intake::screening::{Dropped, Implausible};
use crate::weather::place::Place;
use crate::weather::pressure::ReducedPressure;
use crate::weather::quantity::Quantity;
use crate::weather::reading::StationName;

/// With more open slots than this, parts of stations that are not served are taken as readings: anybody can make up names.
const MAX_OPEN: usize = 10_000;

/// A slot that is over is closed when nothing has come for it for so long: what a broker has kept comes in a burst.
const QUIET: Duration = Duration::from_secs(1);

/// What there is of a part beside what a reading has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    /// The pressure, where it is told as another than that at the station.
    pub(super) reduced_pressure: Option<ReducedPressure>,
    /// Whether its time is only that of its arrival.
    pub(super) is_timed_by_arrival: bool,
}

/// The open slots of all stations.
#[derive(Default)]
pub(super) struct Parts {
    open: HashMap<StationName, Open>,
    /// Stations by the end of the slot that they opened. The slot may be gone since.
    by_end: BTreeMap<Timestamp, Vec<StationName>>,
    /// Those whose slot is over.
    over: VecDeque<(Timestamp, StationName)>,
}

/// The open slot of a station.
struct Open {
    slot: OpenSlot,
    /// Where the station last said that it stands.
    place: Option<Place>,
    /// When the newest part arrived, in time since the start.
    arrived: Duration,
}

impl Open {
    fn add(&mut self, part: Part, reading: &HeldReading) {
        match part.is_timed_by_arrival {
            true => self.slot.add_arrived(reading.time, &reading.values, part.reduced_pressure),
            false => self.slot.add(reading.time, &reading.values, part.reduced_pressure),
        }
        self.place = Place::better_known(reading.place, self.place);
        self.arrived = reading.arrived;
    }

    /// The reading that its parts are together, acknowledged already; says what it is not made of.
    fn reading(&mut self, now: Now, station: StationName, effects: &mut Vec<Effect>) -> HeldReading {
        let (time, values) = self.slot.reading();
        let leaps = self.slot.leaps().into_iter();
        effects.extend(
            leaps.map(|dropped| Effect::Emit(Event::ValueDropped { station: station.clone(), dropped })),
        );
        let (place, arrived) = (self.place, now.uptime);
        HeldReading { station, time, values, place, token: None, arrived, part: None }
    }
}

impl Parts {
    /// Forgets a station.
    pub(super) fn forget(&mut self, station: &StationName) {
        self.open.remove(station);
    }

    /// Notes the slots that are over.
    pub(super) fn tick(&mut self, now: Timestamp) {
        while let Some(first) = self.by_end.first_entry()
            && first.key().as_second() < now.as_second()
        {
            let (end, stations) = first.remove_entry();
            self.over.extend(stations.into_iter().map(|station| (end, station)));
        }
    }

    /// Drops slots with parts later than `limit`: they were measured by a clock that was ahead, or seen by one.
    pub(super) fn drop_after(&mut self, limit: Timestamp, effects: &mut Vec<Effect>) {
        self.open.retain(|station, open| {
            let newest = open.slot.newest();
            if newest > limit {
                effects.push(Effect::Emit(Event::FutureDropped { station: station.clone(), newest }));
            }
            newest <= limit
        });
    }
}

impl Service {
    /// Whether slots are over and wait to be closed: with [`Input::CloseSlot`](super::Input::CloseSlot), when there is room for
    /// what follows from a reading.
    pub fn waits_to_close_slots(&self) -> bool {
        !self.parts.over.is_empty()
    }

    /// Merges a part that is not ahead of the clock. Gives the reading that is to be taken now, if there is one: the slot that the
    /// part has ended, or the part itself where it is late for its slot, or there is no room.
    pub(super) fn merge(
        &mut self,
        now: Now,
        mut part: Part,
        mut reading: HeldReading,
        effects: &mut Vec<Effect>,
    ) -> Option<HeldReading> {
        let is_served = self.stations.contains_key(&reading.station);
        let has_seat = is_served || self.stations.len() < self.settings.max_stations;
        let has_room = has_seat && (is_served || self.parts.open.len() < MAX_OPEN);
        if has_room {
            drop_implausible(&mut part, &mut reading, effects);
            if reading.values.is_empty() && part.reduced_pressure.is_none() {
                self.tokens.extend(reading.token);
                return None;
            }
        }
        let grid = self.models.main().manifest.window.grid();
        let mut ended = None;
        let ends = match self.parts.open.get_mut(&reading.station) {
            Some(open) => match open.slot.place(reading.time) {
                Ordering::Less => {
                    reading.place = Place::better_known(reading.place, open.place);
                    return Some(alone(part, reading));
                }
                Ordering::Equal => {
                    open.add(part, &reading);
                    self.tokens.extend(reading.token);
                    return None;
                }
                Ordering::Greater => {
                    ended = Some(open.reading(now, reading.station.clone(), effects));
                    open.slot = OpenSlot::new(grid, reading.time);
                    open.add(part, &reading);
                    open.slot.ends()
                }
            },
            None if !has_room => return Some(alone(part, reading)),
            None => {
                let slot = OpenSlot::new(grid, reading.time);
                let mut open = Open { slot, place: None, arrived: reading.arrived };
                open.add(part, &reading);
                let ends = open.slot.ends();
                self.parts.open.insert(reading.station.clone(), open);
                ends
            }
        };
        self.tokens.extend(reading.token);
        self.parts.by_end.entry(ends).or_default().push(reading.station);
        ended
    }

    /// Closes a slot that is over.
    pub(super) fn close_slot(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((end, station)) = self.parts.over.pop_front() {
            let open = self.parts.open.get_mut(&station).filter(|open| open.slot.ends() == end);
            let Some(open) = open else {
                continue;
            };
            if now.uptime.saturating_sub(open.arrived) < QUIET {
                self.parts.by_end.entry(end).or_default().push(station);
                continue;
            }
            let reading = open.reading(now, station, effects);
            self.parts.open.remove(&reading.station);
            return self.take_or_hold(now, reading, effects);
        }
    }

    /// Closes every slot: no more will come.
    pub(super) fn close_all_slots(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let mut open: Vec<(StationName, Open)> = std::mem::take(&mut self.parts).open.into_iter().collect();
        open.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        for (station, mut open) in open {
            let reading = open.reading(now, station, effects);
            self.take_or_hold(now, reading, effects);
        }
    }
}

/// The reading that a part is by itself.
fn alone(part: Part, mut reading: HeldReading) -> HeldReading {
    if let Some(pressure) = part.reduced_pressure
        && reading.values.get(Quantity::AirPressure).is_none()
    {
        reading.values.set(Quantity::AirPressure, pressure.at_station_hpa(&reading.values));
    }
    reading
}

fn drop_implausible(part: &mut Part, reading: &mut HeldReading, effects: &mut Vec<Effect>) {
    let mut say = |quantity, value| {
        let dropped = Dropped { quantity, value, reason: Implausible::OutOfRange };
        effects.push(Effect::Emit(Event::ValueDropped { station: reading.station.clone(), dropped }));
    };
    let is_reduced_plausible = |pressure: &ReducedPressure| Quantity::AirPressure.is_plausible(pressure.hpa);
    if let Some(pressure) = part.reduced_pressure.take_if(|pressure| !is_reduced_plausible(pressure)) {
        say(Quantity::AirPressure, pressure.hpa);
    }
    for quantity in Quantity::ALL {
        if let Some(value) = reading.values.get(quantity).filter(|value| !quantity.is_plausible(*value)) {
            reading.values.remove(quantity);
            say(quantity, value);
        }
    }
}
