//! The journal: readings, forecasts and states of stations in one SQLite file, written by a thread of its own.
//!
//! [`Store`] is the file: [`Store::restore`] reads from it what stations are restored from, [`Journal`] takes
//! [`Batch`](forecastd_core::Batch)es and makes them durable. A batch is in the file as a whole or not at all; many of
//! them share one transaction. While the disk fails, the journal says so at once, keeps a bounded number of entries and
//! writes them when the disk is back.
//!
//! Users may open the file with `sqlite3` or Grafana while the daemon runs, and read the views `reading`, `forecast` and
//! `forecast_lead`; the tables behind them are compact and not meant for reading.
//!
//! | module | contents |
//! | --- | --- |
//! | `encoding` | values and leads as cells of the tables |
//! | `schema` | tables, views, and how an earlier file becomes one of this version |
//! | `legacy` | what version 1 wrote, read where it lies and moved bit by bit |
//! | `rows` | rows of the tables, and the numbers of stations and models |
//! | `transaction` | the entries of batches as rows |
//! | `tidying` | what is old, or belongs to nobody, removed a little at a time |
//! | `import` | readings of another program's history, brought in beside a daemon that runs |
//! | `store` | the file: opened, moved aside, opened anew |
//! | `restore` | what is read from it at the start |
//! | `history` | what it holds between two times, read while another writes |
//! | `waiting` | batches that are not durable yet |
//! | `writer` | the thread |

#![cfg_attr(not(test), warn(clippy::cast_possible_truncation))]

mod encoding;
mod error;
mod history;
mod import;
mod legacy;
mod restore;
mod rows;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod tidying;
mod transaction;
mod waiting;
mod writer;

pub use error::{JournalError, NotWritten};
pub use history::{History, Span};
pub use import::{ImportReading, Imported, Importer};
pub use restore::{RestoreLimits, RestoreReport};
pub use store::{Opened, Store, forget, recall, stations};
pub use tidying::Retention;
pub use writer::{Journal, Observer};
