//! A file that is written beside its place and then put there.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::target::{Target, WriteError, is_device};

/// Writes a file whole, as [`AtomicFile`] does.
///
/// # Errors
/// [`WriteError`] when a step fails; the file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(|source| WriteError { path: path.to_owned(), source })?;
    file.commit()
}

/// A file that appears under its name only when [`commit`](Self::commit) is called.
///
/// Until then it is written under a hidden name in the same folder, which dropping it removes. A killed writer cannot remove
/// it: the next one of the same file does. Folders that are missing are made. A link is followed. What is no file, such as a
/// terminal or a pipe, is written to directly.
#[derive(Debug)]
pub struct AtomicFile(Destination);

#[derive(Debug)]
enum Destination {
    /// What is no file, which no other could take the place of.
    Device(File),
    File {
        target: Target,
        temporary: NamedTempFile,
    },
}

impl AtomicFile {
    /// Begins to write.
    ///
    /// # Errors
    /// [`WriteError`] when a folder or the temporary file cannot be made.
    pub fn create(path: &Path) -> Result<AtomicFile, WriteError> {
        if is_device(path) {
            let opened = File::options().write(true).open(path);
            let device = opened.map_err(|source| WriteError { path: path.to_owned(), source })?;
            return Ok(AtomicFile(Destination::Device(device)));
        }
        let target = Target::new(path)?;
        let temporary = target.create_temporary().map_err(|source| target.failed(source))?;
        Ok(AtomicFile(Destination::File { target, temporary }))
    }

    /// Gives the new file owner, group and permissions of the one whose place it takes; to be called before anything is written.
    ///
    /// # Errors
    /// [`WriteError`] when this user may not give them.
    pub fn keep_access(&self) -> Result<(), WriteError> {
        let Destination::File { target, temporary } = &self.0 else { return Ok(()) };
        let keep = || -> std::io::Result<()> {
            let (old, new) = (std::fs::metadata(target.path())?, temporary.as_file());
            let made = new.metadata()?;
            if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
                std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))?;
            }
            new.set_permissions(old.permissions())
        };
        match keep() {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(target.failed(error)),
            _ => Ok(()),
        }
    }

    /// Puts the file under its name, once it and its folder's entry are on the disk.
    ///
    /// # Errors
    /// [`WriteError`] when a step fails; what was there before then stays, unless only the folder could not be brought to
    /// the disk.
    pub fn commit(self) -> Result<(), WriteError> {
        let Destination::File { target, temporary } = self.0 else { return Ok(()) };
        let commit = || -> std::io::Result<()> {
            temporary.as_file().sync_all()?;
            temporary.persist(target.path()).map_err(|failed| failed.error)?;
            File::open(target.folder())?.sync_all()
        };
        commit().map_err(|source| target.failed(source))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.0 {
            Destination::Device(device) => device.write(bytes),
            Destination::File { temporary, .. } => temporary.as_file_mut().write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.0 {
            Destination::Device(device) => device.flush(),
            Destination::File { temporary, .. } => temporary.as_file_mut().flush(),
        }
    }
}

/// For formats that come back to what they wrote; a device may refuse.
impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match &mut self.0 {
            Destination::Device(device) => device.seek(to),
            Destination::File { temporary, .. } => temporary.as_file_mut().seek(to),
        }
    }
}

/// Checks that a file can be written, as far as can be known before there is anything to write: so that hours of work do not
/// end with a folder that may not be written to.
///
/// # Errors
/// [`WriteError`] when it cannot.
pub fn check_writable(path: &Path) -> Result<(), WriteError> {
    if is_device(path) {
        return Ok(());
    }
    let target = Target::new(path)?;
    if target.path().is_dir() {
        return Err(target.failed(std::io::ErrorKind::IsADirectory.into()));
    }
    let create_and_remove = || target.create_temporary()?.close();
    create_and_remove().map_err(|source| target.failed(source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensure_distinct;

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new folder/file");
        check_writable(&file).unwrap();
        assert!(!file.exists());
        write(&file, b"old").unwrap();
        write(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let below_a_file = file.join("below");
        for path in [Path::new("/"), file.parent().unwrap(), &below_a_file] {
            assert!(write(path, b"newest").is_err() && check_writable(path).is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_committed_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.csv");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(file);
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
        assert!(ensure_distinct([("--out", &dangling), ("--report", &later)]).is_err());
        write(&dangling, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&dangling).unwrap().is_symlink());
        assert_eq!(std::fs::read(&later).unwrap(), b"new");
    }

    #[test]
    fn what_a_killed_writer_left_is_removed_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["model.onnx", "model"].map(|name| folder.path().join(name));
        let left_by_a_kill = |path: &Path| {
            let temporary = Target::new(path).unwrap().create_temporary().unwrap();
            // The file stays and its lock ends, as when a process is killed.
            temporary.keep().unwrap().1
        };
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            names.sort();
            names
        };
        let (left, of_other) = (left_by_a_kill(&path), left_by_a_kill(&other));
        let foreign = folder.path().join(".model.onnx.backup.unfinished");
        std::fs::write(&foreign, b"a person's own").unwrap();
        assert!(left.exists() && of_other.exists());

        check_writable(&path).unwrap();
        assert!(!left.exists());
        let left = left_by_a_kill(&path);
        write(&path, b"new").unwrap();
        assert!(!left.exists());
        let mut expected = vec![of_other, foreign, path];
        expected.sort();
        assert_eq!(names(), expected, "what is not of this file stays");
    }

    #[test]
    fn of_two_writers_at_once_neither_takes_the_other_s_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut first = AtomicFile::create(&path).unwrap();
        let mut second = AtomicFile::create(&path).unwrap();
        first.write_all(b"first").unwrap();
        second.write_all(b"second").unwrap();
        second.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        first.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn writers_that_begin_together_all_come_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::thread::scope(|scope| {
            for writer in 0..8_u8 {
                let path = &path;
                scope.spawn(move || (0..50).for_each(|_| write(path, &[writer; 1000]).unwrap()));
            }
        });
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn access_is_kept_where_that_is_asked_for() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.toml");
        AtomicFile::create(&path).unwrap().keep_access().unwrap();
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.keep_access().unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_new_file_may_be_read_by_whom_the_umask_lets() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let [path, usual] = ["atomic", "usual"].map(|name| folder.path().join(name));
        write(&path, b"").unwrap();
        std::fs::write(&usual, b"").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&usual));
    }
}
