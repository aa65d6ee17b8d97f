//! What a file or the environment sets, with every fault in it.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike, Value};

use forecastd_core::StationName;

use super::ENVIRONMENT_PREFIX;
use super::diagnostic::Diagnostic;
use super::rules::Rule;
use super::schema::{Kind, Schema, name_of};
use super::suggestion::closest;

/// The section that every station's own place stands below.
const STATION: &str = "station";
/// The section whose keys those of single stations are.
const SITE: &str = "site";
/// The name of the list of sections that describe sources.
const SOURCE: &str = "source";

/// A key with a good value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The key with its section, `section.name`, whatever it is set by.
    pub key: String,
    /// What a person calls it: the key, or the environment variable.
    pub name: String,
    /// Its line in the file.
    pub line: Option<usize>,
    /// The value, of the kind that the key holds.
    pub value: config::Value,
}

/// What a file or the environment sets.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// The good values.
    pub entries: Vec<Entry>,
    /// The faults of the others.
    pub diagnostics: Vec<Diagnostic>,
    /// The keys, as `section.name`, of values with faults.
    pub faulty: Vec<String>,
    /// What `[station.NAME]` sets, by the station's name.
    pub stations: BTreeMap<String, Vec<Entry>>,
}

impl Layer {
    /// What the text of a file sets.
    pub(super) fn of_file(schema: &Schema, text: &str) -> Layer {
        let mut layer = Layer::default();
        let lines = Lines::new(text);
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = error.span().map(|span| lines.at(&span));
                let message = error.message().trim().replace('\n', ", ");
                layer.diagnostics.push(Diagnostic::of_file(line, format!("is no TOML: {message}")));
                return layer;
            }
        };
        for (section, key, item) in entries(document.as_table()) {
            let line = lines.of(key, item);
            if section == STATION {
                layer.take_stations(schema, &lines, line, item);
                continue;
            }
            // A list of sections, each with a description of its own.
            if section == SOURCE && item.is_array_of_tables() {
                continue;
            }
            if !schema.sections().any(|known| known == section) {
                let suggestion = closest(section, schema.sections()).map(str::to_owned);
                layer.refuse(section, section, line, unknown("section", suggestion));
                continue;
            }
            let Some(table) = item.as_table_like() else {
                let message = format!("must be a section, not {}", name_of(item));
                layer.refuse(section, section, line, message);
                continue;
            };
            for (name, key, item) in entries(table) {
                let line = lines.of(key, item);
                let key = format!("{section}.{name}");
                match schema.kind(&key) {
                    None => {
                        let suggestion =
                            suggest(schema, section, name).map(|name| format!("{section}.{name}"));
                        layer.refuse(&key, &key, line, unknown("key", suggestion));
                    }
                    Some(kind) => layer.take(&key, &key, line, read(kind, item)),
                }
            }
        }
        layer
    }

    /// What the variables that begin with [`ENVIRONMENT_PREFIX`] set.
    pub(super) fn of_environment(schema: &Schema, variables: &[(String, String)]) -> Layer {
        let mut layer = Layer::default();
        for (variable, text) in variables {
            let Some(rest) = variable.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let key = rest.to_lowercase().replacen("__", ".", 1);
            match schema.kind(&key) {
                None => {
                    let suggestion = closest(&key, schema.keys())
                        .map(|key| format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").to_uppercase()));
                    layer.refuse(&key, variable, None, unknown("key", suggestion));
                }
                Some(kind) => layer.take(&key, variable, None, parse(kind, text)),
            }
        }
        layer.diagnostics.sort_by(|left, right| left.key.cmp(&right.key));
        layer
    }

    /// What the tables of single stations set: the keys of `[site]`, each for one station.
    fn take_stations(&mut self, schema: &Schema, lines: &Lines, line: Option<usize>, item: &Item) {
        let Some(stations) = item.as_table_like() else {
            let message = format!("must be a section by station, [{STATION}.NAME], not {}", name_of(item));
            return self.refuse(STATION, STATION, line, message);
        };
        for (station, key, item) in entries(stations) {
            let line = lines.of(key, item);
            let section = format!("{STATION}.{station}");
            let Some(table) = item.as_table_like().filter(|_| StationName::new(station).is_ok()) else {
                let message = match StationName::new(station) {
                    Ok(_) => format!("must be a section, not {}", name_of(item)),
                    Err(error) => error.to_string(),
                };
                self.refuse(&section, &section, line, message);
                continue;
            };
            for (name, key, item) in entries(table) {
                let line = lines.of(key, item);
                let named = format!("{section}.{name}");
                let like = format!("{SITE}.{name}");
                let Some(kind) = schema.kind(&like) else {
                    let meant = suggest(schema, SITE, name).map(|name| format!("{section}.{name}"));
                    self.refuse(&named, &named, line, unknown("key", meant));
                    continue;
                };
                match validated(&like, read(kind, item)) {
                    Ok(scalar) => {
                        let value = scalar.into_value();
                        let entry = Entry { key: name.to_owned(), name: named, line, value };
                        self.stations.entry(station.to_owned()).or_default().push(entry);
                    }
                    Err(message) => self.refuse(&named, &named, line, message),
                }
            }
        }
    }

    fn refuse(&mut self, key: &str, name: &str, line: Option<usize>, message: String) {
        self.faulty.push(key.to_owned());
        self.diagnostics.push(Diagnostic { key: name.to_owned(), line, message });
    }

    fn take(&mut self, key: &str, name: &str, line: Option<usize>, read: Result<Scalar, String>) {
        match validated(key, read) {
            Ok(scalar) => {
                let value = scalar.into_value();
                self.entries.push(Entry { key: key.to_owned(), name: name.to_owned(), line, value });
            }
            Err(message) => self.refuse(key, name, line, message),
        }
    }
}

/// The value of a key, if its rule has no objection.
fn validated(key: &str, read: Result<Scalar, String>) -> Result<Scalar, String> {
    read.and_then(|scalar| {
        let objection = Rule::find(key).and_then(|rule| scalar.validate(rule));
        objection.map_or(Ok(scalar), Err)
    })
}

/// A value of one of the kinds that keys hold.
enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

impl Scalar {
    fn validate(&self, rule: &Rule) -> Option<String> {
        match self {
            Scalar::Text(text) => rule.validate_text(text),
            Scalar::Integer(number) => rule.validate_integer(*number),
            Scalar::Number(number) => rule.validate_float(*number),
            Scalar::Boolean(_) => None,
        }
    }

    fn into_value(self) -> config::Value {
        match self {
            Scalar::Text(text) => text.into(),
            Scalar::Integer(number) => number.into(),
            Scalar::Number(number) => number.into(),
            Scalar::Boolean(truth) => truth.into(),
        }
    }
}

/// The value that stands in a file.
fn read(kind: Kind, item: &Item) -> Result<Scalar, String> {
    match (kind, item.as_value()) {
        (Kind::Text, Some(Value::String(text))) => Ok(Scalar::Text(text.value().clone())),
        (Kind::Integer | Kind::Number, Some(Value::Integer(number))) => Ok(Scalar::Integer(*number.value())),
        (Kind::Number, Some(Value::Float(number))) => Ok(Scalar::Number(*number.value())),
        (Kind::Boolean, Some(Value::Boolean(truth))) => Ok(Scalar::Boolean(*truth.value())),
        // The value itself is not shown: it may be a password.
        _ => Err(format!("must be {}, not {}", kind.name(), name_of(item))),
    }
}

/// The value of an environment variable.
fn parse(kind: Kind, text: &str) -> Result<Scalar, String> {
    let trimmed = text.trim();
    let integer = || trimmed.parse().ok().map(Scalar::Integer);
    let scalar = match kind {
        Kind::Text => Some(Scalar::Text(text.to_owned())),
        Kind::Integer => integer(),
        Kind::Number => integer().or_else(|| trimmed.parse().ok().map(Scalar::Number)),
        Kind::Boolean => trimmed.to_lowercase().parse().ok().map(Scalar::Boolean),
    };
    scalar.ok_or_else(|| format!("must be {}, not {text:?}", kind.name()))
}

fn unknown(what: &str, suggestion: Option<String>) -> String {
    match suggestion {
        Some(suggestion) => format!("unknown {what}; did you mean {suggestion}?"),
        None => format!("unknown {what}"),
    }
}

/// The name in `section` closest to `typed`.
fn suggest<'schema>(schema: &'schema Schema, section: &str, typed: &str) -> Option<&'schema str> {
    let names = schema.keys().filter_map(|key| key.split_once('.'));
    closest(typed, names.filter(|(known, _)| *known == section).map(|(_, name)| name))
}

/// Name, key and value of everything in a table.
fn entries(table: &dyn TableLike) -> impl Iterator<Item = (&str, Option<&Key>, &Item)> {
    table.iter().map(|(name, item)| (name, table.key(name), item))
}

/// Where the lines of a text begin, so that the line of each of very many keys costs no walk over the text.
struct Lines {
    /// The places of the line feeds, rising.
    ends: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Lines {
        let bytes = text.bytes().enumerate();
        Lines { ends: bytes.filter(|(_, byte)| *byte == b'\n').map(|(place, _)| place).collect() }
    }

    /// Where a key stands, or at least its value.
    fn of(&self, key: Option<&Key>, item: &Item) -> Option<usize> {
        let span = key.and_then(Key::span).or_else(|| item.span())?;
        Some(self.at(&span))
    }

    /// The line of a place, counted from 1.
    fn at(&self, span: &Range<usize>) -> usize {
        self.ends.partition_point(|end| *end < span.start) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_on_the_line_after_the_line_feeds_before_it() {
        let text = "\na = 1\r\n\n[b]\nü = 2";
        let lines = Lines::new(text);
        for start in 0..=text.len() {
            let feeds = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(lines.at(&(start..start)), feeds + 1, "byte {start}");
        }
    }

    #[test]
    fn a_file_of_a_hundred_thousand_stations_is_read_with_the_line_of_each_key() {
        let sections = (0..100_000).map(|number| format!("[station.s{number}]\nlatitude_deg = 50\n"));
        let layer = Layer::of_file(&Schema::of_default(), &sections.collect::<String>());
        assert_eq!((layer.diagnostics.len(), layer.stations.len()), (0, 100_000));
        for number in [0, 1, 99_999] {
            let [entry] = &layer.stations[&format!("s{number}")][..] else { panic!("station {number}") };
            assert_eq!(entry.line, Some(2 * number + 2));
        }
    }
}
