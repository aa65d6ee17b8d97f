//! Whether options name different files.

use std::path::{Path, PathBuf};

use crate::target::{folder_of, follow_links, is_device};

/// Two options name one file.
#[derive(Debug, thiserror::Error)]
#[error("{option} and {other} are the same file, {path}", path = .path.display())]
pub struct SameFileError {
    /// The option that was found second.
    pub option: &'static str,
    /// The option that names the file too.
    pub other: &'static str,
    /// The file that both options name, as the option that was found second writes it.
    pub path: PathBuf,
}

/// Refuses options that name the same file, of which one would overwrite the other.
///
/// # Errors
/// [`SameFileError`], the first found.
pub fn ensure_distinct<'a>(
    files: impl IntoIterator<Item = (&'static str, &'a PathBuf)>,
) -> Result<(), SameFileError> {
    let mut before: Vec<(&'static str, &PathBuf)> = Vec::new();
    for (option, path) in files {
        if let Some((other, _)) = before.iter().find(|(_, other)| is_same(path, other) && !is_device(path)) {
            return Err(SameFileError { option, other, path: path.clone() });
        }
        before.push((option, path));
    }
    Ok(())
}

/// Whether two names are those of one file, whether it is there yet or not.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| -> Option<PathBuf> {
        let path = follow_links(path);
        let folder = folder_of(&path);
        let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).ok()?;
        Some(folder.join(path.file_name()?))
    };
    one == other || place(one).is_some_and(|one| Some(one) == place(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_under_two_names_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        let roundabout = folder.path().join(".").join("record.csv");
        let other = folder.path().join("other.csv");
        let same = |one: &PathBuf, two: &PathBuf| ensure_distinct([("--csv", one), ("--out", two)]);
        // Before and after there is one.
        for _ in 0..2 {
            assert!(same(&path, &other).is_ok());
            let error = same(&path, &roundabout).unwrap_err().to_string();
            assert!(error.starts_with("--out and --csv are the same file"), "{error}");
            std::fs::write(&path, b"").unwrap();
        }
    }
}
