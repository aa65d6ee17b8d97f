//! Why a request has no answer, as RFC 9457 writes it.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// A parameter is not known, stands twice, or cannot be read.
    #[error("{parameter}: {reason}")]
    Parameter {
        /// The name of the parameter.
        parameter: String,
        /// What is wrong with it, and what is expected.
        reason: String,
    },
    /// No station of this name is served.
    #[error("no station of this name is served")]
    NoStation,
    /// There is no forecast yet.
    #[error("there is no forecast yet")]
    NoForecast,
    /// The daemon starts or ends.
    #[error("the daemon is starting or ending")]
    Away,
    /// As many clients as can be listen already.
    #[error("as many clients as http.max_connections allows listen already")]
    TooManyListeners,
    /// The journal cannot be read.
    #[error("the journal cannot be read now")]
    Journal,
}

impl Problem {
    /// A parameter that is refused.
    pub(super) fn parameter(parameter: &str, reason: impl Into<String>) -> Problem {
        Problem::Parameter { parameter: parameter.to_owned(), reason: reason.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Problem::Parameter { .. } => StatusCode::BAD_REQUEST,
            Problem::NoStation | Problem::NoForecast => StatusCode::NOT_FOUND,
            Problem::Away | Problem::TooManyListeners | Problem::Journal => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or_default();
        let body = json!({"title": title, "status": status.as_u16(), "detail": self.to_string()});
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("10"));
            // One that waits for its next request would keep others from being served.
            headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}
