//! Columns by their names.

use forecastd_core::Unit;

use crate::description::Column;
use crate::measured::Measured;
use crate::names;
use crate::table::BindError;

/// The position of a column from 0, and the unit that its name ends with.
///
/// A name is looked up as it is, then without regard to case, then without a unit at its end: `Outdoor Temperature(℃)`,
/// `Temp - °F`, `wind [km/h]`.
pub(crate) fn position(
    header: &[String],
    column: &Column,
    occurrence: Option<usize>,
    measured: Option<Measured>,
) -> Result<(usize, Option<Unit>), BindError> {
    let name = match column {
        Column::Position(position) => {
            return match position.checked_sub(1).filter(|index| *index < header.len()) {
                Some(index) => Ok((index, None)),
                None => Err(BindError::MissingColumn(format!("{position}"))),
            };
        }
        Column::Name(name) => name.trim(),
    };
    let unit = |end: &str| measured.and_then(|measured| names::unit(end, measured).ok());
    let without_unit = |known: &str| {
        let (name, end) = split_unit(known)?;
        Some((name.to_owned(), unit(end)))
    };
    let pick = |matching: Vec<(usize, Option<Unit>)>| match (matching.as_slice(), occurrence) {
        ([], _) => None,
        (matching, Some(occurrence)) => Some(
            matching
                .get(occurrence - 1)
                .copied()
                .ok_or_else(|| BindError::MissingColumn(format!("{name} ({occurrence})"))),
        ),
        ([one], None) => Some(Ok(*one)),
        (_, None) => Some(Err(BindError::RepeatedColumn(name.to_owned()))),
    };
    let all = |is_same: &dyn Fn(&str) -> Option<Option<Unit>>| -> Vec<(usize, Option<Unit>)> {
        header.iter().enumerate().filter_map(|(index, known)| Some((index, is_same(known)?))).collect()
    };
    let own_unit = |known: &str| split_unit(known).and_then(|(_, end)| unit(end));
    let exact = all(&|known| (known == name).then(|| own_unit(known)));
    let folded = || all(&|known| known.eq_ignore_ascii_case(name).then(|| own_unit(known)));
    let shorter = || {
        all(&|known| {
            without_unit(known).filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, unit)| unit)
        })
    };
    pick(exact)
        .or_else(|| pick(folded()))
        .or_else(|| pick(shorter()))
        .unwrap_or_else(|| Err(BindError::MissingColumn(name.to_owned())))
}

/// A name and the unit at its end: in brackets, or behind a dash.
fn split_unit(name: &str) -> Option<(&str, &str)> {
    let name = name.trim();
    for (open, close) in [('(', ')'), ('[', ']')] {
        if let Some(inner) = name.strip_suffix(close)
            && let Some((name, unit)) = inner.rsplit_once(open)
        {
            return Some((name.trim_end(), unit.trim()));
        }
    }
    name.rsplit_once(" - ").map(|(name, unit)| (name.trim_end(), unit.trim()))
}
