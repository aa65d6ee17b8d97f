//! The description of a source as it is written: TOML, read by serde.
//!
//! ```toml
//! # A CSV file.
//! station = "cambridge"
//! site = { latitude_deg = 52.21, longitude_deg = 0.09 }
//! time = { column = ["date", "hour"], format = "%Y%m%d %H", time_zone = "Europe/London" }
//! missing = ["M", -999]
//! [columns]
//! "T" = { quantity = "air_temperature", unit = "0.1 degC" }
//! ```
//!
//! ```toml
//! # Payloads of MQTT.
//! topic = "tele/{station}/SENSOR"
//! time = { at = "/Time", time_zone = "Europe/Berlin" }
//! [[value]]
//! at = "/BME280*/Temperature"
//! quantity = "air_temperature"
//! unit = { at = "/TempUnit" }
//! ```
//!
//! ```toml
//! # Payloads that say where the station stands.
//! topic = "buoys/{station}"
//! place = { latitude = "/position/lat", longitude = "/position/lon", elevation = "/position/alt" }
//! [[value]]
//! at = "/air"
//! quantity = "air_temperature"
//! unit = "degC"
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use forecastd_core::Site;

use crate::names::nearest;
use crate::text::Text;

/// One, or several, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub enum OneOrMany<T> {
    /// The value alone, without a list.
    One(T),
    /// A list, as it is written.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// All of them.
    pub fn as_slice(&self) -> &[T] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

/// An array is several, anything else is one: so that a fault is that of what stands there.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<T>, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("one, or an array of several")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<OneOrMany<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(access)).map(OneOrMany::Many)
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<OneOrMany<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(access)).map(OneOrMany::One)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OneOrMany<T>, E> {
                T::deserialize(text.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<OneOrMany<T>, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::One)
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<OneOrMany<T>, E> {
                T::deserialize(number.into_deserializer()).map(OneOrMany::One)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Conditions: under each name one of the texts must stand.
pub type Conditions = BTreeMap<String, OneOrMany<Text>>;

/// How text becomes quantities.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The preset that this starts from; what stands beside it goes before.
    #[serde(default)]
    pub preset: Option<String>,
    /// Topics of MQTT, with `{station}` for the level that names the station, `+` and `#`.
    #[serde(default)]
    pub topic: Option<OneOrMany<String>>,
    /// Names the station, where no topic does.
    #[serde(default)]
    pub station: Option<StationRule>,
    /// Where it stands.
    #[serde(default)]
    pub site: Option<Site>,
    /// Where a message says where it stands.
    #[serde(default)]
    pub place: Option<PlaceRule>,
    /// Its height above the sea, in metres: pressure reduced to sea level is brought back to it.
    #[serde(default)]
    pub elevation_m: Option<f64>,
    /// When it was measured; several are tried in order.
    #[serde(default)]
    pub time: Option<OneOrMany<TimeRule>>,
    /// What stands for a value that is missing, in any place.
    #[serde(default)]
    pub missing: Vec<Text>,
    /// What must stand in the message or row for it to be taken.
    #[serde(default, rename = "where")]
    pub only: Conditions,
    /// Values by the name of their column.
    #[serde(default)]
    pub columns: BTreeMap<String, ValueRule>,
    /// Values in order; of several of one quantity the first that is there is taken.
    #[serde(default, rename = "value")]
    pub values: Vec<ValueRule>,
    /// Whether messages hold a part of a reading each, or come every few seconds: they are merged into the slots of the time
    /// grid.
    #[serde(default)]
    pub merge: Option<bool>,
    /// What is suspicious in a file and is right all the same: names of quantities, `time`, `station`.
    #[serde(default)]
    pub sure: Vec<String>,
    /// How the lines of a file are taken apart.
    #[serde(default)]
    pub table: TableRule,
}

/// The station's name, or where it stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum StationRule {
    /// The name itself, the same for every message.
    Name(String),
    /// Where its name stands in the payload; several are joined with `-`.
    At {
        /// JSON pointers to the name, or to its pieces in order.
        at: OneOrMany<String>,
    },
}

/// Where in a message its station's place stands, as JSON pointers: degrees north, degrees east, metres above the sea.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceRule {
    /// JSON pointers to the latitude, degrees north, tried in order.
    pub latitude: OneOrMany<String>,
    /// JSON pointers to the longitude, degrees east, tried in order.
    pub longitude: OneOrMany<String>,
    /// Elevation, where it is there.
    #[serde(default)]
    pub elevation: Option<OneOrMany<String>>,
}

/// The name of a column, or its position from 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// Its position, counted from 1.
    Position(usize),
    /// Its name in the header.
    Name(String),
}

/// Where a time stands and how it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeRule {
    /// The columns it stands in; several are joined with a space.
    #[serde(default)]
    pub column: Option<OneOrMany<Column>>,
    /// The JSON pointers it stands at; several are joined with a space.
    #[serde(default)]
    pub at: Option<OneOrMany<String>>,
    /// `auto`, `rfc3339`, `epoch`, `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern of `strftime`; several are
    /// tried in order. By default `auto`.
    #[serde(default)]
    pub format: Option<OneOrMany<String>>,
    /// The offset of the written time from UTC, `+01:00`.
    #[serde(default)]
    pub utc_offset: Option<String>,
    /// The zone of the written time, `Europe/Berlin`.
    #[serde(default)]
    pub time_zone: Option<String>,
}

/// One value: where it stands, what it is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueRule {
    /// CF standard name, or one of the usual names.
    pub quantity: String,
    /// JSON pointers, tried in order; `*` in a level stands for any text, a level `*` for any key or position.
    #[serde(default)]
    pub at: Option<OneOrMany<String>>,
    /// The topics in whose payload it stands, with `+`, `#` and `*`; without `at` the whole payload is the value.
    #[serde(default)]
    pub topic: Option<OneOrMany<String>>,
    /// The topics among these in which it does not stand.
    #[serde(default)]
    pub except: Option<OneOrMany<String>>,
    /// The column, by name or position.
    #[serde(default)]
    pub column: Option<Column>,
    /// Which of several columns of one name, counted from 1.
    #[serde(default)]
    pub occurrence: Option<usize>,
    /// Which of several parts of the text between commas, counted from 1.
    #[serde(default)]
    pub part: Option<usize>,
    /// Its unit; absent for the one in the column's name, or the canonical unit.
    #[serde(default)]
    pub unit: Option<UnitRule>,
    /// What the number is multiplied with before its unit counts.
    #[serde(default)]
    pub scale: Option<f64>,
    /// What stands for a missing value.
    #[serde(default)]
    pub missing: Vec<Text>,
    /// What must stand beside it: columns of the row, keys of the same object, or JSON pointers.
    #[serde(default, rename = "where")]
    pub only: Conditions,
}

/// A unit, or where it stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum UnitRule {
    /// The name of the unit, the same for every value.
    Name(String),
    /// Where it stands: a JSON pointer, or a key of the same object.
    At {
        /// The JSON pointer or the key of the same object.
        at: String,
        /// The units that the texts there stand for; absent where they are names of units.
        #[serde(default)]
        is: BTreeMap<String, String>,
    },
}

/// How the lines of a file are taken apart.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRule {
    /// Lines before the header; by default those before the first that has the columns of the time.
    #[serde(default)]
    pub skip_lines: Option<usize>,
    /// Rows of the header, whose names are joined with a space; 0 where there is none.
    #[serde(default)]
    pub header_rows: Option<usize>,
    /// What stands between cells: `,`, `;`, `|`, `tab`, or `blank` for any run of blanks; by default what the header has
    /// most of.
    #[serde(default)]
    pub delimiter: Option<String>,
}

/// Why a text is no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct DescriptionError {
    /// The line that is wrong, counted from 1, where one is.
    pub line: Option<usize>,
    /// What the parser of TOML says of it, in one line; of a key that is not known with the one that may be meant.
    pub message: String,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// [`DescriptionError`], the first found.
    pub fn parse(text: &str) -> Result<Description, DescriptionError> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            DescriptionError { line, message: message_of(&error) }
        })
    }
}

/// What is wrong, in one line, with what may be meant.
pub(crate) fn message_of(error: &toml::de::Error) -> String {
    with_suggestion(&in_words(&in_one_line(error.message())))
}

/// What is expected, as it is written, where the parser names one of our types.
fn in_words(message: &str) -> String {
    const PLACES: &str = "{ latitude = \"/lat\", longitude = \"/lon\" }";
    const TYPES: [(&str, &str); 9] = [
        ("struct PlaceRule", PLACES),
        ("struct Site", "{ latitude_deg = 50.9, longitude_deg = 11.6 }"),
        ("struct TimeRule", "{ at = \"/time\", time_zone = \"Europe/Berlin\" }"),
        ("struct ValueRule", "{ quantity = \"air_temperature\", unit = \"degC\" }"),
        ("struct TableRule", "{ skip_lines = 2, delimiter = \";\" }"),
        (
            "data did not match any variant of untagged enum StationRule",
            "expected a name, or { at = \"/model\" }",
        ),
        (
            "data did not match any variant of untagged enum UnitRule",
            "expected a unit, or { at = \"/unit\" }",
        ),
        (
            "data did not match any variant of untagged enum Column",
            "expected the name of a column, or its position",
        ),
        (
            "data did not match any variant of untagged enum Text",
            "expected a text, a number, or { between = [0, 100] }",
        ),
    ];
    TYPES.iter().fold(message.to_owned(), |message, (ours, words)| message.replace(ours, words))
}

fn in_one_line(message: &str) -> String {
    message.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// Adds what may be meant to ``unknown field `x`, expected one of `a`, `b` ``.
fn with_suggestion(message: &str) -> String {
    const OTHER_NAMES: [(&str, &str); 6] = [
        ("skip_rows", "skip_lines"),
        ("skiprows", "skip_lines"),
        ("timezone", "time_zone"),
        ("tz", "time_zone"),
        ("separator", "delimiter"),
        ("altitude", "elevation_m"),
    ];
    const KEYS: [&str; 31] = [
        "preset",
        "topic",
        "except",
        "station",
        "site",
        "place",
        "latitude",
        "longitude",
        "elevation",
        "elevation_m",
        "time",
        "missing",
        "where",
        "columns",
        "value",
        "table",
        "merge",
        "sure",
        "column",
        "at",
        "format",
        "utc_offset",
        "time_zone",
        "quantity",
        "occurrence",
        "part",
        "unit",
        "scale",
        "skip_lines",
        "header_rows",
        "delimiter",
    ];
    let Some(unknown) = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next())
    else {
        return message.to_owned();
    };
    let lower = unknown.to_lowercase();
    let known = OTHER_NAMES.iter().find(|(other, _)| *other == lower).map(|(_, key)| *key);
    let near = || nearest(unknown, KEYS.into_iter().map(|key| (key, key))).into_iter().next();
    match known.or_else(near) {
        // A table of its own holds these.
        Some(key @ ("skip_lines" | "header_rows" | "delimiter"))
            if !message.contains(&format!("`{key}`")) =>
        {
            format!("{message}: did you mean {key:?} under [table]?")
        }
        Some(key @ ("time_zone" | "utc_offset" | "format")) if !message.contains(&format!("`{key}`")) => {
            format!("{message}: did you mean {key:?} under [time]?")
        }
        Some(key) => format!("{message}: did you mean {key:?}?"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_gets_a_suggestion_and_its_line() {
        for (text, line, suggestion) in [
            ("skip_rows = 2\n[columns]\n", 1, "\"skip_lines\" under [table]"),
            ("[columns]\n\n[time]\ncolumn = \"t\"\ntimezone = \"UTC\"\n", 5, "\"time_zone\"?"),
            ("[columns]\n\"T\" = { quantity = \"air_temperature\", units = \"K\" }\n", 2, "\"unit\"?"),
        ] {
            let error = Description::parse(text).unwrap_err();
            assert_eq!(error.line, Some(line), "{error}");
            let error = error.to_string();
            let begins = format!("line {line}: unknown field");
            assert!(error.starts_with(&begins) && error.contains(suggestion), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_is_expected_is_said_as_it_is_written_and_not_by_a_type() {
        for (text, expected) in [
            ("place = \"/lat\"", "{ latitude = "),
            ("site = \"50.9, 11.6\"", "{ latitude_deg = 50.9"),
            ("time = \"/time\"", "{ at = \"/time\""),
            ("time = 7", "{ at = \"/time\""),
            ("table = 2", "{ skip_lines = 2"),
            ("station = 7", "expected a name, or { at = "),
            ("missing = [true]", "expected a text, a number"),
            ("[[value]]\nquantity = \"t\"\nunit = 7", "expected a unit, or"),
            ("[[value]]\nquantity = \"t\"\ncolumn = true", "expected the name of a column"),
            ("value = [\"/t\"]", "{ quantity = \"air_temperature\""),
            ("columns = { T = \"temperature\" }", "{ quantity = \"air_temperature\""),
        ] {
            let error = Description::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("struct ") && !error.contains("untagged"), "{text}: {error}");
        }
    }

    #[test]
    fn the_examples_of_the_manual_are_read() {
        let manual = include_str!("description.rs");
        let examples: Vec<String> = manual
            .split("//! ```toml\n")
            .skip(1)
            .map(|rest| rest.split("//! ```").next().unwrap().replace("//! ", ""))
            .collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            crate::Mapping::parse(&example).unwrap();
        }
    }
}
