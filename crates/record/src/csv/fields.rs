//! The cells of one line of a CSV file.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// What stands between two cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// This byte; cells may be quoted.
    Byte(u8),
    /// Any run of blanks.
    Blank,
}

impl Delimiter {
    /// The delimiter that a mapping names; `None` for a name that is none's.
    pub(crate) fn parse(name: &str) -> Option<Delimiter> {
        match name {
            "tab" | "\t" => Some(Delimiter::Byte(b'\t')),
            "blank" | "blanks" | "space" | " " => Some(Delimiter::Blank),
            other => match other.as_bytes() {
                [byte] if byte.is_ascii_punctuation() && *byte != b'"' => Some(Delimiter::Byte(*byte)),
                _ => None,
            },
        }
    }

    /// What a line has most of.
    pub(crate) fn guess(line: &[u8]) -> Delimiter {
        let count = |delimiter: u8| line.iter().filter(|&&byte| byte == delimiter).count();
        let most = [b',', b';', b'\t', b'|'].into_iter().max_by_key(|&byte| (count(byte), byte == b','));
        match most {
            Some(byte) if count(byte) > 0 => Delimiter::Byte(byte),
            _ if line.trim_ascii().contains(&b' ') => Delimiter::Blank,
            _ => Delimiter::Byte(b','),
        }
    }
}

/// Takes lines apart, and holds the cells of the last one.
pub(crate) struct Fields {
    delimiter: Delimiter,
    reader: Reader,
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    count: usize,
}

impl Fields {
    /// For cells with `delimiter` between them; quotes are `"`.
    pub(crate) fn new(delimiter: Delimiter) -> Fields {
        let byte = match delimiter {
            Delimiter::Byte(byte) => byte,
            Delimiter::Blank => b' ',
        };
        let reader = ReaderBuilder::new().delimiter(byte).build();
        Fields { delimiter, reader, text: Vec::new(), ends: Vec::new(), count: 0 }
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
        if self.delimiter == Delimiter::Blank {
            self.split_at_blanks(line);
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

    fn split_at_blanks(&mut self, line: &[u8]) {
        self.text.clear();
        self.ends.clear();
        for cell in line.split(u8::is_ascii_whitespace).filter(|cell| !cell.is_empty()) {
            self.text.extend_from_slice(cell);
            self.ends.push(self.text.len());
        }
        self.count = self.ends.len();
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
        let mut fields = Fields::new(Delimiter::Byte(b','));
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

    #[test]
    fn blanks_between_cells_count_once() {
        let mut fields = Fields::new(Delimiter::Blank);
        fields.split(b"  2024-01-10\t00:00   1.9 ").unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), [&b"2024-01-10"[..], b"00:00", b"1.9"]);
        fields.split(b"   ").unwrap();
        assert_eq!(fields.iter().count(), 0);
    }

    #[test]
    fn the_delimiter_is_what_a_header_has_most_of() {
        for (line, delimiter) in [
            ("a,b;c,d", Delimiter::Byte(b',')),
            ("time;Temp ;Hum", Delimiter::Byte(b';')),
            ("a\tb c", Delimiter::Byte(b'\t')),
            ("Station|Year|Month", Delimiter::Byte(b'|')),
            ("date  time temp", Delimiter::Blank),
            ("time", Delimiter::Byte(b',')),
        ] {
            assert_eq!(Delimiter::guess(line.as_bytes()), delimiter, "{line}");
        }
        assert_eq!(Delimiter::parse("tab"), Some(Delimiter::Byte(b'\t')));
        assert!(Delimiter::parse("semicolon").is_none() && Delimiter::parse("\"").is_none());
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
