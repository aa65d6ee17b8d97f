//! Which preset fits: of a message, of a file.

use std::sync::LazyLock;

use forecastd_core::Quantity;

use crate::mapping::{Mapping, MappingError};
use crate::payload::{DecodeError, Decoded, ElevationOf, Message};
use crate::preset::{PRESETS, Preset, PresetKind};
use crate::{BindError, Description, OneOrMany, TimeRule};

/// What one preset makes of a message.
#[derive(Debug, Clone)]
pub struct PresetMatch {
    /// The preset that the message was decoded with.
    pub preset: &'static Preset,
    /// What it reads.
    pub decoded: Decoded,
}

/// Every preset for payloads at once.
#[derive(Debug, Clone)]
pub struct Auto {
    mappings: Vec<(&'static Preset, Mapping)>,
}

impl Auto {
    /// Takes the zone of local times and the elevation of the station for all presets.
    ///
    /// # Errors
    /// A time zone that is none.
    pub fn new(time_zone: Option<&str>, elevation_m: Option<f64>) -> Result<Auto, MappingError> {
        let zone = |zone: &str| TimeRule { time_zone: Some(zone.to_owned()), ..TimeRule::default() };
        let time = time_zone.map(|name| OneOrMany::One(zone(name)));
        let mut mappings = Vec::new();
        for preset in PRESETS.iter().filter(|preset| preset.kind == PresetKind::Payload) {
            let description = Description {
                preset: Some(preset.name.to_owned()),
                time: time.clone().filter(|_| preset.has_local_times()),
                elevation_m,
                ..Description::default()
            };
            mappings.push((preset, Mapping::new(&description)?));
        }
        Ok(Auto { mappings })
    }

    /// What the presets make of a message, that with the most values first; empty where none makes anything of it.
    ///
    /// A message on another topic than the preset's own counts where the preset's keys are found in nothing else, and it has
    /// a temperature or a pressure.
    pub fn candidates(&self, message: &Message<'_>) -> Vec<PresetMatch> {
        self.candidates_with(message, &|_| None)
    }

    fn candidates_with(&self, message: &Message<'_>, elevation_of: ElevationOf<'_>) -> Vec<PresetMatch> {
        let mut candidates: Vec<PresetMatch> = Vec::new();
        for (preset, mapping) in &self.mappings {
            let decoded = match mapping.decode_with(message, elevation_of) {
                Err(DecodeError::OtherTopic) if preset.is_distinctive => {
                    let read = mapping.on_any_topic().decode_with(message, elevation_of).ok();
                    read.filter(|decoded| {
                        let has = |quantity| decoded.values.get(quantity).is_some();
                        has(Quantity::AirTemperature) || has(Quantity::AirPressure)
                    })
                }
                decoded => decoded.ok(),
            };
            candidates.extend(decoded.map(|decoded| PresetMatch { preset, decoded }));
        }
        // The sort is stable: of equals the more particular preset stays first.
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.decoded.values.iter().count()));
        candidates
    }

    /// Reads a message by the preset that fits best.
    ///
    /// # Errors
    /// [`DecodeError`]: where no preset fits, what the preset of the topic says, if there is one.
    pub fn decode(&self, message: &Message<'_>) -> Result<Decoded, DecodeError> {
        self.decode_with(message, &|_| None)
    }

    /// Like [`Auto::decode`], with what `elevation_of` says of stations whose pressure is at sea level.
    ///
    /// # Errors
    /// As [`Auto::decode`].
    pub(crate) fn decode_with(
        &self,
        message: &Message<'_>,
        elevation_of: ElevationOf<'_>,
    ) -> Result<Decoded, DecodeError> {
        if let Some(best) = self.candidates_with(message, elevation_of).into_iter().next() {
            return Ok(best.decoded);
        }
        let faults = self.mappings.iter().filter_map(|(_, mapping)| mapping.decode(message).err());
        let says_more = |fault: &DecodeError| match fault {
            DecodeError::BadTime(_) | DecodeError::BadValue { .. } => 0,
            DecodeError::NoValues | DecodeError::NotWanted(_) => 2,
            DecodeError::OtherTopic => 3,
            _ => 1,
        };
        Err(faults.min_by_key(says_more).unwrap_or(DecodeError::NoValues))
    }
}

impl Mapping {
    fn on_any_topic(&self) -> Mapping {
        Mapping { topics: Vec::new(), ..self.clone() }
    }
}

/// The presets of files. Whether columns fit does not depend on the zone, so that any will do where one is wanted; a file is held
/// against all of them for each way in which its lines may be divided.
static TABLES: LazyLock<Vec<(&'static Preset, Mapping)>> = LazyLock::new(|| {
    let tables = PRESETS.iter().filter(|preset| preset.kind == PresetKind::Table);
    let mapping = |preset: &Preset| preset.mapping(None).or_else(|_| preset.mapping(Some("UTC"))).ok();
    tables.filter_map(|preset| Some((preset, mapping(preset)?))).collect()
});

/// The preset whose columns a header has most of, with its mapping in `time_zone`, or why that cannot be made.
///
/// `rows` are the first rows of the file, for presets without header.
pub fn detect_table(
    header: &[String],
    header_rows: usize,
    rows: &[Vec<String>],
    time_zone: Option<&str>,
) -> Option<(&'static Preset, Result<Mapping, MappingError>)> {
    let mut best: Option<(usize, &'static Preset)> = None;
    for (preset, mapping) in TABLES.iter() {
        if mapping.header_rows() != header_rows {
            continue;
        }
        let mut table = match mapping.bind(header, rows, None) {
            Ok(table) => table,
            // It is this preset's file all the same, and what is wrong with it is said when it is opened.
            Err(BindError::RepeatedColumn(column)) if header.contains(&column) => {
                best = best.or(Some((0, preset)));
                continue;
            }
            Err(_) => continue,
        };
        // Without a header, every column must be there and the rows readable.
        if header_rows == 0 {
            let has_every_column = table.width() == mapping.values.len();
            let is_readable = |row: &Vec<String>| {
                let read = table.row(&|index| row.get(index).map(String::as_str));
                read.is_ok_and(|read| read.is_some_and(|read| !read.values.is_empty()))
            };
            if !has_every_column || !rows.iter().any(is_readable) {
                continue;
            }
        }
        if best.is_none_or(|(width, _)| table.width() > width) {
            best = Some((table.width(), preset));
        }
    }
    let (_, preset) = best?;
    // A zone is only wanted where the file does not say its own.
    let mapping = match preset.mapping(None) {
        Ok(mapping) => Ok(mapping),
        Err(error) => time_zone.map_or(Err(error), |zone| preset.mapping(Some(zone))),
    };
    Some((preset, mapping))
}
