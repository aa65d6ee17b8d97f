//! Files that are written whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = .path.display())]
pub struct WriteError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Writes a file: into a temporary file beside it, to the disk, then under its name. A kill or a full disk leaves the old
/// file as it was. Folders are made.
///
/// # Errors
/// [`WriteError`] when a step fails; the temporary file is then removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let place = Place::of(path)?;
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(place.folder)?;
        let mut file = std::fs::File::create(&place.temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&place.temporary, path)?;
        std::fs::File::open(place.folder)?.sync_all()
    };
    write().map_err(|source| place.failed(path, source))
}

/// Whether a file could be written as far as can be known before there is anything to write: so that hours of work do not
/// end with a folder that may not be written to.
///
/// # Errors
/// [`WriteError`] when it could not.
pub fn check(path: &Path) -> Result<(), WriteError> {
    let place = Place::of(path)?;
    let check = || -> std::io::Result<()> {
        if path.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        std::fs::create_dir_all(place.folder)?;
        std::fs::File::create(&place.temporary)?;
        std::fs::remove_file(&place.temporary)
    };
    check().map_err(|source| place.failed(path, source))
}

/// Whether two names are those of one file, whether it is there yet or not.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        if let Ok(path) = path.canonicalize() {
            return Some(path);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

struct Place<'a> {
    folder: &'a Path,
    temporary: PathBuf,
}

impl Place<'_> {
    fn of(path: &Path) -> Result<Place<'_>, WriteError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let Some(name) = path.file_name() else {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no file name");
            return Err(WriteError { path: path.to_owned(), source });
        };
        let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        Ok(Place { folder, temporary })
    }

    fn failed(&self, path: &Path, source: std::io::Error) -> WriteError {
        // It may not have come to be.
        let _ = std::fs::remove_file(&self.temporary);
        WriteError { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new folder/file");
        check(&file).unwrap();
        assert!(!file.exists());
        write(&file, b"old").unwrap();
        write(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let below_a_file = file.join("below");
        for path in [Path::new("/"), file.parent().unwrap(), &below_a_file] {
            assert!(write(path, b"newest").is_err() && check(path).is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
