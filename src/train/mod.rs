//! Training recurrent networks.

pub mod kernel;
pub mod recurrent;
