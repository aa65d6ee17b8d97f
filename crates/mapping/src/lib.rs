//! How text becomes quantities: one description, written in TOML, for the payloads of MQTT, the columns of files, and imports.
//!
//! A [`Description`] says where values stand (JSON pointers, topics, columns), what they are, in which unit, and how time is
//! written; a [`Mapping`] is one whose names are looked up. [`Mapping::decode`] reads a message, [`Mapping::bind`] makes a
//! [`Table`] that reads rows. [`PRESETS`] are the descriptions of what the programs of the field write. A [`Source`] is
//! what a configuration listens to.
//!
//! A message is read by itself; what those before it tell is kept in [`ClockOffsets`] and [`ChosenTopics`].
//!
//! No file, no socket and no clock: the arrival of a message is passed in.

mod auto;
mod chosen;
mod clock;
mod description;
mod header;
mod json;
mod mapping;
mod measured;
mod names;
mod offsets;
mod payload;
mod place;
mod preset;
mod source;
mod table;
mod text;
mod time;
mod value;

pub use auto::{Auto, PresetMatch, detect_table};
pub use chosen::{Choice, ChosenTopics};
pub use description::{
    Column, Conditions, Description, DescriptionError, OneOrMany, StationRule, TableRule, TimeRule, UnitRule,
    ValueRule,
};
pub use json::parse_json;
pub use mapping::{Mapping, MappingError};
pub use measured::Measured;
pub use names::{ListedQuantity, NameError, list, quantity, unit};
pub use offsets::ClockOffsets;
pub use payload::{DecodeError, Decoded, ElevationOf, Message, TimeSource};
pub use preset::{PRESETS, Preset, PresetKind};
pub use source::{Source, SourceFault};
pub use table::{BindError, RowError, Table, TableRow};
pub use text::{Text, is_missing, number, shortened};
pub use time::{since_epoch, since_epoch_with_fraction};
