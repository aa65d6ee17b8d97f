//! Files that are written whole or not at all.
//!
//! A reader sees the old contents or the new ones, never a part of them, whatever ends the writer: an error, a kill, a full
//! disk or a power cut.
//!
//! ```
//! use std::io::Write;
//!
//! use forecastd_atomic_file::AtomicFile;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("forecasts.csv");
//! let mut file = AtomicFile::create(&path)?;
//! file.write_all(b"lead_h,temperature_c\n")?;
//! assert!(!path.exists());
//! file.commit()?;
//! assert!(path.exists());
//! # Ok(())
//! # }
//! ```

mod atomic_file;
mod distinct;
mod target;

pub use atomic_file::{AtomicFile, check_writable, write};
pub use distinct::{SameFileError, ensure_distinct};
pub use target::WriteError;
