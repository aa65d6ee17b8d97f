//! A source is appended to a configuration file, unless it stands there.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use toml_edit::{DocumentMut, Item, Table, Value};

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Appended {
    /// It was written.
    Written,
    /// The file has one for the same messages and the same station.
    StandsThere,
    /// The file has one for the same messages, which gives them to another station.
    Other(String),
}

/// Appends a `[[source]]` to the file, which is begun where there is none.
///
/// # Errors
/// When the file cannot be read or written, or is no TOML.
pub(super) fn append(path: &Path, source: &str) -> io::Result<Appended> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let [own] = &described(source)?[..] else { return Err(io::ErrorKind::InvalidData.into()) };
    let same = described(&text)?
        .into_iter()
        .find(|other| (&other.preset, &other.topics) == (&own.preset, &own.topics));
    match same {
        Some(other) if other.station == own.station => return Ok(Appended::StandsThere),
        Some(other) => return Ok(Appended::Other(other.station)),
        None => {}
    }
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // A last line without an end is ended first.
    let gap = match text.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    write!(file, "{gap}{source}")?;
    file.sync_all()?;
    Ok(Appended::Written)
}

/// What makes a source the same as another: the messages that it is for, and whose readings they are.
struct Described {
    preset: String,
    topics: BTreeSet<String>,
    station: String,
}

fn described(text: &str) -> io::Result<Vec<Described>> {
    let document: DocumentMut =
        text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let sources = document.get("source").and_then(Item::as_array_of_tables);
    let described = |table: &Table| {
        let text = |key: &str| table.get(key).and_then(Item::as_str).unwrap_or_default().to_owned();
        let topics = match table.get("topic").and_then(Item::as_value) {
            Some(Value::Array(topics)) => {
                topics.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(one) => one.as_str().map(str::to_owned).into_iter().collect(),
            None => BTreeSet::new(),
        };
        Described { preset: text("preset"), topics, station: text("station") }
    };
    Ok(sources.into_iter().flat_map(|tables| tables.iter()).map(described).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "[[source]]\npreset = \"tasmota\"\ntopic = [\"a\", \"b\"]\nstation = \"roof\"\n";

    #[test]
    fn a_source_is_appended_once_and_what_stood_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, "[log]\nlevel = \"warn\" # mine").unwrap();
        assert_eq!(append(&path, SOURCE).unwrap(), Appended::Written);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("[log]\nlevel = \"warn\" # mine\n\n{SOURCE}"));
        // In another order it is the same.
        let again = SOURCE.replace(r#"["a", "b"]"#, r#"["b", "a"]"#);
        assert_eq!(append(&path, &again).unwrap(), Appended::StandsThere);
        let renamed = SOURCE.replace("roof", "yard");
        assert_eq!(append(&path, &renamed).unwrap(), Appended::Other("roof".to_owned()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
        let further = SOURCE.replace("tasmota", "auto");
        assert_eq!(append(&path, &further).unwrap(), Appended::Written);
    }

    #[test]
    fn a_file_that_is_no_toml_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, "log = [").unwrap();
        assert_eq!(append(&path, SOURCE).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "log = [");
        assert_eq!(append(&folder.path().join("new.toml"), SOURCE).unwrap(), Appended::Written);
    }
}
