//! CSV files: lines, fields, and what the columns mean.

pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod lines;
pub(crate) mod mapping;
pub(crate) mod reader;
