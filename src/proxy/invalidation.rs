//! After a successful write, before its answer goes out: what it made untrue is purged, so that the client's next question
//! is answered anew, by whichever instance.

use crate::cache::refresh::Asked;
use crate::cache::{Purge, Refresh, Site, writes};
use crate::config::Route;
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use http::{HeaderMap, Method};
use std::sync::Arc;

/// Purges after a write. Costs nothing for other requests and for paths that no cached route serves; else one round trip,
/// bounded by the store's time-out.
pub(super) async fn after_write(
    gate: &Gate,
    ctx: &RequestCtx,
    method: &Method,
    status: u16,
    headers: &HeaderMap,
) {
    if !writes::is_write(method, status) {
        return;
    }
    let Some(route) = ctx.route.clone() else { return };
    let purges = purges(ctx, &route, headers);
    if !purges.is_empty() {
        gate.stores.purges.purge(&purges).await;
        gate.metrics.cache_purges("write", u64::try_from(purges.len()).unwrap_or(u64::MAX));
    }
    // After the purges: what is asked for from now on was born after them.
    refresh(gate, ctx, &route);
}

/// Has what the route names asked for again. Nothing is waited for.
fn refresh(gate: &Gate, ctx: &RequestCtx, route: &Route) {
    for target in &route.refresh {
        let site = Site { scheme: ctx.scheme, authority: ctx.authority.as_str().into() };
        let tenant = ctx.caller.tenant.clone();
        let refresh = Refresh { tenant, site, target: target.as_str().into() };
        if gate.stores.warming.ask(&refresh, gate.clock.monotonic_ms()) == Asked::Full {
            gate.metrics.cache_warmed("dropped");
        }
    }
}

fn purges(ctx: &RequestCtx, route: &Arc<Route>, headers: &HeaderMap) -> Vec<Purge> {
    let tenant = ctx.caller.tenant.as_deref();
    let mut paths = vec![ctx.path.clone()];
    let slash = ctx.snapshot.server.request.encoded_slash;
    let named = writes::named_by(headers, ctx.scheme, &ctx.authority, &ctx.path);
    paths.extend(named.iter().filter_map(|path| crate::route::canonical_path(path, slash).ok()));
    let cached = paths.iter().filter(|path| is_cached(ctx, path)).map(String::as_str);
    let mut purges = writes::written(cached, tenant);
    if let Some(invalidates) = &route.invalidates {
        purges.extend(invalidates.purges(tenant));
    }
    purges
}

/// Does the route that answers GET of this path keep answers?
fn is_cached(ctx: &RequestCtx, path: &str) -> bool {
    let host = crate::message::host(&ctx.authority);
    ctx.snapshot.routes.find(host, path, &Method::GET).is_some_and(|route| route.namespace.is_some())
}
