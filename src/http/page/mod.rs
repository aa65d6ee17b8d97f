//! What a browser is given: files that are part of the program. There is no build step, and nothing comes from elsewhere.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Shared;

/// The page: every path of it has the same, which then shows what the path names.
const INDEX: Asset = Asset { path: "/", kind: "text/html; charset=utf-8", text: include_str!("index.html") };

macro_rules! asset {
    ($name:literal, $kind:literal) => {
        Asset { path: concat!("/page/", $name), kind: $kind, text: include_str!($name) }
    };
}

/// What the page is made of.
const ASSETS: [Asset; 9] = [
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("main.js", "text/javascript; charset=utf-8"),
    asset!("api.js", "text/javascript; charset=utf-8"),
    asset!("words.js", "text/javascript; charset=utf-8"),
    asset!("chart.js", "text/javascript; charset=utf-8"),
    asset!("charts.js", "text/javascript; charset=utf-8"),
    asset!("station.js", "text/javascript; charset=utf-8"),
    asset!("stations.js", "text/javascript; charset=utf-8"),
];

/// A file of the page, built in.
#[derive(Debug, Clone, Copy)]
struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// The same for all files: they are those of one version, compressed or not, which is what a weak one says.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    INDEX.text.hash(&mut hasher);
    for asset in ASSETS {
        asset.text.hash(&mut hasher);
    }
    format!("W/\"{:016x}\"", hasher.finish())
});

/// Scripts and styles are files of ours, and none is run that is part of a page: a station's name is text, whatever it holds.
/// Others may show the page in a frame, as dashboards do; there is nothing on it to be tricked into.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                                       img-src 'self' data:; base-uri 'none'; form-action 'none'";

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// A route for each file of the page.
pub(super) fn routes() -> Router<Shared> {
    let show = |asset: Asset| get(move |headers: HeaderMap| async move { answer(asset, &headers) });
    let router = Router::new().route(INDEX.path, show(INDEX));
    ASSETS.into_iter().fold(router, |router, asset| router.route(asset.path, show(asset)))
}

/// A file, unless the browser has it.
fn answer(asset: Asset, headers: &HeaderMap) -> Response {
    let kept = [(header::ETAG, TAG.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == TAG.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, asset.kind)], asset.text).into_response()
}

/// Says what browsers may do with an answer, whatever it is.
pub(super) async fn say_what_browsers_may_do(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().extend(HEADERS);
    response
}
