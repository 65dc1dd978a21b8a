//! PURGE on the data listener: what is stored under its target goes, for whoever sends it from a network that may.

use crate::cache::{Mode, Purge, What, Whose};
use crate::proxy::context::RequestCtx;
use crate::proxy::gate::Gate;
use crate::proxy::refusal::Refusal;
use crate::proxy::respond::Local;
use crate::store::Receipt;
use http::{HeaderMap, HeaderName, Method};

/// `soft`, or nothing.
const HOW: HeaderName = HeaderName::from_static("x-tidegate-purge");

/// Is it for us? Where nobody may purge so, PURGE is a method like any other.
pub(super) fn is_asked(ctx: &RequestCtx, method: &Method) -> bool {
    method.as_str() == "PURGE" && !ctx.snapshot.cache.purge_from.is_empty()
}

/// Purges the target: with a query exactly that, without one the path with whatever query; of the caller's tenant, if
/// there is one.
pub(super) async fn purge(gate: &Gate, ctx: &RequestCtx, headers: &HeaderMap) -> Result<Local, Refusal> {
    let address = ctx.caller.address;
    let may = ctx.snapshot.cache.purge_from.iter().any(|network| network.contains(&address));
    // With a credential that proves nothing it would be everybody's answers instead of its tenant's.
    if !may || ctx.caller.rejected_credential {
        tracing::info!(%address, path = ctx.path, "purge refused");
        return Err(Refusal::Purge);
    }
    let mode = match headers.get(HOW).map(|value| value.as_bytes().eq_ignore_ascii_case(b"soft")) {
        Some(true) => Mode::Soft,
        Some(false) | None => Mode::Hard,
    };
    let tenant = ctx.caller.tenant.as_deref();
    let whose = tenant.map_or(Whose::All, |tenant| Whose::Tenant(tenant.to_owned()));
    let query = ctx.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let purges = [Purge { mode, whose, namespace: None, what: What::Path(format!("{}{query}", ctx.path)) }];
    let reach = gate.stores.purges.purge(&purges).await;
    gate.metrics.cache_purges("method", 1);
    let receipt = Receipt::of(&purges, mode, Some(reach), ctx.started_wall_ms);
    let Receipt { applied, .. } = receipt;
    tracing::info!(source = "method", applied, ?mode, ?tenant, path = ctx.path, %address, "cache purged");
    Ok(Local::Receipt(receipt))
}
