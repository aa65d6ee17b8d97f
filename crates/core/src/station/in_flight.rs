//! Forecasts that models were asked for and that have not come yet, in the order of their origins.

use std::sync::Arc;
use std::time::Duration;

use super::{Origin, Station, degrees};
use crate::forecast::day_ahead::DayAhead;
use crate::forecast::lead_scores::Score;
use crate::forecast::{Forecast, Source};
use crate::model::Model;

/// A window for a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelWindow {
    /// The model that the window is cut for.
    pub model: Arc<Model>,
    /// The normalised window `[sample, feature]`.
    pub window: Vec<f32>,
}

/// What the models' outputs became.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The forecast that follows from the outputs: of the main model alone, or of the experts together.
    pub forecast: Forecast,
    /// Scores of hours that have been observed already.
    pub scores: Vec<Score>,
    /// The time since the start at which its reading arrived; none after a restart.
    pub arrived: Option<Duration>,
}

/// A forecast that was asked for and has not come yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InFlight {
    number: u64,
    pub(super) origin: Origin,
    /// The time since the start at which its reading arrived; none after a restart.
    arrived: Option<Duration>,
    /// The models that were asked, the main one first. Without any it waits for those before it alone.
    asked: Vec<Asked>,
}

/// A model that was asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub(super) model: Arc<Model>,
    answer: Answer,
}

#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Awaited,
    /// There are no outputs, or they are no temperatures.
    Nothing,
    Outputs(Vec<f32>),
}

impl Asked {
    /// What the model gave, if that was any good.
    pub(super) fn outputs(&self) -> Option<&[f32]> {
        match &self.answer {
            Answer::Outputs(outputs) => Some(outputs),
            Answer::Awaited | Answer::Nothing => None,
        }
    }
}

impl Station {
    /// Remembers that a forecast was asked for, of the models of these windows; gives its number.
    pub(super) fn asked(
        &mut self,
        origin: Origin,
        arrived: Option<Duration>,
        windows: &[ModelWindow],
    ) -> u64 {
        // An earlier forecast of this slot is not the one to be verified.
        self.verification.supersede(origin.slot);
        let number = self.next_number;
        self.next_number += 1;
        let awaited =
            |window: &ModelWindow| Asked { model: Arc::clone(&window.model), answer: Answer::Awaited };
        let asked = windows.iter().map(awaited).collect();
        self.in_flight.push_back(InFlight { number, origin, arrived, asked });
        number
    }

    /// Takes a model's outputs, if there are any, for the forecast of this number. Whether they are temperatures that a
    /// thermometer shows; `None` when this model was not asked for it, or has answered. [`Station::next_completed`] gives
    /// what is complete then.
    pub fn answer(&mut self, number: u64, model: &str, outputs: Option<Vec<f32>>) -> Option<bool> {
        let InFlight { origin, asked, .. } = self.in_flight.iter_mut().find(|own| own.number == number)?;
        let is_awaited = |asked: &&mut Asked| &*asked.model.id == model && asked.answer == Answer::Awaited;
        let asked = asked.iter_mut().find(is_awaited)?;
        let is_plausible = |outputs: &[f32]| degrees(&asked.model.manifest, origin, outputs).is_some();
        let has_outputs = outputs.is_some();
        asked.answer =
            outputs.filter(|outputs| is_plausible(outputs)).map_or(Answer::Nothing, Answer::Outputs);
        Some(!has_outputs || asked.answer != Answer::Nothing)
    }

    /// The oldest forecast in flight, when every model that was asked for it has answered; `None` when there is no such. To
    /// be called until then, after each answer.
    ///
    /// Without a model's good outputs, the reference forecast stands in.
    pub fn next_completed(&mut self) -> Option<Completed> {
        let is_answered = |asked: &Asked| asked.answer != Answer::Awaited;
        self.in_flight.front().filter(|first| first.asked.iter().all(is_answered))?;
        let InFlight { origin, arrived, asked, .. } = self.in_flight.pop_front()?;
        // A forecast that is being made again for the same origin is not the one to be verified.
        let is_superseded = self.in_flight.iter().any(|asked| asked.origin.slot == origin.slot);
        let day_ahead = self.day_ahead(&origin, &asked);
        let mut forecast = match self.experts {
            Some(_) => self.combined_forecast(&origin, &asked, is_superseded),
            None => {
                let own = asked.iter().find(|asked| asked.model.id == self.model.id);
                let leads = own
                    .and_then(Asked::outputs)
                    .and_then(|outputs| degrees(&self.model.manifest, &origin, outputs));
                match leads {
                    Some(leads) => self.forecast(&origin, Source::Model, leads),
                    None => self.reference_forecast(&origin),
                }
            }
        };
        let day_ahead = day_ahead.map(|day| day.agreeing_with(&forecast.leads));
        self.verify_day(&origin, day_ahead.as_ref(), is_superseded);
        forecast.day_ahead = day_ahead;
        let scores = self.completed(&origin, &forecast, is_superseded);
        Some(Completed { forecast, scores, arrived })
    }

    /// What the first model with good outputs, the main one if it has any, says of the extremes ahead.
    fn day_ahead(&self, origin: &Origin, asked: &[Asked]) -> Option<DayAhead> {
        let thresholds_c: Vec<f32> = self.setup.thresholds_c().collect();
        asked.iter().find_map(|asked| {
            DayAhead::decode(&asked.model.manifest, origin.newest_c, asked.outputs()?, &thresholds_c)
        })
    }
}
