//! What a model is given of a station: the time grid, the ring buffer, features, the window.

pub(crate) mod feature;
pub(crate) mod grid;
pub(crate) mod history;
pub(crate) mod spec;
