//! How figures are kept and told: computed once by tenant and question, and told with when that was.

use crate::base::Digester;
use crate::cache::Namespace;
use crate::companion::service::ServiceState;
use crate::companion::service::refusal::Refusal;
use crate::companion::{Zone, format_us};
use crate::store::{Cached, Question};
use crate::telemetry::CacheResult;
use crate::web::{is_known, typed};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The form of what is kept: that of another version is never read.
const FORM: &str = env!("CARGO_PKG_VERSION");

/// What a question comes to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Computed<T> {
    /// When it was read from the database, in milliseconds since 1970.
    as_of_ms: u64,
    /// In which time zone.
    timezone: String,
    figures: T,
}

impl<T> Computed<T> {
    pub(super) fn new(as_of_ms: u64, zone: &Zone, figures: T) -> Self {
        Self { as_of_ms, timezone: zone.name().to_owned(), figures }
    }
}

/// Which figures.
pub(super) struct Wanted<'q> {
    /// How they are kept; `None`: they are not.
    pub(super) namespace: Option<&'q Arc<Namespace>>,
    /// Whose.
    pub(super) tenant: &'q str,
    /// Which ones: everything that they depend on.
    pub(super) key: &'q [&'q str],
    /// When they are no longer those of now, however long they are kept: in milliseconds since 1970. `None`: never.
    pub(super) until_ms: Option<u64>,
}

/// Figures, and what is to be said about them.
pub(super) struct Told<T> {
    pub(super) figures: T,
    metadata: Metadata,
    /// How long they are good for; `None`: nobody keeps them.
    left_s: Option<u64>,
    result: CacheResult,
    /// What the tag is made of, where that is not all that is told.
    tagged: Option<Vec<u8>>,
}

impl<T> Told<T> {
    /// Not good beyond that moment.
    fn until(mut self, until_ms: Option<u64>, now_ms: u64) -> Self {
        let most_s = until_ms.map_or(u64::MAX, |until_ms| until_ms.saturating_sub(now_ms) / 1_000);
        self.left_s = self.left_s.map(|left_s| left_s.min(most_s));
        self
    }

    /// Good for no longer than that, and tagged (weakly: bytes may differ) by this instead of all that is told.
    pub(super) fn of_a_moment(mut self, most_s: u64, tagged: &impl Serialize) -> Self {
        self.left_s = self.left_s.map(|left_s| left_s.min(most_s));
        self.tagged = serde_json::to_vec(tagged).ok();
        self
    }

    /// Says whether who asks may export too: of the token, and never kept with the figures.
    pub(super) fn may_export(mut self, may_export: bool) -> Self {
        self.metadata.may_export = Some(may_export);
        self
    }

    /// The same about other figures.
    pub(super) fn map<U>(self, shape: impl FnOnce(T) -> U) -> Told<U> {
        let Self { figures, metadata, left_s, result, tagged } = self;
        Told { figures: shape(figures), metadata, left_s, result, tagged }
    }
}

#[derive(Debug, Clone, Serialize)]
struct Metadata {
    /// When the figures were read from the database.
    timestamp: String,
    organization_id: String,
    /// How long they are kept, in seconds.
    cache_ttl: u64,
    cached: bool,
    timezone: String,
    /// They are older than that, because newer ones are not to be had yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stale: bool,
    /// May who asks export them? `None`: this question does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    may_export: Option<bool>,
}

#[derive(Serialize)]
struct Envelope<'a, T, P> {
    status: &'static str,
    data: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pagination: Option<&'a P>,
    metadata: &'a Metadata,
}

/// The figures that are kept, or those that `compute` gives. Of all who ask at the same time one computes.
pub(super) async fn figures<T, F, V>(
    state: &ServiceState,
    wanted: Wanted<'_>,
    compute: F,
) -> Result<Told<T>, Refusal>
where
    T: Serialize + DeserializeOwned,
    F: FnOnce() -> V + Send + 'static,
    V: Future<Output = Result<Computed<T>, Refusal>> + Send + 'static,
{
    let (computed, result) = match wanted.namespace {
        None => (compute().await?, CacheResult::Bypass),
        Some(namespace) => {
            let key = [&[FORM], wanted.key].concat();
            let question = Question { namespace, tenant: Some(wanted.tenant), key: &key };
            let Cached { value, result } = state
                .stores
                .cached(question, move || async move {
                    let computed = compute().await?;
                    serde_json::to_vec(&computed).map(Bytes::from).map_err(|error| unreadable(&error))
                })
                .await?;
            (serde_json::from_slice(&value).map_err(|error| unreadable(&error))?, result)
        }
    };
    let ttl = wanted.namespace.and_then(|namespace| namespace.ttl);
    let ttl = ttl.filter(|_| result != CacheResult::Bypass);
    let now_ms = state.clock.wall_ms();
    let told = told(computed, wanted.tenant, result, ttl.map(crate::base::clock::millis), now_ms);
    Ok(told.until(wanted.until_ms, now_ms))
}

fn told<T>(
    computed: Computed<T>,
    tenant: &str,
    result: CacheResult,
    ttl_ms: Option<u64>,
    now_ms: u64,
) -> Told<T> {
    let Computed { as_of_ms, timezone, figures } = computed;
    let metadata = Metadata {
        timestamp: format_us(i64::try_from(as_of_ms).unwrap_or(i64::MAX).saturating_mul(1_000)),
        organization_id: tenant.to_owned(),
        cache_ttl: ttl_ms.unwrap_or(0) / 1_000,
        cached: matches!(result, CacheResult::Hit | CacheResult::Stale),
        timezone,
        stale: result == CacheResult::Stale,
        may_export: None,
    };
    let left_s = ttl_ms.map(|ttl_ms| ttl_ms.saturating_sub(now_ms.saturating_sub(as_of_ms)) / 1_000);
    Told { figures, metadata, left_s, result, tagged: None }
}

fn unreadable(error: &serde_json::Error) -> Refusal {
    tracing::error!(%error, "figures cannot be written or read");
    Refusal::new(500, "internal", "The figures are not to be had", "the log says why")
}

/// Reads the parameter `tz`.
pub(super) fn read_zone(value: &str) -> Result<Zone, String> {
    Zone::parse(value).map_err(|fault| fault.to_string())
}

/// The answer; nothing but that nothing has changed, to somebody who has it already.
pub(super) fn answer<T: Serialize, P: Serialize>(
    told: &Told<T>,
    pagination: Option<&P>,
    headers: &HeaderMap,
) -> Response {
    let Told { figures, metadata, left_s, result, tagged } = told;
    let fresh = Metadata { cached: false, ..metadata.clone() };
    let text = |metadata: &Metadata| {
        let envelope = Envelope { status: "success", data: figures, pagination, metadata };
        serde_json::to_vec(&envelope).unwrap_or_default()
    };
    // Two representations that differ in `cached` alone have tags of their own; who has either of them has the figures.
    let tags = match tagged {
        None => {
            let digest = Digester::new("tidegate figures 1").part(&text(&fresh)).finish().short();
            [format!("\"{digest}\""), format!("\"{digest}-c\"")]
        }
        Some(tagged) => {
            let about = serde_json::to_vec(&fresh).unwrap_or_default();
            let digest = Digester::new("tidegate figures 2").part(tagged).part(&about).finish().short();
            [format!("W/\"{digest}\""), format!("W/\"{digest}\"")]
        }
    };
    let [as_computed, as_cached] = &tags;
    let mut response = match tags.iter().find(|tag| is_known(headers, tag)) {
        Some(known) => with_tag(StatusCode::NOT_MODIFIED.into_response(), known),
        None => {
            let whole = typed(StatusCode::OK, "application/json", text(metadata));
            with_tag(whole, if metadata.cached { as_cached } else { as_computed })
        }
    };
    let caching = match left_s {
        Some(left_s) => HeaderValue::try_from(format!("private, max-age={left_s}")),
        None => Ok(HeaderValue::from_static("private, no-store")),
    };
    if let Ok(caching) = caching {
        response.headers_mut().insert(header::CACHE_CONTROL, caching);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Authorization"));
    response.extensions_mut().insert(*result);
    response
}

fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// What a caller of [`answer`] has who has no pages.
pub(super) const NO_PAGES: Option<&()> = None;

#[cfg(test)]
mod tests {
    use super::*;

    fn computed(as_of_ms: u64) -> Computed<u64> {
        Computed { as_of_ms, timezone: "UTC".to_owned(), figures: 7 }
    }

    #[test]
    fn what_is_left_shrinks_with_age_and_never_below_nothing() {
        let left = |result, now_ms| told(computed(10_000), "acme", result, Some(60_000), now_ms).left_s;
        assert_eq!(left(CacheResult::Miss, 10_000), Some(60));
        assert_eq!(left(CacheResult::Hit, 30_500), Some(39));
        assert_eq!(left(CacheResult::Stale, 99_000), Some(0));
        assert_eq!(left(CacheResult::Hit, 9_000), Some(60), "another instance's clock is behind");
        let bypass = told(computed(0), "acme", CacheResult::Bypass, None, 5);
        assert_eq!((bypass.left_s, bypass.metadata.cache_ttl, bypass.metadata.cached), (None, 0, false));
    }

    #[test]
    fn nothing_is_said_to_be_good_beyond_the_tenants_midnight() {
        let left = |until_ms, now_ms| {
            let told = told(computed(10_000), "acme", CacheResult::Hit, Some(60_000), now_ms);
            told.until(until_ms, now_ms).left_s
        };
        assert_eq!(left(Some(86_400_000), 30_000), Some(40), "far away");
        assert_eq!(left(Some(35_500), 30_000), Some(5));
        assert_eq!(left(Some(30_000), 30_001), Some(0), "it is over");
        assert_eq!(left(None, 30_000), Some(40));
    }

    #[test]
    fn what_is_of_a_moment_is_good_for_that_and_its_tag_does_not_change_with_when_it_was_asked() {
        let of = |result, tagged: u64, given: &str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::try_from(given).expect("a field"))];
            let told = told(computed(0), "acme", result, Some(60_000), 0).map(|_| rand::random::<u64>());
            let response = answer(&told.of_a_moment(5, &tagged), NO_PAGES, &headers.into_iter().collect());
            assert_eq!(response.headers()[header::CACHE_CONTROL], "private, max-age=5");
            (response.status().as_u16(), response.headers()[header::ETAG].to_str().expect("text").to_owned())
        };
        let (status, tag) = of(CacheResult::Miss, 1, "\"other\"");
        assert!(status == 200 && tag.starts_with("W/\""), "{tag}");
        assert_eq!(of(CacheResult::Hit, 1, &tag), (304, tag.clone()));
        assert_eq!(of(CacheResult::Hit, 1, tag.trim_start_matches("W/")).0, 304);
        assert_eq!(of(CacheResult::Hit, 2, &tag).0, 200, "something else is told");
        assert_eq!(of(CacheResult::Stale, 1, &tag).0, 200, "`stale` is part of it");
    }

    #[test]
    fn either_tag_of_the_same_figures_is_not_modified_and_no_other() {
        let of = |result, given: &str| {
            let headers = [(header::IF_NONE_MATCH, HeaderValue::try_from(given).expect("a field"))];
            let told = told(computed(0), "acme", result, Some(60_000), 0);
            let response = answer(&told, NO_PAGES, &headers.into_iter().collect());
            (response.status().as_u16(), response.headers()[header::ETAG].to_str().expect("text").to_owned())
        };
        let (status, tag) = of(CacheResult::Miss, "\"other\"");
        assert_eq!(status, 200);
        let (_, cached) = of(CacheResult::Hit, "\"other\"");
        assert_ne!(tag, cached, "the bytes differ");
        assert_eq!(of(CacheResult::Hit, &tag), (304, tag.clone()));
        assert_eq!(of(CacheResult::Hit, &format!("\"x\", W/{cached}")), (304, cached));
        assert_eq!(of(CacheResult::Miss, "*").0, 304);
        assert_eq!(of(CacheResult::Stale, &tag).0, 200, "`stale` is part of what is told");
    }
}
