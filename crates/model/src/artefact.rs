//! The artefact: one ONNX file with its manifest inside.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};

use crate::bounds::{Weight, weigh};
use crate::onnx;
use crate::shape::{ShapeError, check_shapes};
use forecastd_core::{MANIFEST_KEY, Manifest, ManifestError};

/// A model as read from a file: the graph, and what its numbers mean.
#[derive(Clone)]
pub struct Artefact {
    /// What the graph's inputs and outputs mean, read from the file's metadata.
    pub manifest: Manifest,
    /// SHA-256 of the file, hexadecimal: what tells two artefacts of one name apart.
    pub sha256: String,
    /// The file. The graph is decoded from it when somebody asks, so that a daemon does not hold its weights twice.
    bytes: Arc<[u8]>,
    /// The name of the batch dimension; `None` when the file fixes it to 1.
    batch_name: Option<String>,
}

/// Why a file is no artefact.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The file cannot be read. Which one, whoever asked for it says.
    #[error("{0}")]
    Unreadable(std::io::Error),
    /// It is a folder, a pipe or a device.
    #[error("not a regular file")]
    NotAFile,
    /// The file is larger than any model.
    #[error("{0} bytes, at most {max} are read", max = Artefact::MAX_BYTES)]
    FileSize(u64),
    /// The graph has more operations than any network.
    #[error("a graph of {0} nodes, at most {max} are read", max = Artefact::MAX_NODES)]
    Nodes(usize),
    /// The file would take many times its size in memory.
    #[error(
        "a file of {file} bytes that takes {memory} bytes in memory, at most {max} are allowed for its size"
    )]
    Memory {
        /// Size of the file.
        file: usize,
        /// What decoding it takes, estimated from above.
        memory: usize,
        /// What it may take.
        max: usize,
    },
    /// The bytes are no ONNX model, or the file is cut off.
    #[error("not an ONNX file, or cut off: {0}")]
    NotOnnx(prost::DecodeError),
    /// The bytes are a model without operations, as those of an empty file are.
    #[error("not an ONNX file, or cut off: no graph")]
    NoGraph,
    /// There is no manifest.
    #[error("no {MANIFEST_KEY} in the metadata: not made by forecastd; see `examples/` for how to add one")]
    NoManifest,
    /// The manifest is not usable.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The graph is not the one that the manifest was written for.
    #[error("damaged: the graph is not the one that was written")]
    Damaged,
    /// The graph's inputs or outputs do not fit the manifest.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

impl Artefact {
    /// Name of the graph's input.
    pub const INPUT: &'static str = "window";
    /// Name of the graph's output.
    pub const OUTPUT: &'static str = "temperature";
    /// A file larger than this is not read.
    pub const MAX_BYTES: u64 = 256 * 1024 * 1024;
    /// A graph of more operations than this is not read. Those of subgraphs are not counted.
    pub const MAX_NODES: usize = 10_000;

    /// What decoding a file of `bytes` bytes may take: weights take what they take in the file.
    const fn max_memory(bytes: usize) -> usize {
        bytes.saturating_mul(3).saturating_add(32 * 1024 * 1024)
    }

    /// Reads an artefact from a file.
    ///
    /// # Errors
    /// [`ArtefactError`] when it cannot be read, is not ONNX, has no usable manifest or shapes that do not fit it.
    pub fn read(path: &Path) -> Result<Artefact, ArtefactError> {
        // A pipe of that name must not hold whoever opens it.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(ArtefactError::Unreadable)?;
        let metadata = file.metadata().map_err(ArtefactError::Unreadable)?;
        if !metadata.is_file() {
            return Err(ArtefactError::NotAFile);
        }
        if metadata.len() > Artefact::MAX_BYTES {
            return Err(ArtefactError::FileSize(metadata.len()));
        }
        let mut bytes = Vec::new();
        bytes.reserve_exact(metadata.len() as usize + 1);
        // It may grow while it is read.
        file.take(Artefact::MAX_BYTES + 1).read_to_end(&mut bytes).map_err(ArtefactError::Unreadable)?;
        if bytes.len() as u64 > Artefact::MAX_BYTES {
            return Err(ArtefactError::FileSize(metadata.len().max(bytes.len() as u64)));
        }
        Artefact::from_bytes(bytes.into())
    }

    /// Takes the bytes of a file for an artefact.
    ///
    /// # Errors
    /// Like [`Artefact::read`], but for the file.
    pub fn parse(bytes: &[u8]) -> Result<Artefact, ArtefactError> {
        Artefact::from_bytes(bytes.into())
    }

    /// Like [`Artefact::parse`], without a copy.
    pub(crate) fn from_bytes(bytes: Arc<[u8]>) -> Result<Artefact, ArtefactError> {
        if let Some(Weight { nodes, bytes: memory }) = weigh(&bytes) {
            if nodes > Artefact::MAX_NODES {
                return Err(ArtefactError::Nodes(nodes));
            }
            let (file, max) = (bytes.len(), Artefact::max_memory(bytes.len()));
            if memory > max {
                return Err(ArtefactError::Memory { file, memory, max });
            }
        }
        let model = decode(&bytes)?;
        if model.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(ArtefactError::NoGraph);
        }
        let manifest = model
            .metadata_props
            .iter()
            .find(|entry| entry.key == MANIFEST_KEY)
            .ok_or(ArtefactError::NoManifest)?;
        let manifest = Manifest::parse(&manifest.value)?;
        let written = manifest.graph_sha256.as_ref();
        if written.is_some_and(|written| Some(written) != graph_hash(&model).as_ref()) {
            return Err(ArtefactError::Damaged);
        }
        let batch_name = check_shapes(&model, &manifest)?;
        Ok(Artefact { manifest, sha256: hex::encode(Sha256::digest(&bytes)), bytes, batch_name })
    }

    /// Puts a manifest into a model and gives the bytes of the file.
    ///
    /// # Errors
    /// [`ArtefactError`] when the manifest is not usable or does not fit the graph.
    pub fn assemble(mut model: onnx::Model, manifest: &Manifest) -> Result<Vec<u8>, ArtefactError> {
        manifest.validate()?;
        check_shapes(&model, manifest)?;
        let manifest = Manifest { graph_sha256: graph_hash(&model), ..manifest.clone() };
        model.metadata_props.retain(|entry| entry.key != MANIFEST_KEY);
        model.metadata_props.push(onnx::StringStringEntry {
            key: MANIFEST_KEY.to_owned(),
            value: serde_json::to_string(&manifest).map_err(ManifestError::Json)?,
        });
        Ok(model.encode_to_vec())
    }

    /// Whether an engine may be given several windows at once.
    pub fn takes_batches(&self) -> bool {
        self.batch_name.is_some()
    }

    /// The whole file as it was read, with the manifest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file's bytes for an engine; with the batch fixed to 1 for one that wants every dimension known.
    pub fn graph(&self, fix_batch: bool) -> Vec<u8> {
        let mut model = self.model();
        // Engines need the graph only.
        model.metadata_props.clear();
        if let (true, Some(name)) = (fix_batch, &self.batch_name) {
            model.fix_dimension(name, 1);
        }
        model.encode_to_vec()
    }

    /// The graph's operations and constants, for a person or an engine; decoded from the file at every call.
    pub fn model(&self) -> onnx::Model {
        decode(&self.bytes).expect("bytes that were decoded once are decoded again")
    }

    /// What a station knows of it.
    pub fn description(&self) -> forecastd_core::Model {
        forecastd_core::Model { manifest: self.manifest.clone(), id: self.id().into() }
    }

    /// Short name of the version: model name and the beginning of the hash.
    pub fn id(&self) -> String {
        format!("{}@{}", self.manifest.name, &self.sha256[..8])
    }
}

impl std::fmt::Debug for Artefact {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Artefact");
        shown.field("id", &self.id()).field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

fn decode(bytes: &[u8]) -> Result<onnx::Model, ArtefactError> {
    onnx::Model::decode(bytes).map_err(ArtefactError::NotOnnx)
}

/// What [`Manifest::graph_sha256`] is to be.
fn graph_hash(model: &onnx::Model) -> Option<String> {
    model.graph.as_ref().map(|graph| hex::encode(Sha256::digest(graph.encode_to_vec())))
}
