//! Experts: several forecasts of one station's temperature, and the one that is made of them.
//!
//! | module | contents |
//! | --- | --- |
//! | `station_experts` | the experts of a station: who is there, what they say together, what is learned from an hour |
//! | `advice` | what one expert says of one lead |
//! | `combination` | what the experts say together |
//! | `record` | what is known of one expert |
//! | `reference` | the experts that need no model: persistence, the same time yesterday, the mixture of both |
//! | `boa` | how much each expert is believed: Bernstein online aggregation, lead by lead |
//! | `bias` | what is taken off an expert: its running bias by lead and hour of the day |
//! | `tracker` | how wide the intervals are: quantile trackers, by lead and side |
//! | `pending` | what was said and waits for its hours |
//!
//! Nothing here knows a clock, a file or a network. Time is the origin of forecasts: an hour is learned from when the first
//! forecast of a later one is made, in their order, so that a station learns the same whether its readings come one
//! by one or in a burst.

mod advice;
mod bias;
mod boa;
mod combination;
mod pending;
mod record;
mod reference;
mod station_experts;
mod tracker;

pub(crate) use advice::SPECIALIST_PRIOR;
pub use advice::{Advice, Distances, LEVELS, LeadAdvice, MODEL_PRIOR, QUANTILES, Spread};
pub use combination::{Combination, CombinedLead};
pub use record::{LeadStanding, Standing};
pub use reference::{REFERENCES, References};
pub use station_experts::Experts;

#[cfg(test)]
mod tests;
