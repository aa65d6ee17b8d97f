//! What a weather station measures, and what physics says of it.

pub(crate) mod place;
pub(crate) mod pressure;
pub(crate) mod quantity;
pub(crate) mod reading;
pub(crate) mod site;
pub(crate) mod solar;
pub mod thermodynamics;
pub(crate) mod units;
