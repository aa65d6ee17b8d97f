//! Where a model is: in a file, or in the program itself.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use forecastd_model::{Artefact, ArtefactError};

/// The file of the model that is built in.
pub const BUILT_IN: &[u8] = include_bytes!("../models/world.onnx");

/// Where a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelLocation {
    /// In the program: [`BUILT_IN`].
    BuiltIn,
    /// In this file.
    File(PathBuf),
}

impl ModelLocation {
    /// The file; none for the model that is built in.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ModelLocation::BuiltIn => None,
            ModelLocation::File(path) => Some(path),
        }
    }

    /// Reads the model.
    ///
    /// # Errors
    /// [`ArtefactError`] when there is no such file, or it holds no usable model.
    pub fn read(&self) -> Result<Artefact, ArtefactError> {
        match self {
            ModelLocation::BuiltIn => Artefact::parse(BUILT_IN),
            ModelLocation::File(path) => Artefact::read(path),
        }
    }
}

/// A file that is named; without one, the model that is built in.
impl From<Option<PathBuf>> for ModelLocation {
    fn from(path: Option<PathBuf>) -> ModelLocation {
        path.map_or(ModelLocation::BuiltIn, ModelLocation::File)
    }
}

impl fmt::Display for ModelLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelLocation::BuiltIn => formatter.write_str("(built in)"),
            ModelLocation::File(path) => path.display().fmt(formatter),
        }
    }
}

/// An empty text is the model that is built in.
impl<'de> Deserialize<'de> for ModelLocation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ModelLocation, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(ModelLocation::from((!text.is_empty()).then(|| PathBuf::from(text))))
    }
}

/// Whether a file of `model.folder` is taken for a model: what is hidden is still being written.
pub(crate) fn is_model_file(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    path.extension().is_some_and(|extension| extension == "onnx") && !is_hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_is_built_in_is_the_shipped_file_byte_for_byte() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/world.onnx");
        let built_in = ModelLocation::BuiltIn.read().unwrap();
        let shipped = ModelLocation::from(Some(file)).read().unwrap();
        assert_eq!(built_in.sha256, shipped.sha256);
        assert_eq!(built_in.manifest.window.site, None, "it is for any place");
    }
}
