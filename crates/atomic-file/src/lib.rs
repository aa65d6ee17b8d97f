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

/// Two options name one file.
#[derive(Debug, thiserror::Error)]
#[error("{option} and {other} are the same file, {path}", path = .path.display())]
pub struct SameFile {
    /// The option.
    pub option: &'static str,
    /// The other.
    pub other: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// Writes a file: into a temporary file beside it, to the disk, then under its name. A kill or a full disk leaves the old
/// file as it was. Folders are made. A link is followed; what is no file, such as a terminal, is written to as it is.
///
/// # Errors
/// [`WriteError`] when a step fails; the temporary file is then removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut begun = Begun::create(path)?;
    begun.write_all(bytes).map_err(|source| WriteError { path: path.to_owned(), source })?;
    begun.finish()
}

/// A file that is being written, in the way of [`write()`]; it is not there until it is finished.
#[derive(Debug)]
pub struct Begun {
    path: PathBuf,
    file: std::fs::File,
    /// Where it is until then; nowhere else if what is written to is no file.
    temporary: Option<PathBuf>,
}

impl Begun {
    /// Begins to write.
    ///
    /// # Errors
    /// [`WriteError`] when a folder or the temporary file cannot be made.
    pub fn create(path: &Path) -> Result<Begun, WriteError> {
        let failed = |source| WriteError { path: path.to_owned(), source };
        if is_device(path) {
            let file = std::fs::File::options().write(true).open(path).map_err(failed)?;
            return Ok(Begun { path: path.to_owned(), file, temporary: None });
        }
        let path = followed(path);
        let place = Place::of(&path)?;
        std::fs::create_dir_all(place.folder).map_err(failed)?;
        let file = std::fs::File::create(&place.temporary).map_err(failed)?;
        let temporary = Some(place.temporary);
        Ok(Begun { path, file, temporary })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`WriteError`] when a step fails; the temporary file is then removed.
    pub fn finish(mut self) -> Result<(), WriteError> {
        let Some(temporary) = &self.temporary else { return Ok(()) };
        let finish = || -> std::io::Result<()> {
            self.file.sync_all()?;
            std::fs::rename(temporary, &self.path)?;
            std::fs::File::open(Place::folder(&self.path))?.sync_all()
        };
        finish().map_err(|source| WriteError { path: self.path.clone(), source })?;
        self.temporary = None;
        Ok(())
    }
}

impl Write for Begun {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It may not have come to be.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Refuses options that name the same file, of which one would overwrite the other.
///
/// # Errors
/// [`SameFile`], the first found.
pub fn check_different<'a>(
    files: impl IntoIterator<Item = (&'static str, &'a PathBuf)>,
) -> Result<(), SameFile> {
    let mut before: Vec<(&'static str, &PathBuf)> = Vec::new();
    for (option, path) in files {
        if let Some((other, _)) = before.iter().find(|(_, other)| is_same(path, other) && !is_device(path)) {
            return Err(SameFile { option, other, path: path.clone() });
        }
        before.push((option, path));
    }
    Ok(())
}

/// Whether a file could be written as far as can be known before there is anything to write: so that hours of work do not
/// end with a folder that may not be written to.
///
/// # Errors
/// [`WriteError`] when it could not.
pub fn check(path: &Path) -> Result<(), WriteError> {
    if is_device(path) {
        return Ok(());
    }
    let linked = followed(path);
    let path = linked.as_path();
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
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        let path = followed(path);
        let folder = Place::folder(&path);
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

/// What a name leads to, also when it is not there yet.
fn followed(path: &Path) -> PathBuf {
    /// More links in a row than this are a circle, as Linux has it.
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(target) = std::fs::read_link(&path) else { break };
        path = Place::folder(&path).join(target);
    }
    path
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

struct Place<'a> {
    folder: &'a Path,
    temporary: PathBuf,
}

impl Place<'_> {
    fn of(path: &Path) -> Result<Place<'_>, WriteError> {
        let folder = Place::folder(path);
        let Some(name) = path.file_name() else {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "no file name");
            return Err(WriteError { path: path.to_owned(), source });
        };
        let temporary = folder.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
        Ok(Place { folder, temporary })
    }

    fn folder(path: &Path) -> &Path {
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

    #[test]
    fn a_file_that_is_not_finished_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.csv");
        write(&path, b"old").unwrap();
        let mut begun = Begun::create(&path).unwrap();
        begun.write_all(b"half").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(begun);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        std::fs::write(&target, b"old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        // Also where there is nothing yet at its end, and by a way relative to its folder.
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("later", &dangling).unwrap();
        let later = folder.path().join("later");
        assert!(check_different([("--out", &dangling), ("--report", &later)]).is_err());
        write(&dangling, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&dangling).unwrap().is_symlink());
        assert_eq!(std::fs::read(&later).unwrap(), b"new");
    }

    #[test]
    fn one_file_under_two_names_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let roundabout = folder.path().join(".").join("record.csv");
        let other = folder.path().join("other.csv");
        let same = |one: &PathBuf, two: &PathBuf| check_different([("--csv", one), ("--out", two)]);
        // Before and after there is one.
        for _ in 0..2 {
            assert!(same(&path, &other).is_ok());
            let error = same(&path, &roundabout).unwrap_err().to_string();
            assert!(error.starts_with("--out and --csv are the same file"), "{error}");
            std::fs::write(&path, b"").unwrap();
        }
    }
}
