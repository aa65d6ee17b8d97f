//! In which form an answer is given: JSON, or CSV where a person would open a spreadsheet.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::parameters::Parameters;
use super::problem::Problem;

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
    pub(super) fn answer<Row: Serialize>(self, file: &str, whole: &impl Serialize, rows: &[Row]) -> Response {
        match self {
            Form::Json => json(whole),
            Form::Csv => {
                let mut writer = csv::Writer::from_writer(Vec::new());
                let written = rows.iter().try_for_each(|row| writer.serialize(row));
                csv_answer(file, written.ok().and_then(|()| writer.into_inner().ok()))
            }
        }
    }
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
