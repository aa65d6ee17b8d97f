//! The labelled training reviews of the Large Movie Review Dataset (Maas et al. 2011, ACL), from the unpacked folder or
//! straight out of the archive.
//!
//! One text file holds one review: `train/pos/*.txt` those in favour, `train/neg/*.txt` those against. An archive is
//! read as a stream and never unpacked to disk; whether it is gzip or xz is taken from its first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use sha2::{Digest, Sha256};

/// The longest review that is read; the longest of the dataset has 14 kB.
const MAX_BYTES: u64 = 1 << 20;

/// Why reviews cannot be read. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// A file or folder cannot be read.
    #[error("{path}", path = .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path}: neither a folder nor a .tar.gz or .tar.xz archive", path = .0.display())]
    NotArchive(PathBuf),
    /// The archive cannot be read to its end.
    #[error("{path}: the archive is cut off or damaged: {message}", path = .path.display())]
    Damaged {
        /// The archive, as it was given.
        path: PathBuf,
        /// What was noticed.
        message: String,
    },
    /// One of the two kinds is missing.
    #[error("{path}: no reviews in {folder}", path = .path.display())]
    NoReviews {
        /// Where they were looked for.
        path: PathBuf,
        /// The folder that is absent or has no text files.
        folder: &'static str,
    },
    /// A review says nothing.
    #[error("{path}: {name} is empty", path = .path.display())]
    Empty {
        /// Where it is from.
        path: PathBuf,
        /// The review's place in the dataset.
        name: String,
    },
    /// A review is too long to be one.
    #[error("{path}: {name} is longer than {MAX_BYTES} bytes", path = .path.display())]
    TooLong {
        /// Where it is from.
        path: PathBuf,
        /// The review's place in the dataset.
        name: String,
    },
    /// A review is no text.
    #[error("{path}: {name} is not UTF-8 text: byte {at} is wrong", path = .path.display())]
    NotText {
        /// Where it is from.
        path: PathBuf,
        /// The review's place in the dataset.
        name: String,
        /// How many bytes before are right.
        at: usize,
    },
}

/// A film review, with whether it is in favour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Review {
    /// Its place in the dataset, for example `train/pos/0_9.txt`.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Whether it is in favour of the film.
    pub positive: bool,
}

/// The labelled training reviews, sorted by name, so that their order does not depend on where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reviews {
    /// The reviews by rising name.
    pub reviews: Vec<Review>,
    /// SHA-256 over names and texts.
    pub sha256: String,
}

impl Reviews {
    /// Reads the folder `aclImdb`, a folder that holds it, or an archive of it.
    ///
    /// # Errors
    /// [`ReviewError`], the first met.
    pub fn read(path: &Path) -> Result<Reviews, ReviewError> {
        let failed = |source| ReviewError::Read { path: path.to_owned(), source };
        let mut reader = Reader { path, reviews: Vec::new() };
        if std::fs::metadata(path).map_err(failed)?.is_dir() {
            reader.folder()?;
        } else {
            let mut file = BufReader::new(File::open(path).map_err(failed)?);
            let start = file.fill_buf().map_err(failed)?;
            if start.starts_with(&[0x1f, 0x8b]) {
                reader.archive(MultiGzDecoder::new(file))?;
            } else if start.starts_with(b"\xfd7zXZ\0") {
                reader.archive(XzDecoder::new_multi_decoder(file))?;
            } else {
                return Err(ReviewError::NotArchive(path.to_owned()));
            }
        }
        reader.finish()
    }
}

/// The name of a review by the last three parts of its path, and whether it is in favour.
fn review_name(path: &Path) -> Option<(String, bool)> {
    let mut parts = path.iter().rev().map(|part| part.to_str());
    let (file, kind, part) = (parts.next()??, parts.next()??, parts.next()??);
    let positive = match kind {
        "pos" => true,
        "neg" => false,
        _ => return None,
    };
    // Archives made on some systems hold a hidden companion of each file.
    let is_review = part == "train" && file.ends_with(".txt") && !file.starts_with('.');
    is_review.then(|| (format!("train/{kind}/{file}"), positive))
}

struct Reader<'a> {
    path: &'a Path,
    reviews: Vec<Review>,
}

impl Reader<'_> {
    fn folder(&mut self) -> Result<(), ReviewError> {
        let inner = self.path.join("aclImdb");
        let root = if inner.is_dir() { inner } else { self.path.to_owned() };
        for folder in ["train/neg", "train/pos"] {
            let folder = root.join(folder);
            // That one is absent is noticed when all has been read, as in an archive.
            if !folder.is_dir() {
                continue;
            }
            let failed = |source| ReviewError::Read { path: folder.clone(), source };
            for file in std::fs::read_dir(&folder).map_err(failed)? {
                let file = file.map_err(failed)?.path();
                let Some((name, positive)) = review_name(&file) else { continue };
                let failed = |source| ReviewError::Read { path: file.clone(), source };
                let mut bytes = Vec::new();
                let opened = File::open(&file).map_err(failed)?;
                opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
                self.add(name, positive, bytes)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, decoder: impl Read) -> Result<(), ReviewError> {
        let mut archive = tar::Archive::new(decoder);
        let entries = self.entries(&mut archive);
        // Checksums stand at the very end, behind the last entry. A fault in a review is only the review's when they are
        // right.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| self.damaged(&error))?;
        entries
    }

    fn entries(&mut self, archive: &mut tar::Archive<impl Read>) -> Result<(), ReviewError> {
        for entry in archive.entries().map_err(|error| self.damaged(&error))? {
            let mut entry = entry.map_err(|error| self.damaged(&error))?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let name = review_name(&entry.path().map_err(|error| self.damaged(&error))?);
            let Some((name, positive)) = name else { continue };
            let size = entry.size();
            let mut bytes = Vec::new();
            let mut start = entry.by_ref().take(MAX_BYTES + 1);
            start.read_to_end(&mut bytes).map_err(|error| self.damaged(&error))?;
            if (bytes.len() as u64) < size.min(MAX_BYTES + 1) {
                return Err(self.damaged(&format!("within {name}")));
            }
            self.add(name, positive, bytes)?;
        }
        Ok(())
    }

    fn damaged(&self, what: &dyn std::fmt::Display) -> ReviewError {
        let message = what.to_string().replace(char::is_control, " ");
        ReviewError::Damaged { path: self.path.to_owned(), message }
    }

    fn add(&mut self, name: String, positive: bool, bytes: Vec<u8>) -> Result<(), ReviewError> {
        let path = self.path.to_owned();
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReviewError::TooLong { path, name });
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                return Err(ReviewError::NotText { path, name, at });
            }
        };
        if text.trim().is_empty() {
            return Err(ReviewError::Empty { path, name });
        }
        self.reviews.push(Review { name, text, positive });
        Ok(())
    }

    fn finish(mut self) -> Result<Reviews, ReviewError> {
        for (folder, positive) in [("train/pos", true), ("train/neg", false)] {
            if !self.reviews.iter().any(|review| review.positive == positive) {
                return Err(ReviewError::NoReviews { path: self.path.to_owned(), folder });
            }
        }
        self.reviews.sort();
        let mut sha256 = Sha256::new();
        for review in &self.reviews {
            for part in [&review.name, &review.text] {
                sha256.update((part.len() as u64).to_le_bytes());
                sha256.update(part.as_bytes());
            }
        }
        let sha256 = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Reviews { reviews: self.reviews, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_labelled_training_reviews_are_reviews() {
        let name = |path: &str| review_name(Path::new(path));
        assert_eq!(name("aclImdb/train/pos/0_9.txt"), Some(("train/pos/0_9.txt".to_owned(), true)));
        assert_eq!(name("./train/neg/7_1.txt"), Some(("train/neg/7_1.txt".to_owned(), false)));
        for other in [
            "aclImdb/test/pos/0_9.txt",
            "aclImdb/train/unsup/0_0.txt",
            "aclImdb/train/urls_pos.txt",
            "aclImdb/train/pos/._0_9.txt",
            "aclImdb/train/pos/list.feat",
            "pos/0_9.txt",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
