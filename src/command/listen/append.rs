//! Sources are appended to a configuration file, unless they stand there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use forecastd_atomic_file::AtomicFile;
use forecastd_mapping::Source;
use toml_edit::{DocumentMut, Item, Table, Value};

/// A configuration is not larger, in bytes.
const MOST_BYTES: u64 = 1 << 20;

/// What became of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Appended {
    /// It was written.
    Written,
    /// The file has one for the same messages and the same station.
    StandsThere,
    /// The file has one for the same messages, which gives them to another station.
    Other(String),
    /// The file has one for some of the messages; these topics are not in it.
    Partly(Vec<String>),
}

/// Appends each `[[source]]` that the file has not; it is begun where there is none, and stays as it was when it cannot be written
/// whole.
///
/// # Errors
/// When the file cannot be read or written, is too large, no file or no TOML.
pub(super) fn append(path: &Path, sources: &[String]) -> io::Result<Vec<Appended>> {
    let mut text = read(path)?;
    let mut there = described(&text)?;
    let mut appended = Vec::new();
    for source in sources {
        let own = described(source)?.pop().ok_or(io::ErrorKind::InvalidData)?;
        let became = own.beside(&there);
        if became == Appended::Written {
            // A last line without an end is ended first.
            text += match text.as_str() {
                "" => "",
                text if text.ends_with('\n') => "\n",
                _ => "\n\n",
            };
            text += source;
            there.push(own);
        }
        appended.push(became);
    }
    if appended.contains(&Appended::Written) {
        let mut file = AtomicFile::create(path).map_err(|error| error.source)?;
        file.keep_access().map_err(|error| error.source)?;
        file.write_all(text.as_bytes())?;
        file.commit().map_err(|error| error.source)?;
    }
    Ok(appended)
}

/// The text of the file, of none where there is none. Whoever may not write to it is told so here, though a file could be put in
/// its place.
fn read(path: &Path) -> io::Result<String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
        // Before it is opened, which may already wait for ever.
        Ok(metadata) if !metadata.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(_) => {}
    }
    let file = File::options().read(true).append(true).open(path)?;
    let mut text = String::new();
    file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "has more than 1 MiB, as no configuration has",
        ));
    }
    Ok(text)
}

/// What makes a source the same as another: the messages that it is for, and whose readings they are.
struct Described {
    preset: String,
    topics: BTreeSet<String>,
    station: String,
    /// The source itself, which knows patterns and the topics of its preset, where the file is without fault.
    source: Option<Source>,
}

impl Described {
    /// Whether a topic is one of its: as it is written, or by a pattern.
    fn has(&self, topic: &str) -> bool {
        self.topics.contains(topic) || self.source.as_ref().is_some_and(|source| source.has_topic(topic))
    }

    /// What becomes of it beside others.
    fn beside(&self, others: &[Described]) -> Appended {
        let mut of_preset = others.iter().filter(|other| other.preset == self.preset);
        if of_preset.clone().any(|other| other.topics == self.topics && other.station == self.station) {
            return Appended::StandsThere;
        }
        let meets = |other: &&Described| {
            other.topics == self.topics || self.topics.iter().any(|topic| other.has(topic))
        };
        let Some(other) = of_preset.find(meets) else { return Appended::Written };
        // Where the file says no station, the payload does.
        if !other.station.is_empty() && other.station != self.station {
            return Appended::Other(other.station.clone());
        }
        let further: Vec<String> = self.topics.iter().filter(|topic| !other.has(topic)).cloned().collect();
        if further.is_empty() { Appended::StandsThere } else { Appended::Partly(further) }
    }
}

fn described(text: &str) -> io::Result<Vec<Described>> {
    let document: DocumentMut =
        text.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let sources = document.get("source").and_then(Item::as_array_of_tables);
    let all = Source::read_all(text).unwrap_or_default();
    let described = |(index, table): (usize, &Table)| {
        let text = |key: &str| table.get(key).and_then(Item::as_str).unwrap_or_default().to_owned();
        let topics = match table.get("topic").and_then(Item::as_value) {
            Some(Value::Array(topics)) => {
                topics.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Some(one) => one.as_str().map(str::to_owned).into_iter().collect(),
            None => BTreeSet::new(),
        };
        let source = all.get(index).cloned();
        Described { preset: text("preset"), topics, station: text("station"), source }
    };
    Ok(sources.into_iter().flat_map(|tables| tables.iter()).enumerate().map(described).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "[[source]]\npreset = \"tasmota\"\ntopic = [\"a\", \"b\"]\nstation = \"roof\"\n";

    fn one(path: &Path, source: &str) -> io::Result<Appended> {
        append(path, &[source.to_owned()]).map(|appended| appended[0].clone())
    }

    #[test]
    fn a_source_is_appended_once_and_what_stood_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, "[log]\nlevel = \"warn\" # mine").unwrap();
        assert_eq!(one(&path, SOURCE).unwrap(), Appended::Written);
        let written = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, format!("[log]\nlevel = \"warn\" # mine\n\n{SOURCE}"));
        // In another order it is the same.
        let again = SOURCE.replace(r#"["a", "b"]"#, r#"["b", "a"]"#);
        assert_eq!(one(&path, &again).unwrap(), Appended::StandsThere);
        let renamed = SOURCE.replace("roof", "yard");
        assert_eq!(one(&path, &renamed).unwrap(), Appended::Other("roof".to_owned()));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), written);
        let further = SOURCE.replace("tasmota", "auto");
        assert_eq!(one(&path, &further).unwrap(), Appended::Written);
    }

    #[test]
    fn a_file_that_is_no_toml_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, "log = [").unwrap();
        assert_eq!(one(&path, SOURCE).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "log = [");
        assert_eq!(one(&folder.path().join("new.toml"), SOURCE).unwrap(), Appended::Written);
    }

    #[test]
    fn of_several_sources_those_that_are_not_there_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        let yard = SOURCE.replace(r#"["a", "b"]"#, "\"c\"").replace("roof", "yard");
        one(&path, SOURCE).unwrap();
        let both = [SOURCE.to_owned(), yard.clone(), yard.clone()];
        let expected = [Appended::StandsThere, Appended::Written, Appended::StandsThere];
        assert_eq!(append(&path, &both).unwrap(), expected);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{SOURCE}\n{yard}"));
        // Some of its topics are there: two sources would read them.
        let [fewer, more] =
            [r#"["a"]"#, r#"["a", "d"]"#].map(|topics| SOURCE.replace(r#"["a", "b"]"#, topics));
        assert_eq!(one(&path, &fewer).unwrap(), Appended::StandsThere);
        assert_eq!(one(&path, &more).unwrap(), Appended::Partly(vec!["d".to_owned()]));
        let of_another = more.replace("roof", "yard");
        assert_eq!(one(&path, &of_another).unwrap(), Appended::Other("roof".to_owned()));
    }

    #[test]
    fn a_topic_that_a_pattern_or_the_preset_has_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        let heard = "[[source]]\npreset = \"tasmota\"\ntopic = \"tele/roof/SENSOR\"\nstation = \"roof\"\n";
        for there in ["", "topic = \"tele/+/SENSOR\"\n", "topic = [\"x\", \"tele/#\"]\n"] {
            std::fs::write(&path, format!("[[source]]\npreset = \"tasmota\"\n{there}")).unwrap();
            assert_eq!(one(&path, heard).unwrap(), Appended::StandsThere, "{there}");
        }
        std::fs::write(&path, "[[source]]\npreset = \"tasmota\"\ntopic = \"stat/+/SENSOR\"\n").unwrap();
        assert_eq!(one(&path, heard).unwrap(), Appended::Written);
    }

    #[test]
    fn what_cannot_be_a_configuration_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        for path in [Path::new("/dev/full"), Path::new("/dev/zero"), folder.path()] {
            assert_eq!(
                one(path, SOURCE).unwrap_err().to_string(),
                "not a regular file",
                "{}",
                path.display()
            );
        }
        let path = folder.path().join("large.toml");
        // A hole takes no room on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(one(&path, SOURCE).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 1 << 40);
    }

    /// Its owner may have written a password into it.
    #[test]
    fn who_may_read_the_file_stays_as_it_was() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("forecastd.toml");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(one(&path, SOURCE).unwrap(), Appended::Written);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
