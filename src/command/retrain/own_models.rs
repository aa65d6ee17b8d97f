//! The files of `model.folder` that are written here: `STATION.YYYY-MM.onnx`, what a station got in a month. A new model stands
//! beside the one before, which has a record to lose; what is older than that is removed.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use forecastd_core::StationName;
use jiff::Timestamp;

use crate::model_location::is_model_file;

/// So many models of its own a station has at most: a new one, and the one before.
const OF_STATION: usize = 2;

/// The model files of the folder, by name.
pub(super) struct OwnModels {
    folder: PathBuf,
    names: BTreeSet<String>,
}

/// A station in a month, as its file is named.
pub(super) struct FileName {
    stem: String,
    month: String,
}

impl FileName {
    pub(super) fn new(station: &StationName, now: Timestamp) -> FileName {
        FileName { stem: file_stem(station), month: now.strftime("%Y-%m").to_string() }
    }

    fn of(&self, month: &str) -> String {
        format!("{}.{month}.onnx", self.stem)
    }

    /// The file's name.
    pub(super) fn file(&self) -> String {
        self.of(&self.month)
    }

    /// The name of the model in it: another one each month, as another model is an expert of its own.
    pub(super) fn model(&self) -> String {
        const MOST: usize = 64;
        let end = format!(".{}", self.month);
        let stem: String = self.stem.chars().take(MOST - end.len()).collect();
        stem + &end
    }

    /// The month of another file of the station.
    fn month_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        let month = name.strip_prefix(&self.stem)?.strip_prefix('.')?.strip_suffix(".onnx")?;
        let is_month = month.len() == self.month.len()
            && month.bytes().enumerate().all(|(at, byte)| match at {
                4 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        is_month.then_some(month)
    }
}

impl OwnModels {
    /// Those of a folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read(folder: &Path) -> std::io::Result<OwnModels> {
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().filter(|_| is_model_file(&path)).map(OsStr::to_string_lossy);
            names.extend(name.map(|name| name.into_owned()));
        }
        Ok(OwnModels { folder: folder.to_owned(), names })
    }

    /// How many files the daemon finds there.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The station's files of other months, from the oldest to the newest.
    fn others(&self, name: &FileName) -> Vec<String> {
        let mut months: Vec<&str> = self.names.iter().filter_map(|other| name.month_of(other)).collect();
        months.retain(|month| *month != name.month);
        months.sort_unstable();
        months.into_iter().map(|month| name.of(month)).collect()
    }

    /// The newest of the station's models.
    pub(super) fn newest(&self, name: &FileName) -> Option<&str> {
        let dated = self.names.iter().filter_map(|other| Some((name.month_of(other)?, other.as_str())));
        dated.max_by_key(|(month, _)| *month).map(|(_, other)| other)
    }

    /// The one of another month that stands beside that of this month.
    pub(super) fn before(&self, name: &FileName) -> Option<String> {
        self.others(name).pop()
    }

    /// Whether the daemon, which uses `most` files, would use the model that the station gets: all files, or the first by name
    /// of a folder that is too full already.
    pub(super) fn has_room(&self, name: &FileName, most: usize) -> bool {
        let mut names = self.names.clone();
        for other in self.surplus(name) {
            names.remove(&other);
        }
        names.insert(name.file());
        let is_used = || names.range(..name.file()).count() < most;
        names.len() <= most || names.len() <= self.len() && is_used()
    }

    /// Those of the station's files that are too much beside the one of this month.
    fn surplus(&self, name: &FileName) -> Vec<String> {
        let mut others = self.others(name);
        others.truncate((others.len() + 1).saturating_sub(OF_STATION));
        others
    }

    /// Takes note of the file that was written, and removes those of the station that are too much beside it. Their names.
    ///
    /// # Errors
    /// The name of what cannot be removed, and why.
    pub(super) fn written(&mut self, name: &FileName) -> Result<Vec<String>, (String, std::io::Error)> {
        self.names.insert(name.file());
        let surplus = self.surplus(name);
        for other in &surplus {
            match std::fs::remove_file(self.folder.join(other)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err((other.clone(), error));
                }
                _ => self.names.remove(other),
            };
        }
        Ok(surplus)
    }
}

/// A station's name as that of a file and a model, different for different stations: every byte that is neither a letter, a
/// digit, a dash nor a dot within it is an underscore and its two hexadecimal digits.
fn file_stem(station: &StationName) -> String {
    let mut stem = String::new();
    for &byte in station.as_str().as_bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && !stem.is_empty());
        if is_plain {
            stem.push(char::from(byte));
        } else {
            stem.push_str(&format!("_{byte:02x}"));
        }
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(station: &str, month: &str) -> FileName {
        let now: Timestamp = format!("{month}-15T12:00:00Z").parse().unwrap();
        FileName::new(&StationName::new(station).unwrap(), now)
    }

    fn folder(files: &[&str]) -> (tempfile::TempDir, OwnModels) {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), b"model").unwrap();
        }
        let models = OwnModels::read(folder.path()).unwrap();
        (folder, models)
    }

    /// A month goes by: the model is written, and what is too much is removed.
    fn write(folder: &Path, models: &mut OwnModels, name: &FileName) -> Vec<String> {
        std::fs::write(folder.join(name.file()), b"model").unwrap();
        models.written(name).unwrap()
    }

    fn files(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_new_model_stands_beside_the_one_before_and_the_one_before_that_goes() {
        let (folder, mut models) = folder(&["roof.onnx", "yard.2026-01.onnx", "notes.txt"]);
        let mut gone = Vec::new();
        for month in ["2025-12", "2026-01", "2026-01", "2026-02"] {
            gone.extend(write(folder.path(), &mut models, &name("roof", month)));
        }
        assert_eq!(gone, ["roof.2025-12.onnx"], "a second run of a month replaces its own");
        let left = ["notes.txt", "roof.2026-01.onnx", "roof.2026-02.onnx", "roof.onnx", "yard.2026-01.onnx"];
        assert_eq!(files(folder.path()), left, "what nobody here has written stays");
        assert_eq!(models.newest(&name("roof", "2026-02")), Some("roof.2026-02.onnx"));
    }

    #[test]
    fn with_a_clock_that_went_back_what_was_just_written_stays() {
        let (folder, mut models) = folder(&["roof.2026-01.onnx", "roof.2026-02.onnx"]);
        assert_eq!(write(folder.path(), &mut models, &name("roof", "2001-01")), ["roof.2026-01.onnx"]);
        assert_eq!(files(folder.path()), ["roof.2001-01.onnx", "roof.2026-02.onnx"]);
    }

    #[test]
    fn a_station_is_not_taken_for_another_whose_name_begins_like_it() {
        let (folder, mut models) = folder(&["roof.2026-01.onnx", "roof.2026-01.2026-02.onnx", "roof.x.onnx"]);
        write(folder.path(), &mut models, &name("roof", "2026-03"));
        assert!(write(folder.path(), &mut models, &name("roof.2026-01", "2026-03")).is_empty());
        assert_eq!(files(folder.path()).len(), 5);
    }

    #[test]
    fn the_room_that_a_model_takes_is_known_before_it_is_trained() {
        let (_folder, models) =
            folder(&["a.2026-01.onnx", "a.2026-02.onnx", "b.2026-02.onnx", ".hidden.onnx", "jena.onnx"]);
        let has_room = |station, month, most| models.has_room(&name(station, month), most);
        assert_eq!(models.len(), 4, "what the daemon passes over is not counted");
        assert!(has_room("a", "2026-02", 4) && has_room("a", "2026-03", 4), "one goes for each that comes");
        assert!(has_room("b", "2026-02", 4) && !has_room("b", "2026-03", 4) && has_room("b", "2026-03", 5));
        assert!(!has_room("c", "2026-03", 4));
        // Of a folder that is too full the first by name are used.
        assert!(has_room("a", "2026-03", 2) && !has_room("b", "2026-02", 2));
    }

    #[test]
    fn a_model_has_another_name_each_month_however_long_the_station_s_is() {
        let long = "é".repeat(30);
        let names = ["2026-01", "2026-02"].map(|month| name(&long, month).model());
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| forecastd_core::Manifest::is_name(name)), "{names:?}");
        assert_eq!(name("roof", "2026-01").model(), "roof.2026-01");
    }

    #[test]
    fn a_station_s_name_is_a_file_s_name_of_plain_letters() {
        let stem = |name: &str| file_stem(&StationName::new(name).unwrap());
        assert_eq!(stem("roof-1"), "roof-1");
        assert_eq!(stem("Dach Süd"), "Dach_20S_c3_bcd");
        assert_eq!(stem(".hidden"), "_2ehidden");
        assert_ne!(stem("a b"), stem("a_b"));
    }
}
