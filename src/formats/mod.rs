//! From a payload or a file to readings, and back.

pub mod csv;
pub mod json;
