//! What the numbers of a model mean.

pub(crate) mod excerpt;
pub(crate) mod manifest;
pub(crate) mod normalisation;
pub(crate) mod outputs;
pub(crate) mod ranges;
pub(crate) mod set;
pub(crate) mod target;
pub(crate) mod training;

use std::sync::Arc;

use manifest::Manifest;

/// A model as a station knows it: what its numbers mean, and which one it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What its numbers mean.
    pub manifest: Manifest,
    /// Short name of the version: model name and the beginning of the file's hash.
    pub id: Arc<str>,
}
