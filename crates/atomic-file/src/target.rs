//! Where a file goes, and the temporary files beside that place.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Characters of a temporary name that are drawn at random.
const RANDOM_CHARACTERS: usize = 8;
/// How a temporary name ends.
const SUFFIX: &str = ".unfinished";

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}", path = .path.display())]
pub struct WriteError {
    /// The file that was to be written.
    pub path: PathBuf,
    /// The step that failed says why.
    pub source: std::io::Error,
}

/// The place of a file, with links followed.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    name: OsString,
}

impl Target {
    /// The place that `path` leads to.
    pub(crate) fn new(path: &Path) -> Result<Target, WriteError> {
        let path = follow_links(path);
        match path.file_name().map(OsStr::to_owned) {
            Some(name) => Ok(Target { path, name }),
            None => {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no file name");
                Err(WriteError { path, source })
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    pub(crate) fn failed(&self, source: std::io::Error) -> WriteError {
        WriteError { path: self.path.clone(), source }
    }

    /// Makes a temporary file beside the target, and its folder, and removes temporary files whose writers are gone.
    ///
    /// A writer holds a lock on its temporary file; the system ends it with the process, whatever ends that.
    pub(crate) fn create_temporary(&self) -> std::io::Result<NamedTempFile> {
        create_folders(self.folder())?;
        self.remove_abandoned();
        let prefix = self.temporary_prefix();
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM_CHARACTERS);
        loop {
            // With the permissions of any new file, where a temporary one would be its owner's alone.
            let create = |path: &Path| File::options().write(true).create_new(true).open(path);
            let temporary = builder.make_in(self.folder(), create)?;
            // Where the file system knows no locks, nobody takes the file for abandoned either.
            let is_locked = temporary.as_file().lock().is_ok();
            // Before it was locked another writer may have taken it for abandoned.
            if !is_locked || temporary.path().try_exists()? {
                return Ok(temporary);
            }
        }
    }

    /// Removes the target's temporary files that nobody holds a lock on, as far as that is possible.
    fn remove_abandoned(&self) {
        let Ok(entries) = std::fs::read_dir(self.folder()) else { return };
        for entry in entries.flatten() {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_file && self.is_temporary(&entry.file_name()) {
                let path = entry.path();
                if let Ok(file) = File::open(&path)
                    && file.try_lock().is_ok()
                {
                    // Another writer may have been faster.
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
    }

    fn temporary_prefix(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(".");
        prefix
    }

    /// Whether a name is one that [`create_temporary`](Self::create_temporary) gives.
    fn is_temporary(&self, name: &OsStr) -> bool {
        let prefix = self.temporary_prefix();
        let random = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let random = random.and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        random.is_some_and(|random| {
            random.len() == RANDOM_CHARACTERS && random.iter().all(u8::is_ascii_alphanumeric)
        })
    }
}

/// Makes a folder and those above it that are not there. A folder stands in the one above it, and lasts when that is written.
fn create_folders(folder: &Path) -> std::io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(|made| File::open(folder_of(made))?.sync_all())
}

/// What a name leads to, also when it is not there yet.
pub(crate) fn follow_links(path: &Path) -> PathBuf {
    /// More links in a row than this are a circle, as Linux has it.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = folder_of(&path).join(target);
    }
    path
}

pub(crate) fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
