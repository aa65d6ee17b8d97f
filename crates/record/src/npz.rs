//! Arrays in a file of NumPy: an archive (`.npz`) of arrays (`.npy`), written one after the other as they are made.
//!
//! Source: numpy.org/doc, `numpy.lib.format`: the magic `\x93NUMPY`, version 1.0, the length of the header in two bytes, little
//! endian, and the header, a Python literal padded with blanks to a multiple of 64 bytes that ends with a line feed.

use std::io::{Error, ErrorKind, Result, Seek, SeekFrom, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The type of an array's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    F32,
    I64,
    I8,
    Bool,
}

impl Type {
    /// As NumPy writes it.
    fn name(self) -> &'static str {
        match self {
            Type::F32 => "<f4",
            Type::I64 => "<i8",
            Type::I8 => "|i1",
            Type::Bool => "|b1",
        }
    }
}

/// An archive that is being written.
pub(crate) struct Npz<W: Write + Seek> {
    zip: ZipWriter<Once<W>>,
}

/// A file that fails once: after that it takes everything, and keeps nothing. An archive that is given up is finished all the
/// same by the library, which would print to standard error what it has been told already.
struct Once<W> {
    file: W,
    has_failed: bool,
}

impl<W> Once<W> {
    fn attempt<Done>(&mut self, instead: Done, work: impl FnOnce(&mut W) -> Result<Done>) -> Result<Done> {
        if self.has_failed {
            return Ok(instead);
        }
        let done = work(&mut self.file);
        self.has_failed = matches!(&done, Err(error) if error.kind() != ErrorKind::Interrupted);
        done
    }
}

impl<W: Write> Write for Once<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.attempt(bytes.len(), |file| file.write(bytes))
    }

    fn flush(&mut self) -> Result<()> {
        self.attempt((), W::flush)
    }
}

impl<W: Seek> Seek for Once<W> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.attempt(0, |file| file.seek(to))
    }
}

/// The error of the file itself, where it is that.
fn of_zip(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) => error,
        other => Error::other(other),
    }
}

impl<W: Write + Seek> Npz<W> {
    pub(crate) fn new(file: W) -> Npz<W> {
        Npz { zip: ZipWriter::new(Once { file, has_failed: false }) }
    }

    /// Begins the array `name`; its numbers are written next, in C order, little endian.
    pub(crate) fn begin(&mut self, name: &str, numbers: Type, shape: &[usize]) -> Result<()> {
        self.file(&format!("{name}.npy"))?;
        self.zip.write_all(&header(numbers, shape))
    }

    /// Begins a file that is no array.
    pub(crate) fn file(&mut self, name: &str) -> Result<()> {
        // Without a time, so that the same record gives the same bytes.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .last_modified_time(zip::DateTime::DEFAULT)
            // An array may have more than 4 GiB.
            .large_file(true);
        self.zip.start_file(name, options).map_err(of_zip)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.zip.write_all(bytes)
    }

    pub(crate) fn finish(self) -> Result<W> {
        Ok(self.zip.finish().map_err(of_zip)?.file)
    }
}

fn header(numbers: Type, shape: &[usize]) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let dimensions: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A tuple of one has a comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        numbers.name(),
        dimensions.join(", ")
    );
    let before = MAGIC.len() + 2;
    let padding = (before + text.len() + 1).next_multiple_of(64) - (before + text.len() + 1);
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [MAGIC, &length.to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_multiple_of_64_bytes_that_says_what_follows() {
        for shape in [&[3][..], &[70_000, 72, 9], &[]] {
            let header = header(Type::F32, shape);
            assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
            let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
            assert_eq!(length, header.len() - 10);
        }
        let text = String::from_utf8_lossy(&header(Type::I64, &[3])[10..]).trim_end().to_owned();
        assert_eq!(text, "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }");
    }
}
