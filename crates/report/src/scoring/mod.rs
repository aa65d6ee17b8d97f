//! Scores of a model on a record.

pub(crate) mod cases;
pub(crate) mod comparison;
pub(crate) mod error;
pub(crate) mod kinship;
pub(crate) mod lead_errors;
pub(crate) mod others;
