//! Where the header of a file is, what stands between its cells, and which mapping fits it.

use std::io::Cursor;
use std::path::Path;

use forecastd_core::Quantity;
use forecastd_mapping::{Mapping, detect_table, shortened};
use jiff::tz::{Offset, TimeZone};

use super::error::{CsvError, MappingFault};
use super::fields::{Delimiter, Fields};
use super::lines::{Line, Lines, MAX_LINE};
use super::source::decode;

/// The header stands among so many lines.
const HEADER_WITHIN: usize = 200;
/// So many rows are looked at to tell how times are written.
const ROWS_SAMPLED: usize = 500;

/// How a file is taken apart.
pub(super) struct Layout {
    /// The names of the columns; empty texts where there is no header.
    pub(super) header: Vec<String>,
    /// What stands between cells.
    pub(super) delimiter: Delimiter,
    /// How many lines stand before the first row.
    pub(super) lines: u64,
    /// How its columns are to be understood.
    pub(super) mapping: Mapping,
    /// Some of its rows, from everywhere in its beginning.
    pub(super) rows: Vec<Vec<String>>,
    /// The zone of its times, where lines before the header say it.
    pub(super) zone: Option<TimeZone>,
}

/// A line of the beginning, with its number from 1.
type Numbered = (u64, Vec<u8>);

/// The lines of the beginning of a file that are not empty; without the last, of which a part may be missing.
fn lines(head: &[u8], path: &Path) -> Result<Vec<Numbered>, CsvError> {
    let mut lines = Lines::new(Cursor::new(head));
    let mut all = Vec::new();
    let failed = |source| CsvError::File { path: path.to_owned(), source };
    while let Some(line) = lines.next_line().map_err(failed)? {
        let line = match line {
            Line::Whole(line) => line.to_vec(),
            Line::TooLong if all.is_empty() => {
                return Err(failed(std::io::Error::other(format!("header of more than {MAX_LINE} bytes"))));
            }
            Line::TooLong => continue,
        };
        if !line.trim_ascii().is_empty() {
            all.push((lines.number(), line));
        }
    }
    if head.len() > 1 && all.len() > 1 && !head.ends_with(b"\n") && !head.ends_with(b"\r") {
        all.pop();
    }
    Ok(all)
}

fn cells(line: &[u8], delimiter: Delimiter) -> Result<Vec<String>, String> {
    let mut fields = Fields::new(delimiter);
    fields.split(line)?;
    Ok(fields.iter().map(decode).collect())
}

/// The names of a header: a `#` before the first is the mark of a comment.
fn names(line: &[u8], delimiter: Delimiter) -> Result<Vec<String>, String> {
    let uncommented = line.trim_ascii_start().strip_prefix(b"#").unwrap_or(line);
    cells(uncommented, delimiter)
}

/// Looks at the beginning of a file.
///
/// # Errors
/// [`CsvError`] when there is no header, or none that is known where no mapping is given.
pub(super) fn look(
    path: &Path,
    head: &[u8],
    mapping: Option<&Mapping>,
    is_part: bool,
) -> Result<Layout, CsvError> {
    let lines = lines(head, path)?;
    if lines.iter().all(|(_, line)| {
        cells(line, Delimiter::guess(line)).is_ok_and(|cells| cells.iter().all(String::is_empty))
    }) {
        return Err(CsvError::Empty(path.to_owned()));
    }
    let looked = match mapping {
        Some(mapping) => by_mapping(path, &lines, mapping),
        None => by_presets(path, &lines, is_part),
    }?;
    let Looked { header, delimiter, first_row, mapping } = looked;
    let rows = &lines[first_row.min(lines.len())..];
    let step = rows.len().div_ceil(ROWS_SAMPLED).max(1);
    let rows = rows.iter().step_by(step).filter_map(|(_, line)| cells(line, delimiter).ok()).collect();
    let before = first_row.checked_sub(1).map_or(0, |last| lines[last].0);
    let zone = zone_of(&lines[..first_row.min(lines.len())]);
    Ok(Layout { header, delimiter, lines: before, mapping, rows, zone })
}

struct Looked {
    header: Vec<String>,
    delimiter: Delimiter,
    /// Index of the first row among the lines that are not empty.
    first_row: usize,
    mapping: Mapping,
}

fn by_mapping(path: &Path, lines: &[Numbered], mapping: &Mapping) -> Result<Looked, CsvError> {
    let unknown = |name: &str| {
        let source = MappingFault::Delimiter(name.to_owned());
        CsvError::Mapping { path: path.to_owned(), source }
    };
    let parse = |name| Delimiter::parse(name).ok_or_else(|| unknown(name));
    let given = mapping.delimiter().map(parse).transpose()?;
    // Lines that are skipped are counted as an editor counts them.
    let skipped =
        mapping.skip_lines().map(|skip| lines.partition_point(|(number, _)| *number <= skip as u64));
    let candidates: Vec<usize> = match skipped {
        Some(index) => vec![index],
        None => (0..lines.len().min(HEADER_WITHIN)).collect(),
    };
    let at = |index: usize| header_at(lines, index, mapping.header_rows(), given);
    let found = candidates.iter().filter_map(|&index| at(index)?.ok().map(|header| (index, header)));
    let is_header = |header: &[String]| mapping.header_rows() == 0 || mapping.has_time_columns(header);
    let mut found = found.filter(|(_, (header, _))| is_header(header));
    let chosen = match found.next() {
        Some(chosen) => Some(chosen),
        // What is missing is said of the first line.
        None => candidates.first().and_then(|&index| Some((index, at(index)?.ok()?))),
    };
    let (index, (header, delimiter)) = chosen.ok_or_else(|| {
        let fault = candidates.first().and_then(|&index| at(index)).and_then(Result::err).unwrap_or_default();
        CsvError::File { path: path.to_owned(), source: std::io::Error::other(format!("header: {fault}")) }
    })?;
    Ok(Looked { header, delimiter, first_row: index + mapping.header_rows(), mapping: mapping.clone() })
}

/// The names of a header of so many rows that begins with a line; `None` at the end of the file.
fn header_at(
    lines: &[Numbered],
    index: usize,
    rows: usize,
    delimiter: Option<Delimiter>,
) -> Option<Result<(Vec<String>, Delimiter), String>> {
    let first = &lines.get(index)?.1;
    let delimiter = delimiter.unwrap_or_else(|| Delimiter::guess(first));
    if rows == 0 {
        return Some(cells(first, delimiter).map(|cells| (vec![String::new(); cells.len()], delimiter)));
    }
    let mut header: Vec<String> = Vec::new();
    for (_, line) in lines.get(index..index + rows)? {
        let row = match names(line, delimiter) {
            Ok(row) => row,
            Err(fault) => return Some(Err(fault)),
        };
        header.resize(header.len().max(row.len()), String::new());
        for (name, part) in header.iter_mut().zip(row) {
            *name = format!("{name} {part}").trim().to_owned();
        }
    }
    Some(Ok((header, delimiter)))
}

fn by_presets(path: &Path, lines: &[Numbered], is_part: bool) -> Result<Looked, CsvError> {
    let rows = |from: usize, delimiter: Delimiter| -> Vec<Vec<String>> {
        lines.iter().skip(from).take(50).filter_map(|(_, line)| cells(line, delimiter).ok()).collect()
    };
    for (header_rows, within) in [(1, HEADER_WITHIN), (2, HEADER_WITHIN), (0, 1)] {
        for index in 0..lines.len().min(within) {
            let delimiters = if header_rows == 2 {
                vec![Delimiter::Byte(b'\t')]
            } else {
                vec![Delimiter::guess(&lines[index].1)]
            };
            for delimiter in delimiters {
                let Some(Ok((header, delimiter))) = header_at(lines, index, header_rows, Some(delimiter))
                else {
                    continue;
                };
                let first_row = index + header_rows;
                let Some((preset, mapping)) =
                    detect_table(&header, header_rows, &rows(first_row, delimiter), None)
                else {
                    continue;
                };
                let mapping = mapping.map_err(|error| CsvError::Preset {
                    path: path.to_owned(),
                    preset: preset.name,
                    title: preset.title,
                    message: error.to_string(),
                })?;
                return match has_temperature(&mapping, &header) || is_part {
                    true => Ok(Looked { header, delimiter, first_row, mapping }),
                    false => Err(CsvError::MissingColumn {
                        path: path.to_owned(),
                        column: mapping.temperature_column().unwrap_or_default(),
                        found: list(&header),
                    }),
                };
            }
        }
    }
    let first = lines.first().map(|(_, line)| line.as_slice()).unwrap_or_default();
    let header = match names(first, Delimiter::guess(first)) {
        Ok(header) => header,
        Err(fault) => {
            let source = std::io::Error::other(format!("header: {fault}"));
            return Err(CsvError::File { path: path.to_owned(), source });
        }
    };
    if header.iter().any(|name| is_daily(name)) {
        return Err(CsvError::Daily { path: path.to_owned(), found: list(&header) });
    }
    Err(CsvError::UnknownHeader { path: path.to_owned(), found: list(&header) })
}

fn has_temperature(mapping: &Mapping, header: &[String]) -> bool {
    // What is wrong with the columns is said when they are bound.
    mapping
        .bind(header, &[], None)
        .map_or(true, |table| table.quantities().contains(&Quantity::AirTemperature))
}

/// Whether a column is one of daily values: those of GHCN-Daily, KNMI, DWD, Meteostat and the European Climate Assessment.
fn is_daily(name: &str) -> bool {
    const DAILY: [&str; 14] = [
        "tmax",
        "tmin",
        "tavg",
        "tmean",
        "tg",
        "tn",
        "tx",
        "tmk",
        "txk",
        "tnk",
        "temp_max",
        "temp_min",
        "temperature_2m_max",
        "temperature_2m_min",
    ];
    let name = name.split(['(', ' ', '[']).next().unwrap_or_default().to_lowercase();
    DAILY.contains(&name.as_str())
}

/// The offset that lines before the header give: Open-Meteo has a line with `utc_offset_seconds` among its names, and the
/// values below.
fn zone_of(lines: &[Numbered]) -> Option<TimeZone> {
    lines.windows(2).find_map(|pair| {
        let delimiter = Delimiter::guess(&pair[0].1);
        let (names, values) = (cells(&pair[0].1, delimiter).ok()?, cells(&pair[1].1, delimiter).ok()?);
        let index = names.iter().position(|name| name == "utc_offset_seconds")?;
        let seconds: i32 = values.get(index)?.parse().ok()?;
        Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
    })
}

/// The columns of a header for a message.
pub(super) fn list(header: &[String]) -> String {
    const MOST: usize = 30;
    let mut names: Vec<String> =
        header.iter().take(MOST).map(|name| format!("{:?}", shortened(name))).collect();
    if header.len() > MOST {
        names.push(format!("and {} more", header.len() - MOST));
    }
    names.join(", ")
}
