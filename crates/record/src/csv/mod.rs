//! CSV files: lines, fields, and what the columns mean.

pub(crate) mod error;
pub(crate) mod fields;
mod layout;
pub(crate) mod lines;
pub(crate) mod mapping;
pub(crate) mod reader;
mod source;
