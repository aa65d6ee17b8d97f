//! In which form an answer is given: JSON, or CSV where a person would open a spreadsheet.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::parameters::Parameters;
use super::problem::Problem;
use crate::wire::api::Row;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Csv,
}

impl Form {
    /// What `format` says, else what the client accepts.
    pub(super) fn new(parameters: &Parameters, headers: &HeaderMap) -> Result<Form, Problem> {
        let accepts_csv = || {
            let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            accept.is_some_and(|accept| accept.trim_start().starts_with("text/csv"))
        };
        Ok(match parameters.one_of("format", ["json", "csv"].into_iter())? {
            Some("csv") => Form::Csv,
            None if accepts_csv() => Form::Csv,
            _ => Form::Json,
        })
    }

    /// The answer, whose rows CSV is of.
    pub(super) fn answer<R: Row>(self, file: &str, whole: &impl Serialize, rows: &[R]) -> Response {
        match self {
            Form::Json => json(whole),
            Form::Csv => csv_answer(file, table(rows).ok()),
        }
    }
}

/// Rows as CSV, with a header though there be none.
fn table<R: Row>(rows: &[R]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(R::COLUMNS)?;
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    writer.into_inner().map_err(|error| error.into_error().into())
}

/// JSON that is not kept.
pub(super) fn json(value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).expect("strings and finite numbers are JSON");
    json_text(text)
}

/// JSON that has been written.
pub(super) fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// CSV that has been written, to be saved as a file of this name; the name is one of ours.
pub(super) fn csv_answer(file: &str, text: Option<Vec<u8>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}.csv\"")),
    ];
    (headers, text.expect("a vector takes what is written")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::{Day, Past, lead_rows, score_rows};
    use forecastd_core::{DailyScore, Forecast, LeadForecast, LeadScores, PastForecast, Source, StationName};
    use jiff::Timestamp;

    /// The header that serde would write above these rows.
    fn header<R: Row>(rows: &[R]) -> String {
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().for_each(|row| writer.serialize(row).unwrap());
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        text.lines().next().unwrap().to_owned()
    }

    fn assert_has_its_header<R: Row>(rows: &[R]) {
        let (with, without) = (table(rows).unwrap(), table::<R>(&[]).unwrap());
        let (with, without) = (String::from_utf8(with).unwrap(), String::from_utf8(without).unwrap());
        assert_eq!(with.lines().next(), Some(header(rows).as_str()));
        assert_eq!(without.lines().collect::<Vec<_>>(), [header(rows)]);
    }

    #[test]
    fn a_table_has_the_header_of_its_rows_though_there_be_none() {
        let lead = LeadForecast {
            lead_h: 1,
            valid_at: Timestamp::UNIX_EPOCH,
            temperature_c: 1.0,
            interval_c: None,
            quantiles_c: None,
        };
        let past = PastForecast {
            issued_at: Timestamp::UNIX_EPOCH,
            source: Source::Model,
            model: "m".to_owned(),
            lead,
            persistence_c: 1.0,
            yesterday_c: None,
            observed_c: None,
        };
        let forecast = Forecast {
            station: StationName::new("roof").unwrap(),
            issued_at: past.issued_at,
            origin: past.issued_at,
            temperature_c: 1.0,
            model: "m".to_owned(),
            source: Source::Model,
            leads: vec![lead],
            day_ahead: None,
        };
        let day = DailyScore {
            date: jiff::civil::date(2020, 1, 1),
            forecasts: 24,
            hours: 24,
            mae_c: 1.0,
            persistence_mae_c: 2.0,
            yesterday_mae_c: None,
            coverage: None,
        };
        assert_has_its_header(&[Past::from(&past)]);
        assert_has_its_header(&[Day::from(&day)]);
        assert_has_its_header(&lead_rows(&forecast));
        assert_has_its_header(&score_rows([(1, &LeadScores::default())].into_iter()));
    }
}
