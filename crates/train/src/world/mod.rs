//! The model for any place: one network that is trained on many stations, and is told where it stands and what it does
//! not know.
//!
//! | module | contents |
//! | --- | --- |
//! | `pool` | hourly records of many stations |
//! | `split` | which of them are for training, validation and testing |
//! | `window` | what a window holds, and what the network is given of it |
//! | `mask` | what a station lacks: sensors, hours of history |
//! | `example` | windows drawn at random, with what was observed after them |
//! | `network` | the network, and its graph |
//! | `manifest` | what every file of it says of itself |
//! | `pinball` | the loss that is learned by, and its derivative |
//! | `ensemble` | networks that were trained apart, as one |
//! | `learn` | how it is trained |
//! | `evaluate` | how good it is, station by station |
//! | `card` | what is said of it |
//! | `base` | the network of a file, to go on from |
//! | `own` | what the history of one station adds to it |

mod base;
mod card;
mod ensemble;
mod evaluate;
mod example;
mod learn;
mod manifest;
mod mask;
mod network;
mod own;
mod pinball;
mod pool;
mod ranges;
mod split;
mod window;

pub use base::BaseError;
#[cfg(test)]
pub(crate) use base::persistence;
pub(crate) use base::read as read_base;
pub(crate) use card::card;
pub(crate) use ensemble::joined;
pub(crate) use evaluate::{Condition, StationScores, evaluate};
pub(crate) use example::Cutter;
pub(crate) use learn::WorldObjective;
pub use learn::WorldSettings;
pub(crate) use manifest::manifest;
pub(crate) use network::Network;
pub use own::OwnSettings;
pub(crate) use own::{Method as SpecialistMethod, OwnErrors, OwnHistory, OwnObjective, Specialist};
pub use pool::PoolError;
pub(crate) use pool::{Embargo, Pool, pool_files};
pub(crate) use ranges::ranges;
pub(crate) use split::{Role, assign, usable};
pub(crate) use window::{LIVE_STEP_S, normalisation, window};
