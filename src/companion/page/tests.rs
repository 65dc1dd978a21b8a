//! The page's files as they are served.

use super::*;
use axum::extract::Request;
use flate2::read::GzDecoder;
use http::header::IF_NONE_MATCH;
use http::header::{ACCEPT_ENCODING, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

async fn ask(path: &str, fields: &[(HeaderName, &str)]) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::get(path);
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = TowerToHyperService::new(routes::<()>().with_state(())).call(request).await;
    let (head, body) = response.expect("an answer").into_parts();
    (head.status, head.headers, body.collect().await.expect("a body").to_bytes())
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

/// What stands between `before` and the next quotation mark.
fn quoted<'t>(text: &'t str, before: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(['"', '\'']).next()).collect()
}

#[test]
fn every_file_of_the_folder_is_served_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/companion/page/assets");
    let mut there = BTreeSet::new();
    for below in ["", "vendor"] {
        for entry in std::fs::read_dir(folder.join(below)).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                there.insert(path.strip_prefix(&folder).expect("below").display().to_string());
            }
        }
    }
    let served: BTreeSet<String> = ASSETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(served, there);
}

#[tokio::test]
async fn everything_that_the_page_names_is_there_and_named_relatively() {
    let (status, headers, body) = ask("/dashboard/", &[]).await;
    assert_eq!((status, text(&headers, CONTENT_TYPE)), (StatusCode::OK, MARKUP));
    let markup = String::from_utf8(body.to_vec()).expect("text");
    let mut named: Vec<String> = [quoted(&markup, " src=\""), quoted(&markup, "<link rel=\"icon\" href=\"")]
        .concat()
        .into_iter()
        .chain(quoted(&markup, "<link rel=\"stylesheet\" href=\""))
        .map(str::to_owned)
        .collect();
    assert_eq!(named.len(), 4, "{named:?}");
    for (_, _, script) in
        ASSETS.iter().filter(|(name, media_type, _)| *media_type == SCRIPT && !name.starts_with("vendor"))
    {
        let script = std::str::from_utf8(script).expect("text");
        let imports = quoted(script, " from './").into_iter().map(str::to_owned);
        named.extend(imports);
    }
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        let (status, ..) = ask(&format!("/dashboard/{name}"), &[]).await;
        assert_eq!(status, StatusCode::OK, "{name}");
    }
    let (status, ..) = ask("/dashboard/other.js", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_the_last_slash_it_leads_to_the_page_under_any_prefix() {
    let (status, headers, _) = ask("/dashboard", &[]).await;
    assert_eq!((status, text(&headers, LOCATION)), (StatusCode::PERMANENT_REDIRECT, "dashboard/"));
}

#[tokio::test]
async fn every_file_has_the_policy_and_asks_to_be_revalidated() {
    for (name, media_type, _) in ASSETS {
        let name = if *name == INDEX { "" } else { name };
        let (_, headers, _) = ask(&format!("/dashboard/{name}"), &[]).await;
        assert_eq!(text(&headers, CONTENT_TYPE), *media_type, "{name}");
        assert_eq!(text(&headers, CACHE_CONTROL), "no-cache", "{name}");
        let policy = text(&headers, CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(text(&headers, X_CONTENT_TYPE_OPTIONS), "nosniff", "{name}");
        assert_eq!(text(&headers, REFERRER_POLICY), "no-referrer", "{name}");
    }
}

#[tokio::test]
async fn a_client_that_has_a_file_gets_304_for_the_coding_that_it_has() {
    let gzip = (ACCEPT_ENCODING, "gzip");
    let (_, headers, coded) = ask("/dashboard/vendor/uPlot.esm.js", std::slice::from_ref(&gzip)).await;
    assert_eq!(text(&headers, CONTENT_ENCODING), "gzip");
    let mut script = String::new();
    GzDecoder::new(&coded[..]).read_to_string(&mut script).expect("gzip");
    let (_, plain, body) = ask("/dashboard/vendor/uPlot.esm.js", &[]).await;
    assert_eq!(script.as_bytes(), body);
    assert!(coded.len() * 3 < body.len(), "{} of {}", coded.len(), body.len());
    let (of_coded, of_plain) = (text(&headers, ETAG), text(&plain, ETAG));
    assert_ne!(of_coded, of_plain);
    for (tag, expected) in
        [(of_coded, StatusCode::NOT_MODIFIED), (of_plain, StatusCode::OK), ("*", StatusCode::NOT_MODIFIED)]
    {
        let (status, headers, body) =
            ask("/dashboard/vendor/uPlot.esm.js", &[gzip.clone(), (IF_NONE_MATCH, tag)]).await;
        assert_eq!((status, body.is_empty()), (expected, expected == StatusCode::NOT_MODIFIED), "{tag}");
        assert_eq!(text(&headers, VARY), "Accept-Encoding");
    }
    let several = format!("\"a\", W/{of_plain}");
    let (status, ..) = ask("/dashboard/vendor/uPlot.esm.js", &[(IF_NONE_MATCH, &several)]).await;
    assert_eq!(status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn brotli_is_what_a_client_over_tls_gets() {
    let (_, headers, coded) =
        ask("/dashboard/style.css", &[(ACCEPT_ENCODING, "gzip, deflate, br, zstd")]).await;
    assert_eq!(text(&headers, CONTENT_ENCODING), "br");
    let mut plain = Vec::new();
    brotli::BrotliDecompress(&mut &coded[..], &mut plain).expect("brotli");
    assert_eq!(plain, ask("/dashboard/style.css", &[]).await.2);
}
