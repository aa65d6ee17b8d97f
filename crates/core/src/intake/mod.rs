//! What is believed of a reading.

pub(crate) mod screening;
