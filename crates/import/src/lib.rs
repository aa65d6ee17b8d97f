//! The histories that other programs hold, brought into the journal of the daemon.
//!
//! A history is read whole ([`read`]): sorted, validated as files of a record are. Then it is written ([`write()`]): every reading
//! goes through the intake that live ones go through, one reading for each slot of the time grid is left, and what the
//! journal has of a slot stands. So an import may be broken off and run again, and the journal holds the same as if it had
//! not been.
//!
//! | module | contents |
//! | --- | --- |
//! | `origin` | where a history is |
//! | `sqlite` | another program's database, which is only read, a page at a time |
//! | `weewx` | WeeWX' table `archive` |
//! | `entity` | an entity of Home Assistant, and how a user names it |
//! | `home_assistant` | Home Assistant's recorder |
//! | `line_protocol` | a line of InfluxDB |
//! | `influx` | points of InfluxDB as readings |
//! | `partials` | values that come one by one, merged into readings |
//! | `slots` | what is believed of readings, one for each slot |
//! | `write` | the way into the journal |
//! | `summary` | its result, in numbers |

mod entity;
mod error;
mod home_assistant;
mod influx;
mod line_protocol;
mod origin;
mod partials;
mod slots;
mod sqlite;
mod summary;
mod weewx;
mod write;

pub use entity::{Entity, EntityError};
pub use error::{EntityUnitError, ImportError};
pub use origin::{History, ImportProgress, Origin, read};
pub use summary::{ImportSummary, Refused};
pub use write::{Destination, write};
