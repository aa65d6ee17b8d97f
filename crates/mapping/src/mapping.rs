//! A mapping: a description whose names are looked up.

use std::collections::BTreeMap;

use forecastd_core::{Quantity, Site, Unit};
use jiff::tz::TimeZone;

use crate::clock::{offset, zone};
use crate::description::{
    Column, Conditions, Description, OneOrMany, StationRule, TableRule, TimeRule, UnitRule, ValueRule,
};
use crate::measured::Measured;
use crate::names;
use crate::place::{Pointer, TopicPattern};
use crate::preset;
use crate::text::Text;
use crate::time::TimeFormat;

/// What a preset has for the zone of times that are in the station's own.
pub(crate) const NEEDED_ZONE: &str = "needed";

/// Why a description is no mapping: every fault of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .faults.join("; "))]
pub struct MappingError {
    /// What is wrong, one fault each.
    pub faults: Vec<String>,
}

/// A description whose names are looked up.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub(crate) name: Option<String>,
    pub(crate) topics: Vec<TopicPattern>,
    pub(crate) station: Option<Station>,
    pub(crate) site: Option<Site>,
    pub(crate) reported_site: Option<ReportedSite>,
    pub(crate) elevation_m: Option<f64>,
    pub(crate) times: Vec<Time>,
    pub(crate) missing: Vec<Text>,
    pub(crate) only: Vec<Condition>,
    pub(crate) values: Vec<Value>,
    pub(crate) merges: bool,
    pub(crate) sure: Vec<String>,
    pub(crate) table: TableRule,
}

#[derive(Debug, Clone)]
pub(crate) enum Station {
    Name(String),
    At(Vec<Pointer>),
}

/// Where a message says where its station stands.
#[derive(Debug, Clone)]
pub(crate) struct ReportedSite {
    pub(crate) latitude: Vec<Pointer>,
    pub(crate) longitude: Vec<Pointer>,
    pub(crate) elevation: Vec<Pointer>,
}

#[derive(Debug, Clone)]
pub(crate) struct Time {
    pub(crate) columns: Vec<Column>,
    pub(crate) at: Vec<Pointer>,
    /// Empty for the default.
    pub(crate) formats: Vec<TimeFormat>,
    pub(crate) zone: Option<TimeZone>,
}

#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) measured: Measured,
    pub(crate) at: Vec<Pointer>,
    pub(crate) topics: Vec<TopicPattern>,
    pub(crate) except: Vec<TopicPattern>,
    pub(crate) column: Option<Column>,
    pub(crate) occurrence: Option<usize>,
    pub(crate) part: Option<usize>,
    pub(crate) unit: UnitSource,
    pub(crate) scale: f64,
    pub(crate) missing: Vec<Text>,
    pub(crate) only: Vec<Condition>,
    /// Whether a file may lack its column: it is a preset's.
    pub(crate) is_optional: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum UnitSource {
    /// The unit in the column's name, or the canonical one.
    NotSaid,
    Unit(Unit),
    At {
        place: Place,
        is: BTreeMap<String, Unit>,
    },
}

/// A JSON pointer, or a key beside the value, or a column.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Pointer(Pointer),
    Beside(String),
}

impl Place {
    fn parse(text: &str) -> Place {
        Pointer::parse(text).map_or_else(|_| Place::Beside(text.to_owned()), Place::Pointer)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) texts: Vec<Text>,
}

impl Mapping {
    /// Reads a description in TOML and looks up what it names.
    ///
    /// # Errors
    /// [`MappingError`] with every fault of it.
    pub fn parse(text: &str) -> Result<Mapping, MappingError> {
        let description =
            Description::parse(text).map_err(|error| MappingError { faults: vec![error.to_string()] })?;
        Mapping::new(&description)
    }

    /// Looks up what a description names.
    ///
    /// # Errors
    /// [`MappingError`] with every fault of it.
    pub fn new(description: &Description) -> Result<Mapping, MappingError> {
        let mut faults = Vec::new();
        // What a preset adds stands behind what the description itself has.
        let own_values = description.values.len();
        let own_columns = &description.columns;
        let merged;
        let description = match &description.preset {
            None => description,
            Some(name) => match preset::description(name) {
                Ok(base) => {
                    merged = preset::over(base, description);
                    &merged
                }
                Err(fault) => return Err(MappingError { faults: vec![fault] }),
            },
        };
        let station = description.station.as_ref().map(|station| match station {
            StationRule::Name(name) => Station::Name(name.clone()),
            StationRule::At { at } => Station::At(pointers(Some(at), &mut faults)),
        });
        let reported_site = description.place.as_ref().map(|rule| ReportedSite {
            latitude: pointers(Some(&rule.latitude), &mut faults),
            longitude: pointers(Some(&rule.longitude), &mut faults),
            elevation: pointers(rule.elevation.as_ref(), &mut faults),
        });
        let rules = description.time.as_ref().map_or(&[][..], OneOrMany::as_slice);
        let times = rules.iter().map(|rule| time(rule, &mut faults)).collect();
        let mut values = Vec::new();
        for (index, rule) in description.values.iter().enumerate() {
            let is_optional = index >= own_values;
            values.extend(value(rule, None, &mut faults).map(|value| Value { is_optional, ..value }));
        }
        for (name, rule) in &description.columns {
            let is_optional = !own_columns.contains_key(name);
            values.extend(value(rule, Some(name), &mut faults).map(|value| Value { is_optional, ..value }));
        }
        for (index, (name, rule)) in description.columns.iter().enumerate() {
            // Of columns of one quantity that only exclude each other by a condition, several may stand.
            let same = description.columns.iter().take(index).find(|(_, other)| {
                other.only == rule.only
                    && matches!(
                        (names::quantity(&other.quantity), names::quantity(&rule.quantity)),
                        (Ok(left), Ok(right)) if left == right
                    )
            });
            if let Some((other, _)) = same {
                faults.push(format!("{other:?} and {name:?} are both {}", rule.quantity));
            }
        }
        faults.extend(place_faults(description));
        let topics = patterns(description.topic.as_ref(), &mut faults);
        if values.is_empty() && faults.is_empty() {
            faults.push("no value and no column is named".to_owned());
        }
        if !faults.is_empty() {
            return Err(MappingError { faults });
        }
        Ok(Mapping {
            name: description.preset.clone(),
            topics,
            station,
            site: description.site,
            reported_site,
            elevation_m: description.elevation_m.or(description.site.and_then(|site| site.elevation_m)),
            times,
            missing: description.missing.clone(),
            only: conditions(&description.only),
            values,
            merges: description.merge.unwrap_or(false),
            sure: sure(&description.sure),
            table: description.table.clone(),
        })
    }

    /// The preset it started from.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The station's name, where the description gives it.
    pub fn station(&self) -> Option<&str> {
        match &self.station {
            Some(Station::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// Where the station stands, where the description says.
    pub fn site(&self) -> Option<Site> {
        self.site
    }

    /// The station's height above the sea in metres, where the description says.
    pub fn elevation_m(&self) -> Option<f64> {
        self.elevation_m
    }

    /// The mapping with a height of the station, where the description says none.
    #[must_use]
    pub fn at_elevation(self, elevation_m: Option<f64>) -> Mapping {
        Mapping { elevation_m: self.elevation_m.or(elevation_m), ..self }
    }

    /// The mapping with a height of the station that goes before the description's, where there is one.
    #[must_use]
    pub fn with_elevation(self, elevation_m: Option<f64>) -> Mapping {
        Mapping { elevation_m: elevation_m.or(self.elevation_m), ..self }
    }

    /// Whether what it reads are parts of readings, to be merged into slots.
    pub fn merges(&self) -> bool {
        self.merges
    }

    /// Whether the description says that `what`, a quantity's name, `time` or `station`, is right though it looks wrong.
    pub fn is_sure_of(&self, what: &str) -> bool {
        self.sure.iter().any(|sure| sure == what)
    }

    /// The topic filters to subscribe to.
    pub fn filters(&self) -> Vec<String> {
        let mut filters: Vec<String> = self.topics.iter().map(TopicPattern::filter).collect();
        filters.sort();
        filters.dedup();
        filters
    }

    /// The name of the first column of the temperature, for a message.
    pub fn temperature_column(&self) -> Option<String> {
        let is_temperature = |value: &&Value| value.measured == Measured::Quantity(Quantity::AirTemperature);
        self.values.iter().find(is_temperature).and_then(|value| match &value.column {
            Some(Column::Name(name)) => Some(name.clone()),
            Some(Column::Position(position)) => Some(position.to_string()),
            None => None,
        })
    }

    /// The quantities it names, each once; a pressure that is brought to the station counts as pressure.
    pub fn quantities(&self) -> Vec<Quantity> {
        let mut quantities: Vec<Quantity> = self
            .values
            .iter()
            .filter(|value| matches!(value.measured, Measured::Quantity(_)) || self.elevation_m.is_some())
            .map(|value| value.measured.quantity())
            .collect();
        quantities.sort_unstable();
        quantities.dedup();
        quantities
    }
}

fn pointers(texts: Option<&OneOrMany<String>>, faults: &mut Vec<String>) -> Vec<Pointer> {
    let texts = texts.map_or(&[][..], OneOrMany::as_slice);
    let parsed = texts.iter().map(|text| Pointer::parse(text));
    parsed.filter_map(|pointer| pointer.map_err(|fault| faults.push(fault)).ok()).collect()
}

/// Quantities by their standard names; other words as they are.
fn sure(names: &[String]) -> Vec<String> {
    let name =
        |name: &String| names::quantity(name).map_or_else(|_| name.clone(), |known| known.name().to_owned());
    names.iter().map(name).collect()
}

pub(crate) fn patterns(texts: Option<&OneOrMany<String>>, faults: &mut Vec<String>) -> Vec<TopicPattern> {
    let texts = texts.map_or(&[][..], OneOrMany::as_slice);
    let parsed = texts.iter().map(|text| TopicPattern::parse(text));
    parsed.filter_map(|pattern| pattern.map_err(|fault| faults.push(fault)).ok()).collect()
}

/// What is wrong with where a description says that the station stands.
pub(crate) fn place_faults(description: &Description) -> Vec<String> {
    let of_site = description.site.and_then(|site| site.validate().err());
    let of_elevation =
        description.elevation_m.and_then(|elevation| Site::validate_elevation(elevation).err());
    let of_site = of_site.map(|error| format!("site: {error}"));
    of_elevation.map(|error| error.to_string()).into_iter().chain(of_site).collect()
}

fn conditions(conditions: &Conditions) -> Vec<Condition> {
    let condition = |(name, texts): (&String, &OneOrMany<Text>)| Condition {
        place: Place::parse(name),
        name: name.clone(),
        texts: texts.as_slice().to_vec(),
    };
    conditions.iter().map(condition).collect()
}

fn time(rule: &TimeRule, faults: &mut Vec<String>) -> Time {
    let formats = rule.format.as_ref().map_or(&[][..], OneOrMany::as_slice);
    let formats: Vec<TimeFormat> = formats
        .iter()
        .filter_map(|format| TimeFormat::parse(format).map_err(|fault| faults.push(fault)).ok())
        .collect();
    let mut checked = |zone: Result<TimeZone, String>| zone.map_err(|fault| faults.push(fault)).ok();
    let by_offset = rule.utc_offset.as_deref().and_then(|text| checked(offset(text).map(TimeZone::fixed)));
    let by_name = rule.time_zone.as_deref().and_then(|name| checked(zone(name)));
    if rule.utc_offset.is_some() && rule.time_zone.is_some() {
        faults.push("utc_offset and time_zone are both given; one is enough".to_owned());
    }
    if rule.time_zone.as_deref() == Some(NEEDED_ZONE) {
        faults.retain(|fault| !fault.contains(&format!("{NEEDED_ZONE:?}")));
        faults.push(
            "the times are those of the station's own clock: set time_zone, as \"Europe/Berlin\"".to_owned(),
        );
    }
    // `+00:00` was the default of a file, and says nothing.
    let said = match (&rule.utc_offset, &rule.time_zone) {
        (Some(offset), _) if offset != "+00:00" => Some("utc_offset"),
        (_, Some(_)) => Some("time_zone"),
        _ => None,
    };
    if let Some(key) = said
        && !formats.is_empty()
        && formats.iter().all(TimeFormat::has_offset)
    {
        faults.push(format!("{key} says nothing where the time has its own offset: remove one of them"));
    }
    Time {
        columns: rule.column.as_ref().map_or(&[][..], OneOrMany::as_slice).to_vec(),
        at: pointers(rule.at.as_ref(), faults),
        formats,
        zone: by_name.or(by_offset),
    }
}

fn value(rule: &ValueRule, name: Option<&str>, faults: &mut Vec<String>) -> Option<Value> {
    let shown = name.map_or_else(String::new, |name| format!("{name:?}: "));
    let measured =
        names::quantity(&rule.quantity).map_err(|error| faults.push(format!("{shown}{error}"))).ok()?;
    let mut unit =
        |name: &str| names::unit(name, measured).map_err(|error| faults.push(format!("{shown}{error}"))).ok();
    let unit = match &rule.unit {
        None => UnitSource::NotSaid,
        Some(UnitRule::Name(name)) => UnitSource::Unit(unit(name)?),
        Some(UnitRule::At { at, is }) => UnitSource::At {
            place: Place::parse(at),
            is: is.iter().filter_map(|(text, name)| Some((text.clone(), unit(name)?))).collect(),
        },
    };
    let column = rule.column.clone().or_else(|| name.map(|name| Column::Name(name.to_owned())));
    if matches!(column, Some(Column::Position(0))) || rule.part == Some(0) || rule.occurrence == Some(0) {
        faults.push(format!("{shown}columns, occurrences and parts are counted from 1"));
    }
    if rule.scale.is_some_and(|scale| !scale.is_finite() || scale == 0.0) {
        faults.push(format!("{shown}scale is no number to multiply with"));
    }
    let at = pointers(rule.at.as_ref(), faults);
    let (topics, except) = (patterns(rule.topic.as_ref(), faults), patterns(rule.except.as_ref(), faults));
    if at.is_empty() && rule.topic.is_none() && column.is_none() {
        faults.push(format!("{shown}{measured}: where it stands is not said (at, topic or column)"));
    }
    Some(Value {
        measured,
        at,
        topics,
        except,
        column,
        occurrence: rule.occurrence,
        part: rule.part,
        unit,
        scale: rule.scale.unwrap_or(1.0),
        missing: rule.missing.clone(),
        only: conditions(&rule.only),
        is_optional: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        Mapping::parse(text).unwrap_err().faults
    }

    #[test]
    fn every_fault_of_a_description_is_said_at_once() {
        let faults = faults(
            "time = { column = \"t\", format = \"%H:%M\", time_zone = \"Europe/Berlni\" }\n\
             [columns]\n\
             a = { quantity = \"warmth\" }\n\
             b = { quantity = \"air_pressure\", unit = \"furlong\" }\n\
             c = { quantity = \"humidity\", scale = 0 }\n",
        );
        assert_eq!(faults.len(), 5, "{faults:?}");
        for (fault, begins) in faults.iter().zip([
            "time format \"%H:%M\" has no date",
            "unknown time zone \"Europe/Berlni\"; near are \"Europe/Berlin\"",
            "\"a\": unknown quantity \"warmth\"",
            "\"b\": unknown unit \"furlong\" of air_pressure",
            "\"c\": scale is no number",
        ]) {
            assert!(fault.starts_with(begins), "{fault}");
        }
    }

    #[test]
    fn an_offset_beside_one_in_the_text_is_a_fault() {
        let time = |rest: &str| {
            format!(
                "time = {{ column = \"t\", format = \"%Y-%m-%d %H:%M %z\"{rest} }}\ncolumns.T.quantity = \"temp\"\n"
            )
        };
        assert!(Mapping::parse(&time("")).is_ok());
        for rest in [", utc_offset = \"+01:00\"", ", time_zone = \"Europe/Berlin\""] {
            assert!(faults(&time(rest))[0].contains("has its own offset"), "{:?}", faults(&time(rest)));
        }
    }

    #[test]
    fn a_topic_that_fits_nothing_and_a_height_that_cannot_be_are_faults() {
        let value = "[[value]]\ntopic = \"a/{station}b\"\nquantity = \"temperature\"\n";
        let faults = faults(&format!(
            "topic = [\"{{station}}/{{station}}\"]\nelevation_m = -451\n\
             site = {{ latitude_deg = 1, longitude_deg = 181 }}\n{value}"
        ));
        assert_eq!(faults.len(), 4, "{faults:?}");
        for holds in ["\"{station}b\" must be", "elevation_m = -451", "longitude_deg = 181", "more than once"]
        {
            assert!(faults.iter().any(|fault| fault.contains(holds)), "{holds}: {faults:?}");
        }
    }

    #[test]
    fn the_height_of_a_site_brings_pressure_at_sea_level_to_the_station() {
        let text =
            |place: &str| format!("{place}\n[[value]]\nat = \"/p\"\nquantity = \"pressure_at_sea_level\"\n");
        let site = |elevation: &str| format!("site = {{ latitude_deg = 50, longitude_deg = 11{elevation} }}");
        let height = |place: &str| Mapping::parse(&text(place)).unwrap().elevation_m();
        assert_eq!(height(&site("")), None);
        assert_eq!(height(&site(", elevation_m = 500")), Some(500.0));
        assert_eq!(height(&format!("elevation_m = 300\n{}", site(", elevation_m = 500"))), Some(300.0));
        let mapping = Mapping::parse(&text(&site(", elevation_m = 500"))).unwrap();
        assert_eq!(mapping.quantities(), [Quantity::AirPressure]);
    }

    #[test]
    fn two_columns_of_one_quantity_are_a_fault_unless_a_condition_tells_them_apart() {
        let text = |first: &str, second: &str| {
            format!(
                "time = {{ column = \"t\" }}\n[columns]\n\
                 a = {{ quantity = \"air_temperature\"{first} }}\nb = {{ quantity = \"temperature\"{second} }}\n"
            )
        };
        assert_eq!(faults(&text("", "")), ["\"a\" and \"b\" are both temperature"]);
        assert!(Mapping::parse(&text(", where = { s = 1 }", ", where = { s = 2 }")).is_ok());
        assert!(faults("[columns]\n")[0].contains("no value and no column"));
    }
}
