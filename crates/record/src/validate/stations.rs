//! Whether the rows are those of one station.

use forecastd_core::Quantity;

use super::{Evidence, Suspicion, quantile, sorted};
use crate::csv::reader::OtherColumn;

/// Names of columns that say who measured.
const NAMES: [&str; 14] = [
    "station",
    "stationid",
    "stationsid",
    "stationname",
    "stn",
    "stationno",
    "stationcode",
    "wmo",
    "icao",
    "entityid",
    "sensor",
    "sensorid",
    "deviceid",
    "location",
];
/// Fewer readings than this say nothing.
const ENOUGH: usize = 48;

pub(super) fn validate(record: &Evidence<'_>) -> Option<Suspicion> {
    let named = record.others.iter().find(|other| {
        let folded: String = other
            .name
            .chars()
            .filter(|character| character.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        NAMES.contains(&folded.as_str())
    });
    let alternating = [(Quantity::AirTemperature, 1.0), (Quantity::AirPressure, 1.0)]
        .into_iter()
        .find(|(quantity, least)| is_alternating(&record.values(*quantity), *least));
    let message = match (named, alternating) {
        (Some(column), _) => format!("the rows are those of several stations: {}", choose(column)),
        (None, None) => return None,
        (None, Some((quantity, _))) => {
            let few = record.others.iter().min_by_key(|other| other.texts.len());
            let which = few.map_or_else(
                || "give each station a file of its own".to_owned(),
                |column| format!("perhaps {}", choose(column)),
            );
            format!(
                "{quantity} jumps to and fro from row to row, as where two stations stand in one file: {which}"
            )
        }
    };
    Some(Suspicion { about: "station", message })
}

fn choose(column: &OtherColumn) -> String {
    const MOST: usize = 4;
    let mut texts: Vec<String> = column.texts.iter().take(MOST).map(|text| format!("{text:?}")).collect();
    if column.texts.len() > MOST {
        texts.push(format!("and {} more", column.texts.len() - MOST));
    }
    let first = column.texts.iter().next().map_or("", String::as_str);
    format!(
        "{:?} is {}; choose with where = {{ {:?} = {first:?} }}",
        column.name,
        texts.join(", "),
        column.name
    )
}

/// Whether a value is nearer to the last but one than to the last.
fn is_alternating(values: &[f32], least: f32) -> bool {
    if values.len() < ENOUGH {
        return false;
    }
    let median = |lag: usize| {
        quantile(
            &sorted(values.windows(lag + 1).map(|window| (window[lag] - window[0]).abs()).collect()),
            0.5,
        )
    };
    let (one, two) = (median(1), median(2));
    one > least && one > 2.0 * two
}
