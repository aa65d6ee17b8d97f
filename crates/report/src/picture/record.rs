//! The record that forecasts are made from: all of it day by day, and its beginning reading by reading.

use jiff::tz::Offset;

use forecastd_core::Quantity;
use forecastd_core::Refit;
use forecastd_core::Slot;
use forecastd_record::Record;

use crate::chart::{Chart, Divider, Horizontal, Hue, Mark, Series};

/// How much of the record's beginning is shown reading by reading, in seconds.
const BEGINNING_S: i64 = 10 * 86_400;
const DAY_S: i64 = 86_400;

/// The temperatures of one day.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Day {
    /// Its noon, seconds since 1970.
    noon: f64,
    low_c: f64,
    mean_c: f64,
    high_c: f64,
}

/// The record in pictures.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overview {
    pub(crate) file: String,
    pub(crate) facts: String,
    days: Vec<Day>,
    /// The first ten days: seconds since 1970 and °C.
    beginning: Vec<(f64, f64)>,
    /// Where validation and test parts begin, if the record is split.
    pub(crate) parts: Vec<Divider>,
    /// What the model was trained on beside the training part.
    pub(crate) refit: Option<Refit>,
}

impl Overview {
    /// Sums up a record.
    pub(crate) fn from_record(record: &Record) -> Overview {
        let history = record.history();
        let grid = history.grid();
        let seconds = |slot: Slot| grid.time(slot).as_second();
        let temperature = |slot: Slot| f64::from(history.value(slot, Quantity::AirTemperature));
        let rows = record.rows();
        let mut days: Vec<Day> = Vec::new();
        for day in rows.chunk_by(|&a, &b| seconds(a).div_euclid(DAY_S) == seconds(b).div_euclid(DAY_S)) {
            let noon = (seconds(day[0]).div_euclid(DAY_S) * DAY_S + DAY_S / 2) as f64;
            if let Some(before) = days.last().filter(|before| noon - before.noon > 1.5 * DAY_S as f64) {
                let none = f64::NAN;
                days.push(Day { noon: before.noon + 1.0, low_c: none, mean_c: none, high_c: none });
            }
            let values = || day.iter().map(|&slot| temperature(slot));
            days.push(Day {
                noon,
                low_c: values().fold(f64::INFINITY, f64::min),
                mean_c: values().sum::<f64>() / day.len() as f64,
                high_c: values().fold(f64::NEG_INFINITY, f64::max),
            });
        }
        let first = rows.first().copied().unwrap_or(0);
        let shown = rows.iter().take_while(|&&slot| seconds(slot) - seconds(first) <= BEGINNING_S);
        let facts = record.facts();
        let (missing, _) = record.holes(0);
        Overview {
            file: facts.file.clone(),
            facts: format!(
                "{} readings, {} to {}, one every {:.0} min, {:.1} % missing",
                facts.readings,
                Offset::UTC.to_datetime(facts.first).date(),
                Offset::UTC.to_datetime(facts.last).date(),
                record.cadence_s() / 60.0,
                100.0 * missing,
            ),
            beginning: shown.map(|&slot| (seconds(slot) as f64, temperature(slot))).collect(),
            days,
            parts: Vec::new(),
            refit: None,
        }
    }

    /// What stands below each picture, and the picture.
    pub(crate) fn charts(&self) -> [(String, Chart); 2] {
        let line = |name: &str, mark: Mark, points: Vec<(f64, f64)>| Series {
            name: name.to_owned(),
            hue: Hue::Ink,
            mark,
            points,
        };
        let tops = self.days.iter().map(|day| day.high_c).collect();
        let bottoms = self.days.iter().map(|day| (day.noon, day.low_c)).collect();
        let means = self.days.iter().map(|day| (day.noon, day.mean_c)).collect();
        let chart = |title: &str, series, dividers| Chart {
            title: title.to_owned(),
            horizontal: Horizontal::Time,
            vertical: "air temperature, °C",
            from_zero: false,
            series,
            dividers,
        };
        let whole = vec![
            line("lowest to highest of a day", Mark::Band(tops), bottoms),
            line("mean of the day", Mark::Line, means),
        ];
        let beginning = vec![line("reading", Mark::Line, self.beginning.clone())];
        let parts = if self.parts.is_empty() {
            String::new()
        } else {
            let refit = match self.refit {
                None => "",
                Some(Refit::Validation) => {
                    ", and the model was refitted on all that is left of \u{201c}test\u{201d}"
                }
                Some(Refit::Whole) => ", and the model was refitted on all of it",
            };
            format!(" Networks are trained on what is left of \u{201c}validation\u{201d}{refit}.")
        };
        [
            (
                format!("The whole record, day by day (UTC).{parts}"),
                chart("Temperature over the whole record", whole, self.parts.clone()),
            ),
            (
                "The first ten days, reading by reading (UTC).".to_owned(),
                chart("Temperature over the first ten days", beginning, Vec::new()),
            ),
        ]
    }
}
