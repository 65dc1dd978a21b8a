//! The page at `/dashboard/`: the files of `assets`, built in, as they are.
//!
//! It holds nothing of a tenant and needs no token; what it shows it asks the API for, with the token that its user has
//! pasted. Whatever it is made to show, it runs no script but its own and asks no other origin: the policy says so.

use crate::base::Digester;
use crate::cache::Coder;
use crate::cache::coding::{Coding, Levels, choose};
use crate::web::is_known;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::sync::{Arc, OnceLock};

/// Where the page is. Its files find each other, and the API, relative to it, so that a proxy may put a prefix in front.
const PLACE: &str = "/dashboard";
const INDEX: &str = "index.html";

const MARKUP: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Styles are set by the object model, which `style-src` permits; no text ever becomes markup, which `trusted-types`
/// enforces.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// What every file is sent with.
const FIELDS: &[(&str, &str)] = &[
    // Asked for anew each time, and answered with 304: a new version is in use at once, and never half of it.
    ("cache-control", "no-cache"),
    ("vary", "Accept-Encoding"),
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Files are coded once, when they are first asked for in that coding.
const LEVELS: Levels = Levels { zstd: None, brotli: Some(9), gzip: Some(9) };

/// A file of the page: its name below [`PLACE`], its media type, its bytes.
type Asset = (&'static str, &'static str, &'static [u8]);

macro_rules! asset {
    ($name:literal, $media_type:expr) => {
        ($name, $media_type, include_bytes!(concat!("assets/", $name)))
    };
}

const ASSETS: &[Asset] = &[
    asset!("index.html", MARKUP),
    asset!("icon.svg", IMAGE),
    asset!("style.css", STYLE),
    asset!("api.js", SCRIPT),
    asset!("app.js", SCRIPT),
    asset!("charts.js", SCRIPT),
    asset!("dom.js", SCRIPT),
    asset!("export.js", SCRIPT),
    asset!("feed.js", SCRIPT),
    asset!("format.js", SCRIPT),
    asset!("range.js", SCRIPT),
    asset!("refresh.js", SCRIPT),
    asset!("session.js", SCRIPT),
    asset!("statistics.js", SCRIPT),
    asset!("theme.js", SCRIPT),
    asset!("tiles.js", SCRIPT),
    asset!("vendor/uPlot.LICENSE", TEXT),
    asset!("vendor/uPlot.esm.js", SCRIPT),
    asset!("vendor/uPlot.min.css", STYLE),
];

/// `GET /dashboard/` with everything below it, and `GET /dashboard`, which leads there.
pub(in crate::companion) fn routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    ASSETS.iter().fold(Router::new().route(PLACE, get(there)), |router, asset| {
        let file = Arc::new(File::new(asset));
        let path = format!("{PLACE}/{}", if asset.0 == INDEX { "" } else { asset.0 });
        router.route(&path, get(async move |request: HeaderMap| file.answer(&request)))
    })
}

/// Relative, because a prefix that a proxy has taken away is not known here.
async fn there() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, "dashboard/"), (CACHE_CONTROL, "no-cache")]).into_response()
}

/// A file with what is made of it once.
struct File {
    media_type: &'static str,
    body: Bytes,
    digest: String,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

impl File {
    fn new((name, media_type, body): &Asset) -> Self {
        let digest = Digester::new("tidegate page 1").part(name.as_bytes()).part(body).finish();
        Self {
            media_type,
            body: Bytes::from_static(body),
            digest: digest.short(),
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let coded = choose(request, &LEVELS).and_then(|coding| self.coded(coding));
        // Two codings of a file are two representations, which a strong validator tells apart (RFC 9110 section 8.8.3.3).
        let tag = match coded {
            Some((coding, _)) => format!("\"{}-{}\"", self.digest, coding.as_str()),
            None => format!("\"{}\"", self.digest),
        };
        let mut response = if is_known(request, &tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.whole(coded)
        };
        let headers = response.headers_mut();
        for (name, value) in FIELDS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        response
    }

    fn whole(&self, coded: Option<(Coding, Bytes)>) -> Response {
        let (coding, body) = coded.unzip();
        let mut response = Body::from(body.unwrap_or_else(|| self.body.clone())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if let Some(coding) = coding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        }
        response
    }

    /// The body in that coding; `None` where it saves nothing.
    fn coded(&self, coding: Coding) -> Option<(Coding, Bytes)> {
        let place = match coding {
            Coding::Brotli => &self.brotli,
            Coding::Gzip => &self.gzip,
            Coding::Zstd => return None,
        };
        let body = place.get_or_init(|| coded(&self.body, coding)).clone()?;
        Some((coding, body))
    }
}

/// `body` in that coding; `None` where it saves nothing.
fn coded(body: &[u8], coding: Coding) -> Option<Bytes> {
    let mut coder = Coder::new(coding, &LEVELS)?;
    let mut whole = coder.push(body, false).ok()?.to_vec();
    whole.extend(coder.finish().ok()?);
    (whole.len() < body.len()).then(|| whole.into())
}

#[cfg(test)]
mod tests;
