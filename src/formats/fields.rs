//! The cells of one line of a CSV file.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

/// Takes lines apart, and holds the cells of the last one.
pub struct Fields {
    reader: Reader,
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    count: usize,
}

impl Fields {
    /// For cells with `delimiter` between them; quotes are `"`.
    pub fn new(delimiter: u8) -> Fields {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Fields { reader, text: Vec::new(), ends: Vec::new(), count: 0 }
    }

    /// Takes a line apart, without its end.
    ///
    /// # Errors
    /// When a quote is not closed: a cell ends with its line.
    pub fn split(&mut self, line: &[u8]) -> Result<(), String> {
        self.count = 0;
        if line.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
            return Err("a quote is not closed".to_owned());
        }
        self.reader.reset();
        self.text.resize(line.len().max(1), 0);
        // A cell takes a byte of the line at least, its delimiter, but for the last.
        self.ends.resize(line.len() + 2, 0);
        let (mut read, mut written) = (0, 0);
        loop {
            let (result, used, text, ends) = self.reader.read_record(
                &line[read..],
                &mut self.text[written..],
                &mut self.ends[self.count..],
            );
            read += used;
            written += text;
            self.count += ends;
            match result {
                // Once more without input: the end of the line is that of the record.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err("more cells than the line has bytes".to_owned());
                }
            }
        }
    }

    /// Forgets the last line.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// A cell without the space around it.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let ends = &self.ends[..self.count];
        let end = *ends.get(index)?;
        let begin = index.checked_sub(1).map_or(0, |before| ends[before]);
        Some(self.text[begin..end].trim_ascii())
    }

    /// All cells without the space around them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
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
    }

    proptest! {
        #[test]
        fn any_line_is_taken_apart_as_by_a_whole_reader(line in "[a-c,\" ]{0,40}") {
            let ours = split(&line);
            prop_assume!(ours.is_ok() && !line.trim().is_empty());
            let mut reader = ::csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .trim(::csv::Trim::All)
                .from_reader(line.as_bytes());
            let theirs: Vec<String> =
                reader.records().next().unwrap().unwrap().iter().map(str::to_owned).collect();
            prop_assert_eq!(ours.unwrap(), theirs);
        }
    }
}
