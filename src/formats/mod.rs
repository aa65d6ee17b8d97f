//! From a payload or a file to readings, and back.

pub mod csv;
mod fields;
pub mod json;
mod lines;
pub mod mapping;
