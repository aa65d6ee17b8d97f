//! Answers that a client takes compressed: by gzip (RFC 1952), where it says that it does (RFC 9110, section 12.5.3) and where
//! that saves anything. What is written bit by bit, as server-sent events are, is left as it is.

use std::io::Write;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Fewer bytes fit into one packet as they are.
const WORTH_IT: u64 = 1200;

/// Compresses an answer of which the length is known.
pub(super) async fn compress(request: Request, next: Next) -> Response {
    let is_taken = request.method() == Method::GET && accepts_gzip(request.headers());
    let response = next.run(request).await;
    let length = response.body().size_hint().exact();
    let is_long = length.is_some_and(|length| length >= WORTH_IT);
    if !is_long || response.status() != StatusCode::OK || !is_text(response.headers()) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // What is kept on the way is kept for clients of one kind.
    head.headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if !is_taken {
        return Response::from_parts(head, body);
    }
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let whole = bytes.clone();
    // A megabyte takes some milliseconds, too long for the asynchronous runtime.
    let Ok(Ok(compressed)) = tokio::task::spawn_blocking(move || gzip(&whole)).await else {
        return Response::from_parts(head, Body::from(bytes));
    };
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(compressed))
}

fn gzip(bytes: &Bytes) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Whether an answer is of a kind that becomes smaller.
fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("text/") || kind.starts_with("application/json") || kind.starts_with("image/svg+xml")
}

/// Whether a client takes gzip: it names it, or everything, and not with the weight zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let all = || headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let weight_of = |wanted: &str| {
        all().flat_map(|value| value.split(',')).find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight =
                parameters.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
            name.trim().eq_ignore_ascii_case(wanted).then_some(weight.unwrap_or(0.0))
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_given_to_those_who_name_it_and_do_not_refuse_it() {
        let accepts = |text: &str| {
            accepts_gzip(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(text).unwrap(),
            )]))
        };
        for taken in ["gzip", "deflate, GZIP;q=0.5, br", "*", "br;q=1.0, *;q=0.1", "gzip;q=0.001"] {
            assert!(accepts(taken), "{taken}");
        }
        for refused in ["", "br", "gzip;q=0", "*, gzip;q=0", "*;q=0", "gzip;q=much", "x-gzip"] {
            assert!(!accepts(refused), "{refused}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
