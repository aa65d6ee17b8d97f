//! The cells of one line of a CSV file.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Takes lines apart, and holds the cells of the last one.
pub(crate) struct Fields {
    reader: Reader,
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    count: usize,
}

impl Fields {
    /// For cells with `delimiter` between them; quotes are `"`.
    pub(crate) fn new(delimiter: u8) -> Fields {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Fields { reader, text: Vec::new(), ends: Vec::new(), count: 0 }
    }

    /// Takes a line apart, without its end.
    ///
    /// # Errors
    /// When a quote is not closed: a cell ends with its line.
    pub(crate) fn split(&mut self, line: &[u8]) -> Result<(), String> {
        self.count = 0;
        if line.is_empty() {
            return Ok(());
        }
        self.reader.reset();
        self.text.resize(line.len() + 1, 0);
        // A cell takes a byte of the line at least, its delimiter, but for the last.
        self.ends.resize(line.len() + 2, 0);
        let mut written = 0;
        // The end of the line is that of the record, unless it stands within quotes.
        for part in [line, b"\n"] {
            let (result, _, text, ends) =
                self.reader.read_record(part, &mut self.text[written..], &mut self.ends[self.count..]);
            written += text;
            self.count += ends;
            if matches!(result, ReadRecordResult::Record) {
                return Ok(());
            }
        }
        self.count = 0;
        Err("a quote is not closed".to_owned())
    }

    /// Forgets the last line.
    pub(crate) fn clear(&mut self) {
        self.count = 0;
    }

    /// A cell without the space around it.
    pub(crate) fn get(&self, index: usize) -> Option<&[u8]> {
        let ends = &self.ends[..self.count];
        let end = *ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| ends[before]);
        Some(self.text[begin..end].trim_ascii())
    }

    /// All cells without the space around them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Result<Vec<String>, String> {
        let mut fields = Fields::new(b',');
        fields.split(line.as_bytes())?;
        Ok(fields.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
    }

    #[test]
    fn quotes_and_space_are_taken_off() {
        assert_eq!(split("a, b ,\"c,\"\"d\"\"\",").unwrap(), ["a", "b", "c,\"d\"", ""]);
        assert_eq!(split("").unwrap(), [""; 0]);
        assert!(split("a,\"b,c").unwrap_err().contains("not closed"));
        assert_eq!(split("5\" of rain,b").unwrap(), ["5\" of rain", "b"], "a quote within a cell is one");
    }

    proptest! {
        #[test]
        fn any_line_is_taken_apart_as_by_a_whole_reader(line in "[a-c,\" ]{0,40}") {
            prop_assume!(!line.is_empty());
            let text = format!("{line}\nnext");
            let mut reader =
                ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let theirs = reader.records().next().unwrap().unwrap();
            let is_open = theirs.iter().any(|cell| cell.contains('\n'));
            let ours = split(&line);
            prop_assert_eq!(ours.is_err(), is_open, "{:?}", theirs);
            if let Ok(ours) = ours {
                prop_assert_eq!(ours, theirs.iter().map(str::trim).collect::<Vec<_>>());
            }
        }
    }
}
