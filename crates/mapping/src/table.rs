//! Tables: a mapping bound to the columns of one file.

#[cfg(test)]
mod tests;

use forecastd_core::{Quantity, ReducedPressure, Unit, Values};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::WallClock;
use crate::description::Column;
use crate::header::position;
use crate::mapping::{Condition, Mapping, Place, UnitSource, Value};
use crate::measured::{Measured, Measurements};
use crate::text::{Text, shortened};
use crate::time::{TimeFormat, Written};
use crate::value::{Outcome, StatedUnit};

/// Why a mapping does not fit a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// A column that is named is not there.
    #[error("no column {0:?}")]
    MissingColumn(String),
    /// A column that is named is there more than once.
    #[error("more than one column {0:?}: which is meant? (occurrence = 1, or its position)")]
    RepeatedColumn(String),
    /// No column of the mapping is there.
    #[error("no column of the mapping is there")]
    NoColumns,
    /// The mapping does not say where the time stands.
    #[error("the mapping has no column of time")]
    NoTime,
    /// No format reads the times.
    #[error("{0}")]
    Time(String),
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It ends before a column.
    #[error("row ends before {0}")]
    Short(String),
    /// Its time cannot be read.
    #[error("{0}")]
    Time(String),
    /// Not one of its values can be read.
    #[error("{quantity} is {found:?}, not a number")]
    Value {
        /// The first quantity.
        quantity: &'static str,
        /// What stands there.
        found: String,
    },
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured, in canonical units; empty where all is missing.
    pub values: Values,
    /// The pressure as the row tells it, where the one of `values` was brought to the station from it.
    pub reduced_pressure: Option<ReducedPressure>,
    /// Texts that are no values, each with the name of its quantity.
    pub unreadable: Vec<(&'static str, String)>,
}

/// A mapping bound to the columns of one file.
#[derive(Debug, Clone)]
pub struct Table {
    time: Vec<(usize, String)>,
    formats: Vec<TimeFormat>,
    /// Whether a time without offset is refused: neither a format nor a zone is given.
    needs_offset: bool,
    clock: WallClock,
    values: Vec<BoundValue>,
    missing: Vec<Text>,
    only: Vec<BoundCondition>,
    elevation_m: Option<f64>,
}

#[derive(Debug, Clone)]
struct BoundValue {
    index: usize,
    rule: Value,
    /// The unit, unless it stands in a column of its own.
    unit: Option<Unit>,
    unit_column: Option<usize>,
    only: Vec<BoundCondition>,
}

#[derive(Debug, Clone)]
struct BoundCondition {
    index: usize,
    texts: Vec<Text>,
}

impl Mapping {
    /// How many rows the header has; 0 where there is none.
    pub fn header_rows(&self) -> usize {
        self.table.header_rows.unwrap_or(1)
    }

    /// How many lines stand before the header, where the description says.
    pub fn skip_lines(&self) -> Option<usize> {
        self.table.skip_lines
    }

    /// What stands between cells, where the description says: `,`, `;`, `|`, `tab`, `blank`.
    pub fn delimiter(&self) -> Option<&str> {
        self.table.delimiter.as_deref()
    }

    /// Whether a header has the columns of the time, of one of the rules at least.
    pub fn has_time_columns(&self, header: &[String]) -> bool {
        self.times.iter().any(|time| {
            !time.columns.is_empty()
                && time.columns.iter().all(|column| position(header, column, None, None).is_ok())
        })
    }

    /// Binds the mapping to the columns of a header; without a header, its names are empty texts, one for each column.
    ///
    /// Where a time may be written in several ways, `rows` decide: the first format that reads all of them is taken.
    /// `zone` is that of times without offset, where the description does not say; UTC where neither does.
    ///
    /// # Errors
    /// [`BindError`] when a column is not there or there twice, or no format reads the times.
    pub fn bind(
        &self,
        header: &[String],
        rows: &[Vec<String>],
        zone: Option<TimeZone>,
    ) -> Result<Table, BindError> {
        let mut first_missing = None;
        let rule = self.times.iter().filter(|time| !time.columns.is_empty()).find_map(|time| {
            let bound: Result<Vec<usize>, BindError> = time
                .columns
                .iter()
                .map(|column| position(header, column, None, None).map(|(index, _)| index))
                .collect();
            match bound {
                Ok(indices) => Some((time, indices)),
                Err(error) => {
                    first_missing.get_or_insert(error);
                    None
                }
            }
        });
        let Some((time, indices)) = rule else { return Err(first_missing.unwrap_or(BindError::NoTime)) };
        let named = |index: &usize| {
            (
                *index,
                header
                    .get(*index)
                    .filter(|name| !name.is_empty())
                    .cloned()
                    .unwrap_or_else(|| "the time".to_owned()),
            )
        };
        let mut values: Vec<BoundValue> = Vec::new();
        for value in &self.values {
            let Some(column) = &value.column else { continue };
            let found = position(header, column, value.occurrence, Some(value.measured));
            let (index, header_unit) = match found {
                Ok(found) => found,
                Err(BindError::MissingColumn(_)) if value.is_optional => continue,
                Err(error) => return Err(error),
            };
            let beside = |name: &str| {
                position(header, &Column::Name(name.to_owned()), None, None).map(|(index, _)| index)
            };
            let (unit, unit_column) = match &value.unit {
                // What a preset knows is the usual unit; a file that was asked for in another says so in its header.
                UnitSource::Unit(unit) if value.is_optional => (header_unit.or(Some(*unit)), None),
                UnitSource::Unit(unit) => (Some(*unit), None),
                UnitSource::NotSaid => (header_unit, None),
                UnitSource::At { place: Place::Beside(name), .. } => match beside(name) {
                    Ok(index) => (None, Some(index)),
                    Err(_) if value.is_optional => continue,
                    Err(error) => return Err(error),
                },
                UnitSource::At { place: Place::Pointer(_), .. } => continue,
            };
            let only = match bind_conditions(&value.only, header) {
                Ok(only) => only,
                Err(_) if value.is_optional => continue,
                Err(error) => return Err(error),
            };
            values.push(BoundValue { index, rule: value.clone(), unit, unit_column, only });
        }
        if values.is_empty() {
            return Err(BindError::NoColumns);
        }
        let only = bind_conditions(&self.only, header)?;
        // A file with a row for each sensor has several rows of one time.
        let may_repeat = values.iter().any(|value| !value.only.is_empty());
        let zone = time.zone.clone().or(zone);
        let mut table = Table {
            time: indices.iter().map(named).collect(),
            formats: if time.formats.is_empty() { vec![TimeFormat::Auto] } else { time.formats.clone() },
            needs_offset: time.formats.is_empty() && zone.is_none(),
            clock: WallClock::new(zone.unwrap_or(TimeZone::UTC), may_repeat),
            values,
            missing: self.missing.clone(),
            only,
            elevation_m: self.elevation_m,
        };
        table.choose_format(rows)?;
        Ok(table)
    }
}

impl Table {
    /// The first format that reads the times of all rows; where none does, that which reads the most.
    fn choose_format(&mut self, rows: &[Vec<String>]) -> Result<(), BindError> {
        let texts: Vec<String> = rows
            .iter()
            .filter_map(|row| self.time_text(&|index| row.get(index).map(String::as_str)).ok())
            .filter(|text| !text.trim().is_empty())
            .collect();
        if self.formats.len() < 2 || texts.is_empty() {
            return Ok(());
        }
        let reads = |format: &TimeFormat| texts.iter().filter(|text| format.read(text).is_ok()).count();
        let counts: Vec<usize> = self.formats.iter().map(reads).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        if most == 0 {
            let fault = self.formats[0].read(&texts[0]).err().unwrap_or_default();
            return Err(BindError::Time(format!("{fault}, nor of the {} others", self.formats.len() - 1)));
        }
        let fit: Vec<&TimeFormat> = self
            .formats
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count == most)
            .map(|(format, _)| format)
            .collect();
        // Day and month may be exchanged as long as no day is above twelve.
        let meanings =
            |format: &TimeFormat| texts.iter().map(|text| format.read(text).ok()).collect::<Vec<_>>();
        let first = meanings(fit[0]);
        if let Some(other) = fit.iter().skip(1).find(|other| meanings(other) != first) {
            return Err(BindError::Time(format!(
                "time {:?} is of several forms ({}): say which with format",
                shortened(&texts[0]),
                [fit[0], other].map(|format| format!("{format:?}")).join(", ")
            )));
        }
        self.formats = vec![fit[0].clone()];
        Ok(())
    }

    /// The quantities that the file has columns for.
    pub fn quantities(&self) -> Vec<Quantity> {
        let is_known = |value: &&BoundValue| {
            matches!(value.rule.measured, Measured::Quantity(_)) || self.elevation_m.is_some()
        };
        let mut quantities: Vec<Quantity> =
            self.values.iter().filter(is_known).map(|value| value.rule.measured.quantity()).collect();
        quantities.sort_unstable();
        quantities.dedup();
        quantities
    }

    /// How many columns it reads.
    pub fn width(&self) -> usize {
        self.values.len()
    }

    /// The positions of the columns that are read or asked, from 0.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns: Vec<usize> = self.time.iter().map(|(index, _)| *index).collect();
        for value in &self.values {
            columns.extend([Some(value.index), value.unit_column].into_iter().flatten());
            columns.extend(value.only.iter().map(|condition| condition.index));
        }
        columns.extend(self.only.iter().map(|condition| condition.index));
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// Reads a row, whose cells `cell` gives by position from 0; `None` where its conditions leave nothing of it.
    ///
    /// # Errors
    /// [`RowError`] when the row ends too soon, its time cannot be read, or it holds texts where values should be and not
    /// one value.
    pub fn row<'a>(&mut self, cell: &dyn Fn(usize) -> Option<&'a str>) -> Result<Option<TableRow>, RowError> {
        let holds = |condition: &BoundCondition| {
            cell(condition.index).is_some_and(|text| condition.texts.iter().any(|wanted| wanted.is(text)))
        };
        if !self.only.iter().all(holds) {
            return Ok(None);
        }
        let text = self.time_text(cell)?;
        let (mut measurements, mut unreadable) = (Measurements::default(), Vec::new());
        let mut is_wanted = false;
        for value in &self.values {
            if !value.only.iter().all(holds) {
                continue;
            }
            is_wanted = true;
            let measured = value.rule.measured;
            if measurements.has(measured) {
                continue;
            }
            let text = cell(value.index).ok_or_else(|| RowError::Short(measured.name().to_owned()))?;
            match value.unit_of(cell) {
                StatedUnit::Known(unit) => match value.rule.read(text, unit, &self.missing) {
                    Outcome::Value(number) => measurements.set(measured, number),
                    Outcome::Missing => {}
                    Outcome::Unreadable => unreadable.push((measured.name(), shortened(text.trim()))),
                },
                StatedUnit::Missing => {}
                StatedUnit::Unknown(unit) => {
                    unreadable.extend(value.rule.in_unknown_unit(text, &unit, &self.missing));
                }
            }
        }
        // A value that stands elsewhere in a unit that is known is there.
        unreadable.retain(|(name, _)| {
            !self
                .values
                .iter()
                .any(|value| value.rule.measured.name() == *name && measurements.has(value.rule.measured))
        });
        if !is_wanted {
            return Ok(None);
        }
        let time = self.read_time(&text).map_err(RowError::Time)?;
        let reduced_pressure = measurements.reduced_pressure(self.elevation_m);
        let values = measurements.at_station(self.elevation_m);
        if values.is_empty()
            && let Some((quantity, found)) = unreadable.first()
        {
            return Err(RowError::Value { quantity, found: found.clone() });
        }
        Ok(Some(TableRow { time, values, reduced_pressure, unreadable }))
    }

    fn time_text<'a>(&self, cell: &dyn Fn(usize) -> Option<&'a str>) -> Result<String, RowError> {
        let mut text = String::new();
        for (index, name) in &self.time {
            let part = cell(*index).ok_or_else(|| RowError::Short(name.clone()))?;
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(part.trim());
        }
        Ok(text)
    }

    fn read_time(&mut self, text: &str) -> Result<Timestamp, String> {
        let mut fault = String::new();
        for format in &self.formats {
            match format.read(text) {
                Ok(Written::Instant(instant)) => return Ok(instant),
                Ok(Written::Civil(_)) if self.needs_offset => {
                    let shown = shortened(text);
                    return Err(format!(
                        "time {shown:?} has no offset from UTC: set time_zone (\"UTC\", \"Europe/Berlin\")"
                    ));
                }
                Ok(Written::Civil(civil)) => return self.clock.read(civil),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }
}

impl BoundValue {
    fn unit_of<'a>(&self, cell: &dyn Fn(usize) -> Option<&'a str>) -> StatedUnit {
        match self.unit_column {
            None => StatedUnit::Known(self.unit),
            Some(index) => self.rule.unit_by(cell(index)),
        }
    }
}

fn bind_conditions(conditions: &[Condition], header: &[String]) -> Result<Vec<BoundCondition>, BindError> {
    let bind = |condition: &Condition| {
        let column = Column::Name(condition.name.clone());
        let (index, _) = position(header, &column, None, None)?;
        Ok(BoundCondition { index, texts: condition.texts.clone() })
    };
    conditions.iter().map(bind).collect()
}
