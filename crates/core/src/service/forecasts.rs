//! What becomes of a forecast: its windows go to the models, and it is issued, scored and verified.

use std::sync::Arc;
use std::time::Duration;

use super::{Effect, Event, Now, Publication, Service};
use crate::forecast::Forecast;
use crate::forecast::lead_scores::Score;
use crate::journal::Entry;
use crate::station::{Completed, ModelWindow};
use crate::weather::reading::StationName;

pub(super) fn publish_forecast(forecast: Forecast) -> Effect {
    Effect::Publish(Publication::Forecast { forecast: Box::new(forecast), is_stale: false })
}

impl Service {
    /// Has models run for a forecast.
    pub(super) fn infer(
        &mut self,
        name: &StationName,
        number: u64,
        windows: Vec<ModelWindow>,
        effects: &mut Vec<Effect>,
    ) {
        self.in_flight += windows.len();
        effects.extend(windows.into_iter().map(|ModelWindow { model, window }| Effect::Infer {
            station: name.clone(),
            number,
            model: Arc::clone(&model.id),
            window,
        }));
    }

    pub(super) fn inferred(
        &mut self,
        now: Now,
        name: &StationName,
        number: u64,
        model: Arc<str>,
        outputs: Result<Vec<f32>, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let (outputs, error) = match outputs {
            Ok(outputs) => (Some(outputs), None),
            Err(error) => (None, Some(error)),
        };
        let answered =
            self.stations.get_mut(name).and_then(|entry| entry.station.answer(number, &model, outputs));
        // A station that was forgotten meanwhile wants no forecast, nor one whose clock was ahead when it was asked for.
        if let Some(is_plausible) = answered {
            let station = name.clone();
            if let Some(error) = error {
                effects.push(Effect::Emit(Event::InferenceFailed { station, model, error }));
            } else if !is_plausible {
                effects.push(Effect::Emit(Event::ForecastImplausible { station, model }));
            }
        }
        self.issue_completed(now, name, effects);
        self.take_recalled(now, name, effects);
        self.release_held(now, name, effects);
        self.switch_if_idle(now, effects);
    }

    /// Issues the forecasts that wait for no model any more, in the order of origins.
    fn issue_completed(&mut self, now: Now, name: &StationName, effects: &mut Vec<Effect>) {
        while let Some(Completed { forecast, scores, arrived }) =
            self.stations.get_mut(name).and_then(|entry| entry.station.next_completed())
        {
            self.mark_dirty(name);
            self.scored(name, &scores, effects);
            let delay = arrived.and_then(|arrived| now.uptime.checked_sub(arrived));
            self.issue(forecast, delay, effects);
        }
    }

    /// Publishes and journals a forecast.
    pub(super) fn issue(&mut self, forecast: Forecast, delay: Option<Duration>, effects: &mut Vec<Effect>) {
        if let Some(entry) = self.stations.get_mut(&forecast.station) {
            entry.is_marked_stale = false;
            let day_scores = entry.station.take_day_scores();
            day_scores.iter().for_each(|score| self.day_scores.add(score));
            if !day_scores.is_empty() {
                effects.push(Effect::Emit(Event::DaysScored(self.day_scores.clone())));
            }
            let longest_h = self.models.main().manifest.max_lead_h();
            effects.push(Effect::Emit(Event::ForecastIssued {
                forecast: Box::new(forecast.clone()),
                readiness: entry.station.readiness(),
                lifetime: entry.station.scores().lead(longest_h).lifetime,
                delay,
            }));
        }
        if self.is_subscribed {
            effects.push(publish_forecast(forecast.clone()));
        } else {
            self.undelivered.push(forecast.clone());
        }
        self.entries.push(Entry::Forecast(Box::new(forecast)));
    }

    /// Counts scores, and has the sums published once an hour of station time.
    pub(super) fn scored(&mut self, name: &StationName, scores: &[Score], effects: &mut Vec<Effect>) {
        let Some(last) = scores.last() else { return };
        let Some(entry) = self.stations.get_mut(name) else { return };
        for score in scores {
            self.scores.add(score);
            let scores = self.scores.lead(score.lead_h);
            effects.push(Effect::Emit(Event::Scored { score: *score, scores }));
        }
        let hour = last.valid_at.as_second().div_euclid(3600);
        if entry.verified_hour != hour {
            entry.verified_hour = hour;
            if !std::mem::replace(&mut entry.is_verified, true) {
                self.verified.push(name.clone());
            }
        }
    }

    pub(super) fn publish_verified(&mut self, effects: &mut Vec<Effect>) {
        for name in std::mem::take(&mut self.verified) {
            let Some(entry) = self.stations.get_mut(&name) else { continue };
            entry.is_verified = false;
            let experts = entry.station.expert_standings();
            if !experts.is_empty() {
                let (station, experts) = (name.clone(), experts.clone());
                effects.push(Effect::Emit(Event::ExpertsStand { station, experts }));
            }
            effects.push(Effect::Publish(Publication::Verification {
                station: name,
                model: Arc::clone(&self.models.main().id),
                scores: entry.station.scores().clone(),
                experts,
                day_ahead: entry.station.day_scores().cloned(),
            }));
        }
    }
}
