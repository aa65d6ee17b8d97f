//! From a payload or a file to readings, and back.

pub mod csv;
mod error;
mod fields;
pub mod json;
mod lines;
pub mod mapping;
