//! Forecasts that somebody else has made: a CSV file, or the text format of WFRT/verif.
//!
//! # CSV
//! A row is a forecast: when it was issued, for when it is (a time, or a lead in hours), the temperature in °C, and, if there
//! are any, quantiles (`q0.1`, `q10`). Columns are known by usual names, or as they are said to be.
//!
//! # Verif
//! Source: github.com/WFRT/verif, `verif/input.py`, class `Text`: lines of `#` before a header; columns between blanks; `date`
//! (YYYYMMDD) with `hour`, or `unixtime`, of the issue; `leadtime` or `offset` in hours; `location`, `lat`, `lon`, `altitude`;
//! `obs`, `fcst`, quantiles as `q0.1`; −999 where something is missing.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What stands for a missing value.
const MISSING: f64 = -999.0;

/// One forecast of somebody else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OtherForecast {
    /// When it was issued: nothing later was known to it.
    pub issued_at: Timestamp,
    /// For when it is.
    pub valid_at: Timestamp,
    /// The temperature, °C.
    pub temperature_c: f64,
    /// Its quantiles of 0.1 and 0.9, or else the outermost, °C.
    pub interval_c: Option<(f64, f64)>,
}

/// Forecasts of somebody else.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OtherForecasts {
    /// The forecasts, row by row.
    pub forecasts: Vec<OtherForecast>,
    /// Between which quantiles the intervals lie.
    pub interval: Option<(f64, f64)>,
    /// Rows without a forecast.
    pub skipped: u64,
    /// What is wrong with the first of them.
    pub first_skipped: Option<String>,
    /// Intervals that had their lower end above the upper and were put in order, as crossed quantiles of a model of ours are.
    pub crossed: u64,
}

/// Why a file holds no forecasts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtherForecastsError {
    /// There is no header.
    #[error("no header line with the names of columns")]
    Empty,
    /// A column is not there.
    #[error("no column of {what} ({}); found {found}; name it with --forecast-columns {key}=COLUMN", .names.join(", "))]
    Column {
        /// What it holds.
        what: &'static str,
        /// The key that names it.
        key: &'static str,
        /// The names by which it is known.
        names: Vec<&'static str>,
        /// The columns that are there.
        found: String,
    },
    /// A column that is named is not there.
    #[error("no column {0:?}; found {1}")]
    Named(String, String),
    /// A key that says nothing.
    #[error("{0:?} is none of issued_at, valid_at, lead_h, temperature_c, or a quantile such as q0.1")]
    Key(String),
    /// The forecasts are for several places.
    #[error("the forecasts are for several locations ({0} and {1}): give one of them")]
    Locations(String, String),
    /// No row is a forecast.
    #[error("no row is a forecast; the first: {0}")]
    Nothing(String),
}

const ISSUED: [&str; 9] = [
    "issued_at",
    "issue_time",
    "issued",
    "origin",
    "init_time",
    "init",
    "reference_time",
    "forecast_reference_time",
    "unixtime",
];
const VALID: [&str; 4] = ["valid_at", "valid_time", "valid", "target_time"];
const LEAD: [&str; 7] = ["lead_h", "leadtime", "lead_time", "lead", "offset", "step", "horizon"];
const VALUE: [&str; 8] =
    ["temperature_c", "fcst", "forecast", "model_c", "value", "prediction", "median", "mean"];
/// The ends of an interval whose quantiles nobody says, as our own file of forecasts has them.
const ENDS: [&str; 2] = ["low_c", "high_c"];

impl OtherForecasts {
    /// Reads forecasts, in whichever of the two formats they are; `columns` names columns by what they hold.
    ///
    /// # Errors
    /// [`OtherForecastsError`] when there are none.
    pub fn parse(
        text: &str,
        columns: &BTreeMap<String, String>,
    ) -> Result<OtherForecasts, OtherForecastsError> {
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().enumerate().filter(|(_, line)| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#')
        });
        let (_, first) = lines.next().ok_or(OtherForecastsError::Empty)?;
        let delimiter = [',', ';', '\t'].into_iter().find(|delimiter| first.contains(*delimiter));
        let header = cells(first, delimiter);
        let layout = Layout::new(&header, columns)?;
        let mut all = OtherForecasts { interval: layout.interval(), ..OtherForecasts::default() };
        let mut location: Option<String> = None;
        for (index, line) in lines {
            let cells = cells(line, delimiter);
            if let Some(own) = layout.location.and_then(|column| cells.get(column)) {
                let first = location.get_or_insert_with(|| own.clone());
                if first != own {
                    return Err(OtherForecastsError::Locations(first.clone(), own.clone()));
                }
            }
            match layout.forecast(&cells) {
                Ok(mut forecast) => {
                    if let Some((low_c, high_c)) = &mut forecast.interval_c
                        && low_c > high_c
                    {
                        std::mem::swap(low_c, high_c);
                        all.crossed += 1;
                    }
                    all.forecasts.push(forecast);
                }
                Err(message) => {
                    all.skipped += 1;
                    all.first_skipped.get_or_insert_with(|| format!("line {}: {message}", index + 1));
                }
            }
        }
        if all.forecasts.is_empty() {
            let first = all.first_skipped.unwrap_or_else(|| "there is none".to_owned());
            return Err(OtherForecastsError::Nothing(first));
        }
        Ok(all)
    }
}

fn cells(line: &str, delimiter: Option<char>) -> Vec<String> {
    let cell = |text: &str| text.trim().trim_matches('"').to_owned();
    match delimiter {
        Some(delimiter) => line.split(delimiter).map(cell).collect(),
        None => line.split_whitespace().map(cell).collect(),
    }
}

/// Which column holds what.
struct Layout {
    issued: Issued,
    valid: Option<usize>,
    lead: Option<usize>,
    value: usize,
    location: Option<usize>,
    /// The quantiles of 0.1 and 0.9, or else the outermost, with their columns.
    ends: Option<[(Option<f64>, usize); 2]>,
}

enum Issued {
    Time(usize),
    /// Year, month and day as one number, and the hour.
    Date(usize, Option<usize>),
}

impl Layout {
    fn new(header: &[String], named: &BTreeMap<String, String>) -> Result<Layout, OtherForecastsError> {
        let found = || header.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let position = |name: &str| header.iter().position(|known| known.eq_ignore_ascii_case(name));
        for key in named.keys() {
            let is_known = ["issued_at", "valid_at", "lead_h", "temperature_c"].contains(&key.as_str());
            if !is_known && quantile(key).is_none() {
                return Err(OtherForecastsError::Key(key.clone()));
            }
        }
        let column = |key: &'static str, names: &[&'static str]| match named.get(key) {
            Some(name) => {
                position(name).map(Some).ok_or_else(|| OtherForecastsError::Named(name.clone(), found()))
            }
            None => Ok(names.iter().find_map(|name| position(name))),
        };
        let missing = |what: &'static str, key: &'static str, names: &[&'static str]| {
            OtherForecastsError::Column { what, key, names: names.to_vec(), found: found() }
        };
        let issued = match (column("issued_at", &ISSUED)?, position("date")) {
            (Some(column), _) => Issued::Time(column),
            (None, Some(date)) => Issued::Date(date, position("hour")),
            (None, None) => return Err(missing("the time of issue", "issued_at", &ISSUED)),
        };
        let (valid, lead) = (column("valid_at", &VALID)?, column("lead_h", &LEAD)?);
        if valid.is_none() && lead.is_none() {
            return Err(missing("the lead in hours, or the time that a forecast is for", "lead_h", &LEAD));
        }
        let value = column("temperature_c", &VALUE)?
            .ok_or_else(|| missing("the temperature", "temperature_c", &VALUE))?;
        let mut quantiles: Vec<(Option<f64>, usize)> = Vec::new();
        for (key, name) in named.iter().filter_map(|(key, name)| Some((quantile(key)?, name))) {
            let column = position(name).ok_or_else(|| OtherForecastsError::Named(name.clone(), found()))?;
            quantiles.push((Some(key), column));
        }
        if quantiles.is_empty() {
            let by_name = |(column, name): (usize, &String)| Some((Some(quantile(name)?), column));
            quantiles.extend(header.iter().enumerate().filter_map(by_name));
        }
        quantiles.sort_by(|one, other| one.0.unwrap_or(0.5).total_cmp(&other.0.unwrap_or(0.5)));
        let of_level =
            |level: f64| quantiles.iter().find(|(own, _)| own.is_some_and(|own| (own - level).abs() < 1e-9));
        let ends = match (of_level(0.1), of_level(0.9), quantiles.as_slice()) {
            // As of a model of ours, so that the intervals are of one level.
            (Some(low), Some(high), _) | (_, _, [low, .., high]) => Some([*low, *high]),
            _ => match ENDS.map(position) {
                [Some(low), Some(high)] => Some([(None, low), (None, high)]),
                _ => None,
            },
        };
        let location = position("location").or_else(|| position("id"));
        Ok(Layout { issued, valid, lead, value, location, ends })
    }

    fn interval(&self) -> Option<(f64, f64)> {
        let [(low, _), (high, _)] = self.ends?;
        low.zip(high)
    }

    fn forecast(&self, cells: &[String]) -> Result<OtherForecast, String> {
        let cell = |column: usize| cells.get(column).map(String::as_str).unwrap_or_default();
        let issued_at = match self.issued {
            Issued::Time(column) => time(cell(column))?,
            Issued::Date(date, hour) => day(cell(date))? + hours(hour.map_or("0", cell))?,
        };
        let valid_at = match (self.valid, self.lead) {
            (Some(column), _) => time(cell(column))?,
            (None, Some(column)) => issued_at
                .checked_add(hours(cell(column))?)
                .map_err(|_| format!("lead {:?} is beyond the end of time", cell(column)))?,
            (None, None) => return Err("neither lead nor time".to_owned()),
        };
        let temperature_c =
            number(cell(self.value)).ok_or_else(|| format!("{:?} is no temperature", cell(self.value)))?;
        let end = |index: usize| self.ends.and_then(|ends| number(cell(ends[index].1)));
        Ok(OtherForecast { issued_at, valid_at, temperature_c, interval_c: end(0).zip(end(1)) })
    }
}

/// The quantile that a name is of: `q0.1`, `q10`.
fn quantile(name: &str) -> Option<f64> {
    let number: f64 = name.strip_prefix(['q', 'Q'])?.trim_start_matches('_').parse().ok()?;
    let share = if number >= 1.0 { number / 100.0 } else { number };
    (share > 0.0 && share < 1.0).then_some(share)
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number != MISSING)
}

fn hours(text: &str) -> Result<SignedDuration, String> {
    let hours = number(text).filter(|hours| hours.abs() < 1e6);
    let hours = hours.ok_or_else(|| format!("{text:?} is no number of hours"))?;
    Ok(SignedDuration::from_secs((hours * 3600.0).round() as i64))
}

/// RFC 3339, ISO 8601 without an offset, which is UTC then, or seconds since 1970.
fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Some(seconds) = number(text) {
        return Timestamp::from_second(seconds as i64).map_err(|error| error.to_string());
    }
    let civil = text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from));
    let time = civil.and_then(|civil| TimeZone::UTC.to_timestamp(civil));
    time.map_err(|_| format!("{text:?} is no time"))
}

/// A day as one number, `20240131`.
fn day(text: &str) -> Result<Timestamp, String> {
    let failed = || format!("{text:?} is no date of the form YYYYMMDD");
    let number = text.parse::<i32>().map_err(|_| failed())?;
    let date = Date::new((number / 10_000) as i16, (number / 100 % 100) as i8, (number % 100) as i8);
    let time = date.and_then(|date| TimeZone::UTC.to_timestamp(DateTime::from(date)));
    time.map_err(|_| failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn parse(text: &str) -> Result<OtherForecasts, OtherForecastsError> {
        OtherForecasts::parse(text, &BTreeMap::new())
    }

    #[test]
    fn a_file_of_verif_is_read_as_its_own_reader_does() {
        // As the example of verif's tests, with a missing value.
        let text = "# variable: Temperature\n# units: $^oC$\n\
                    date hour leadtime location lat lon altitude obs fcst p11 q0.1 q0.9\n\
                    20120101 6 0 18700 59.9 10.7 94 3.1 4.5 0.2 2 7.5\n\
                    20120101 6 12 18700 59.9 10.7 94 -999 -999 0.2 2 7.5\n";
        let all = parse(text).unwrap();
        assert_eq!(
            all.forecasts,
            [OtherForecast {
                issued_at: at("2012-01-01T06:00:00Z"),
                valid_at: at("2012-01-01T06:00:00Z"),
                temperature_c: 4.5,
                interval_c: Some((2.0, 7.5)),
            }]
        );
        assert_eq!((all.interval, all.skipped), (Some((0.1, 0.9)), 1));
        assert_eq!(all.first_skipped.as_deref(), Some("line 5: \"-999\" is no temperature"));
        let two = text.replace("12 18700", "12 18701");
        assert!(matches!(parse(&two), Err(OtherForecastsError::Locations(..))));
        let unixtime = "unixtime offset fcst\n1325397600 24 1.5\n";
        assert_eq!(parse(unixtime).unwrap().forecasts[0].valid_at, at("2012-01-02T06:00:00Z"));
    }

    #[test]
    fn of_many_quantiles_the_interval_is_that_of_a_model_of_ours() {
        let interval = |quantiles: &str| {
            let text = format!("unixtime lead_h fcst {quantiles}\n1325397600 24 5 1 2 3 7 8 9\n");
            let all = parse(&text).unwrap();
            (all.interval, all.forecasts[0].interval_c)
        };
        assert_eq!(interval("q0.05 q0.1 q0.25 q0.75 q0.9 q0.95"), (Some((0.1, 0.9)), Some((2.0, 8.0))));
        assert_eq!(interval("q5 q10 q25 q75 q90 q95"), (Some((0.1, 0.9)), Some((2.0, 8.0))));
        assert_eq!(interval("q0.05 q0.1 q0.25 q0.75 q0.8 q0.95"), (Some((0.05, 0.95)), Some((1.0, 9.0))));
    }

    #[test]
    fn columns_of_a_csv_file_are_known_by_usual_names_or_named() {
        for text in [
            "issued_at,valid_at,temperature_c\n2024-05-01T00:00:00Z,2024-05-01T06:00:00Z,7.5\n",
            "Init_Time;step;forecast;q10;q90\n2024-05-01 00:00;6;7.5;6;9\n",
            "origin,lead_h,model_c\n1714521600,6,7.5\n",
        ] {
            let forecast = parse(text).unwrap().forecasts[0];
            assert_eq!(forecast.issued_at, at("2024-05-01T00:00:00Z"), "{text}");
            assert_eq!((forecast.valid_at, forecast.temperature_c), (at("2024-05-01T06:00:00Z"), 7.5));
        }
        let text = "run,h,t2m,lo,hi\n2024-05-01T00:00:00Z,6,7.5,6.5,8.5\n";
        let error = parse(text).unwrap_err().to_string();
        assert!(
            error.contains("no column of the time of issue") && error.contains("issued_at=COLUMN"),
            "{error}"
        );
        let names = [
            ("issued_at", "run"),
            ("lead_h", "h"),
            ("temperature_c", "t2m"),
            ("q0.05", "lo"),
            ("q0.95", "hi"),
        ];
        let names = names.map(|(key, name)| (key.to_owned(), name.to_owned())).into();
        let all = OtherForecasts::parse(text, &names).unwrap();
        assert_eq!((all.interval, all.forecasts[0].interval_c), (Some((0.05, 0.95)), Some((6.5, 8.5))));
        assert_eq!(all.crossed, 0);
        let crossed = OtherForecasts::parse(&text.replace("6.5,8.5", "8.5,6.5"), &names).unwrap();
        assert_eq!((crossed.crossed, crossed.forecasts[0].interval_c), (1, Some((6.5, 8.5))));
        let wrong = BTreeMap::from([("when".to_owned(), "run".to_owned())]);
        assert!(matches!(OtherForecasts::parse(text, &wrong), Err(OtherForecastsError::Key(_))));
    }
}
