//! The files of a record: one, several, the files of a folder, or those that a pattern fits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use forecastd_core::Site;

use crate::{CsvError, CsvMapping};

/// What a path holds that is a pattern and no name.
const PATTERN: [char; 3] = ['*', '?', '['];

/// How the record of a file, or of several, is read.
#[derive(Debug, Clone, Default)]
pub struct RecordSource {
    /// CSV files, folders of them, or patterns (`data/*.csv.gz`), all of one station.
    pub paths: Vec<PathBuf>,
    /// How their columns are to be understood, where the header does not say.
    pub mapping: Option<CsvMapping>,
    /// Where the station stands, where that is given beside the files: it goes before what they and their mapping say, and is
    /// checked against the readings as they are. Without an elevation, that of the mapping counts.
    pub site: Option<Site>,
}

impl RecordSource {
    /// The record of one file or folder, or of what a pattern fits.
    pub fn new(path: impl Into<PathBuf>, mapping: Option<CsvMapping>) -> RecordSource {
        RecordSource { paths: vec![path.into()], mapping, site: None }
    }

    /// The same files of a station that stands there, or where they say.
    #[must_use]
    pub fn at(self, site: Option<Site>) -> RecordSource {
        RecordSource { site, ..self }
    }

    /// The files, each once, by their paths.
    ///
    /// # Errors
    /// [`CsvError`] when a folder cannot be read or has no file, or a pattern fits none.
    pub fn files(&self) -> Result<Vec<PathBuf>, CsvError> {
        let mut all = Vec::new();
        for path in &self.paths {
            all.extend(files(path)?);
        }
        all.sort();
        // A file that is given by its name and by a pattern is one, whatever stands between them.
        let mut known = BTreeSet::new();
        all.retain(|path| known.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
        Ok(all)
    }

    /// Its name in messages: the path, or the first and how many more.
    pub(crate) fn label(&self) -> PathBuf {
        match self.paths.as_slice() {
            [] => PathBuf::new(),
            [one] => one.clone(),
            [first, more @ ..] => PathBuf::from(format!("{} and {} more", first.display(), more.len())),
        }
    }

    /// Its name in results: that of the file, without folders, and how many more.
    pub fn name(&self) -> String {
        let first = self.paths.first().and_then(|path| path.file_name());
        let first = first.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match self.paths.len() {
            0 | 1 => first,
            several => format!("{first} and {} more", several - 1),
        }
    }
}

/// The file, the files of a folder by name without those that are hidden, or the files that a pattern fits.
///
/// # Errors
/// [`CsvError`] when the folder cannot be read or has no file, or the pattern fits none.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, CsvError> {
    if path.is_dir() {
        return files_of_folder(path);
    }
    let pattern = path.to_str().filter(|text| text.contains(PATTERN));
    // A file whose name has such a character is a file.
    let Some(pattern) = pattern.filter(|_| !path.exists()) else { return Ok(vec![path.to_owned()]) };
    let failed = |message: String| CsvError::Pattern { pattern: pattern.to_owned(), message };
    let found = glob::glob(pattern).map_err(|error| failed(error.to_string()))?;
    let mut all = Vec::new();
    for entry in found {
        let entry = entry.map_err(|error| failed(error.to_string()))?;
        if entry.is_file() {
            all.push(entry);
        }
    }
    all.sort();
    if all.is_empty() { Err(failed("no file fits it".to_owned())) } else { Ok(all) }
}

fn files_of_folder(path: &Path) -> Result<Vec<PathBuf>, CsvError> {
    let failed = |source| CsvError::File { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        let is_hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if entry.is_file() && !is_hidden {
            files.push(entry);
        }
    }
    files.sort();
    if files.is_empty() { Err(CsvError::EmptyFolder(path.to_owned())) } else { Ok(files) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_folder_and_pattern_and_each_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["2019.csv", "2020.csv.gz", "[x].csv", "notes.txt"] {
            std::fs::write(at(name), "").unwrap();
        }
        std::fs::create_dir(at("more.csv")).unwrap();
        let names = |paths: &[PathBuf]| {
            let source = RecordSource { paths: paths.to_vec(), ..RecordSource::default() };
            source.files().map(|files| {
                files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
            })
        };
        let found: Vec<String> = names(&[at("20*"), at("./2019.csv"), at("2019.csv")]).unwrap();
        assert_eq!(found, ["2019.csv", "2020.csv.gz"]);
        // The pattern's name of the same file sorts behind that of another.
        let found: Vec<String> =
            names(&[at("more.csv/../2019.csv"), at("2019.csv"), at("2020.csv.gz")]).unwrap();
        assert_eq!(found, ["2019.csv", "2020.csv.gz"]);
        let found: Vec<String> = names(&[at("*.csv"), at("[x].csv")]).unwrap();
        assert_eq!(found, ["2019.csv", "[x].csv"], "a folder is no file, and a bracket may be a name");
        assert_eq!(names(&[folder.path().to_owned()]).unwrap().len(), 4);
        let error = names(&[at("2031*.csv")]).unwrap_err();
        assert!(error.to_string().ends_with("2031*.csv: no file fits it"), "{error}");
        assert!(names(&[at("[.csv")]).is_err());
    }

    #[test]
    fn several_files_have_the_name_of_the_first_and_say_how_many_more() {
        let source = |paths: &[&str]| RecordSource {
            paths: paths.iter().map(PathBuf::from).collect(),
            ..Default::default()
        };
        assert_eq!(source(&["a/b.csv"]).name(), "b.csv");
        assert_eq!(source(&["a/b.csv", "c.csv", "d.csv"]).name(), "b.csv and 2 more");
        assert_eq!(source(&["a/b.csv", "c.csv"]).label(), Path::new("a/b.csv and 1 more"));
    }
}
