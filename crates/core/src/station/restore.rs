//! What a station writes into the journal, and how it becomes the same station again, bit for bit.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::experts::StationExperts;
use super::oddity::Said;
use super::{
    Character, Completed, Elsewhere, InFlight, Next, Oddities, Origin, Reported, ReportedPlace, Setup,
    Station, moves,
};
use crate::forecast::lead_scores::Scores;
use crate::forecast::verification::Verification;
use crate::forecast::{Forecast, LeadForecast};
use crate::intake::screening::Screening;
use crate::journal::Restored;
use crate::model::Model;
use crate::weather::place::{Place, Precision};
use crate::weather::quantity::Values;
use crate::window::grid::Slot;

/// What [`Station::state`] writes. Times are whole seconds since the Unix epoch: readings have no finer ones.
#[derive(Serialize, Deserialize)]
struct State {
    screening: Screening,
    scores: Scores,
    newest_s: Option<i64>,
    /// Origins of forecasts that are owed: slot, second of issue, newest temperature.
    owed: Vec<(Slot, i64, f32)>,
    grid_step_s: u32,
    delivered_until_s: Option<i64>,
    active_at_s: i64,
}

/// The format of [`State`] and what is behind it, the first byte.
const STATE_FORMAT: u8 = 2;
/// The format of before, whose daily wave is in the solar time of the place that was known on each day.
const SOLAR_WAVE_FORMAT: u8 = 1;

/// Forecasts of one station that are published after a restart because they may not have been delivered, in slots of the grid.
const MAX_UNDELIVERED: i64 = 10_000;

/// What is written behind the state: where the station says that it stands, what its days are like, where its newest readings
/// say that it stands, what was said to be odd, and by what the station says that it stands there.
type Own = (Option<Reported>, Character, Option<Elsewhere>, Said, Precision);

/// What an earlier version wrote ends after the state, or after one of the others.
fn read_state(bytes: &[u8]) -> Option<(State, Own)> {
    let (&format, state) = bytes.split_first()?;
    if ![STATE_FORMAT, SOLAR_WAVE_FORMAT].contains(&format) {
        return None;
    }
    let (state, rest) = postcard::take_from_bytes(state).ok()?;
    let ((reported, mut character), rest): ((Option<Reported>, Character), &[u8]) =
        postcard::take_from_bytes(rest).unwrap_or_default();
    if format == SOLAR_WAVE_FORMAT {
        character.forget_wave();
    }
    let (elsewhere, rest): (Option<Elsewhere>, &[u8]) = postcard::take_from_bytes(rest).unwrap_or_default();
    let (said, rest): (Said, &[u8]) = postcard::take_from_bytes(rest).unwrap_or_default();
    let precision = postcard::from_bytes(rest).unwrap_or(Precision::Payload);
    let reported = reported.map(|reported| reported.with_precision(precision));
    let (reported, elsewhere) = (reported.filter(Reported::is_sound), elsewhere.filter(Elsewhere::is_sound));
    Some((state, (reported, character, elsewhere, said, precision)))
}

impl Restored {
    /// Where the station said last that it stands, if it ever did.
    pub fn reported_place(&self) -> Option<ReportedPlace> {
        let (_, (reported, ..)) = self.state.as_deref().and_then(read_state)?;
        reported.map(ReportedPlace::from)
    }
}

impl Station {
    /// What the journal must hold for [`Station::restore`] beyond readings and forecasts.
    pub fn state(&self) -> Vec<u8> {
        let mut owed: Vec<(Slot, i64, f32)> = Vec::new();
        for InFlight { origin, .. } in &self.in_flight {
            // A window that was taken again for the same slot stands for both.
            owed.retain(|(slot, ..)| *slot != origin.slot);
            owed.push((origin.slot, origin.issued_at.as_second(), origin.newest_c));
        }
        let state = State {
            screening: self.screening.clone(),
            scores: self.scores().clone(),
            newest_s: self.newest.map(|(time, _)| time.as_second()),
            owed,
            grid_step_s: self.model.manifest.window.grid_step_s,
            delivered_until_s: self.delivered_until().map(Timestamp::as_second),
            active_at_s: self.active_at.as_second(),
        };
        let bytes = vec![STATE_FORMAT];
        let precision = self.reported.map_or(Precision::Payload, |reported| reported.precision());
        let said = self.oddities.said().clone();
        let own: Own = (self.reported, self.character, self.elsewhere, said, precision);
        let written = postcard::to_extend(&state, bytes).and_then(|bytes| postcard::to_extend(&own, bytes));
        written.expect("numbers in vectors can be written")
    }

    /// Makes a station again from what the journal held. Readings and forecasts later than `limit` are left out: a clock was
    /// ahead. Says what is to be done then: windows that were owed, and forecasts that may not have been delivered.
    pub fn restore(
        model: Arc<Model>,
        specialists: Box<[Arc<Model>]>,
        setup: Setup,
        restored: &Restored,
        limit: Timestamp,
    ) -> (Station, Vec<Next>, Vec<Forecast>) {
        let mut station = Station::new(restored.station.clone(), model).with_specialists(specialists);
        station.setup = setup;
        if setup.has_experts {
            let experts = StationExperts::restore(&station.model.manifest, restored.experts.as_deref());
            station.experts = Some(Box::new(experts));
        }
        let state = restored.state.as_deref().and_then(read_state);
        let mut owed: VecDeque<Origin> = VecDeque::new();
        let mut said = Said::default();
        if let Some((state, own)) = state {
            (station.reported, station.character, station.elsewhere, said, _) = own;
            station.screening = state.screening;
            station.verification = Verification::with_scores(state.scores);
            let second = |second: i64| Timestamp::from_second(second).ok();
            station.delivered = state.delivered_until_s.and_then(second);
            station.active_at = second(state.active_at_s).unwrap_or(Timestamp::UNIX_EPOCH);
            if state.grid_step_s == station.model.manifest.window.grid_step_s {
                let origins = state.owed.into_iter().filter_map(|(slot, issued_at_s, newest_c)| {
                    Some(Origin { slot, issued_at: second(issued_at_s)?, newest_c })
                });
                owed.extend(origins.filter(|origin| origin.issued_at <= limit));
            }
        } else {
            // A journal of before there were states: its readings were believed once.
            for (time, values) in restored.readings.iter().filter(|(time, _)| *time <= limit) {
                let mut values = *values;
                station.screening.screen(*time, &mut values);
            }
            station.active_at = restored.readings.last().map_or(Timestamp::UNIX_EPOCH, |(time, _)| *time);
            station.delivered = restored.forecasts.last().map(|forecast| forecast.origin);
        }
        let mut next = Vec::new();
        owed.make_contiguous().sort_by_key(|origin| origin.slot);
        for (time, values) in restored.readings.iter().filter(|(time, _)| *time <= limit) {
            let slot = station.history.grid().slot(*time);
            while let Some(origin) = owed.front().copied().filter(|origin| origin.slot < slot) {
                owed.pop_front();
                next.extend(station.ask_again(origin));
            }
            station.insert(*time, *values);
        }
        for origin in owed {
            next.extend(station.ask_again(origin));
        }
        while let Some(Completed { forecast, .. }) = station.next_completed() {
            next.push(Next::Reference(forecast));
        }
        // What stands in for what was owed is published behind what was made before.
        let reference = std::mem::take(&mut station.undelivered);
        let mut undelivered = Vec::new();
        let newest = station.history.newest().unwrap_or(Slot::MIN);
        // The newest slot was still open, unless what is left out had closed it.
        let closes = |time: Timestamp| time > limit && station.history.grid().slot(time) > newest;
        let is_closed = restored.readings.last().is_some_and(|(time, _)| closes(*time));
        let scored_until = if is_closed { newest } else { newest.saturating_sub(1) };
        station.scored_until = is_closed.then_some(newest);
        let forecasts = restored.forecasts.iter().filter(|forecast| forecast.issued_at <= limit);
        for forecast in forecasts {
            let slot = station.history.grid().slot(forecast.origin);
            if station.in_flight.iter().all(|asked| asked.origin.slot != slot) {
                station.restore_pending(slot, forecast, scored_until);
            }
            if station.delivered.is_none_or(|until| forecast.origin > until) {
                station.undelivered.push_back(forecast.origin);
                undelivered.push(forecast.clone());
            }
            station.keep_newest(forecast);
        }
        station.undelivered.extend(reference);
        station.forget_old_forecasts();
        station.measure_readiness();
        station.forget_sightings_after(limit);
        station.character.drop_after(limit, station.place());
        station.is_latitude_news();
        station.oddities = Oddities::restore(said, station.all_that_is_odd());
        if restored.is_beyond(limit) {
            station.screening.forget_after(limit);
            station.delivered = station.delivered.min(Some(limit));
            if let Some(experts) = &mut station.experts {
                experts.drop_after(limit);
            }
        }
        (station, next, undelivered)
    }

    /// Where a station that is restored stands.
    pub fn restored_place(setup: Setup, restored: &Restored) -> Option<Place> {
        let reported = restored.state.as_deref().and_then(read_state).and_then(|(_, own)| own.0);
        moves::place(setup.place, reported)
    }

    /// Takes windows once more that were asked for before a restart.
    fn ask_again(&mut self, origin: Origin) -> Option<Next> {
        let (windows, _) = self.windows(origin.slot);
        if windows.is_empty() {
            // The models are others, or readings were lost with a disk.
            if self.experts.is_some() {
                self.asked(origin, None, &[]);
                return None;
            }
            let forecast = self.reference_forecast(&origin);
            self.issued(&forecast);
            return Some(Next::Reference(forecast));
        }
        Some(Next::Infer(self.asked(origin, None, &windows), windows))
    }

    pub(super) fn restore_pending(&mut self, slot: Slot, forecast: &Forecast, scored_until: Slot) {
        let spec = &self.model.manifest.window;
        self.verification.restore(slot, forecast, scored_until, spec, &self.history);
    }

    /// What the history holds of what was measured, by rising time.
    pub fn readings(&self) -> impl Iterator<Item = (Timestamp, Values)> + '_ {
        let measured = self.history.seconds().map(|(time, measured, _)| (time, measured));
        measured.filter(|(_, measured)| !measured.is_empty())
    }

    /// The forecasts in memory: those that wait for their hours, without what they said of the day ahead, and the newest one.
    pub fn forecasts(&self) -> impl Iterator<Item = Forecast> + '_ {
        let pending = self.verification.waiting().map(|waiting| {
            let origin = self.history.grid().time(waiting.slot);
            let leads = waiting.leads().map(|(lead_h, temperature_c, interval_c)| LeadForecast {
                lead_h,
                valid_at: self.model.manifest.window.valid_at(waiting.slot, lead_h).1,
                temperature_c,
                interval_c,
                quantiles_c: None,
            });
            Forecast {
                station: self.name.clone(),
                issued_at: origin + SignedDuration::from_secs(waiting.issued_after_s),
                origin,
                temperature_c: waiting.persistence_c,
                model: waiting.model.to_owned(),
                source: waiting.source,
                leads: leads.collect(),
                day_ahead: None,
            }
        });
        pending.chain(self.newest_forecast.clone())
    }

    /// From when on a restart needs readings.
    pub fn readings_from(&self) -> Timestamp {
        let newest = self.history.newest().unwrap_or(0);
        let oldest_window = self.in_flight.front().map_or(newest, |asked| asked.origin.slot);
        let oldest = self.history.grid().time(oldest_window.min(newest) - self.history.capacity() as i64);
        self.moved_at().map_or(oldest, |moved_at| oldest.max(moved_at))
    }

    /// From which origin on a restart needs forecasts.
    pub fn forecasts_from(&self) -> Timestamp {
        let grid = self.history.grid();
        let newest = self.history.newest().unwrap_or(0);
        let pending = self.verification.oldest_pending().unwrap_or(newest).min(newest);
        let pending_from = grid.time(pending);
        // What was never delivered is published after a restart, as far back as that helps anybody.
        let undelivered_from = self.undelivered.iter().min().copied().unwrap_or(pending_from);
        let oldest = pending_from.min(undelivered_from).max(grid.time(newest - MAX_UNDELIVERED));
        self.moved_in().map_or(oldest, |slot| oldest.max(grid.time(slot)))
    }

    /// Forecasts up to this origin have reached the broker, in the version that counts.
    fn delivered_until(&self) -> Option<Timestamp> {
        match self.undelivered.iter().min() {
            // A forecast may be made again for an origin of which an earlier version was delivered.
            Some(&oldest) => {
                self.delivered.map(|delivered| delivered.min(oldest - SignedDuration::from_secs(1)))
            }
            None => self.delivered,
        }
    }
}
