//! A request's limits, from its arrival to its answer: what is decided at once, what only when no stored answer does, what
//! is charged or given back once the answer is known.

use crate::config::Route;
use crate::limit::{Charge, Decision, Mode, Sender, Slot, Stage};
use crate::proxy::context::{RequestCtx, Settled};
use crate::proxy::gate::Gate;
use crate::proxy::refusal::Refusal;
use crate::store::slots::{Place, Standing};
use crate::store::{Admission, Held, SlotRefusal, Source};
use crate::telemetry::LimitDecision as Counted;
use http::HeaderMap;
use pingora::proxy::Session;
use std::sync::Arc;

/// Decides what is decided on arrival, and remembers the rest.
pub(super) async fn arrive(
    gate: &Gate,
    session: &Session,
    ctx: &mut RequestCtx,
    route: &Route,
) -> Result<(), Refusal> {
    if route.policies.is_empty() {
        return Ok(());
    }
    let sender = Sender {
        caller: &ctx.caller,
        headers: &session.req_header().headers,
        is_trusted: ctx.snapshot.identifier.is_trusted(ctx.peer),
    };
    let bill = crate::limit::bill(&route.policies, &sender, &gate.stores.overrides());
    for policy in &bill.bypassed {
        gate.metrics.limit_decision(&policy.name, Counted::Bypass);
    }
    ctx.limits.upstream = bill.upstream;
    decide(gate, ctx, bill.arrival).await
}

/// Decides what is counted only when the request goes upstream (`proxy_upstream_filter`). A denial gives back what was
/// consumed on arrival.
pub(super) async fn go_upstream(gate: &Gate, ctx: &mut RequestCtx) -> Result<(), Refusal> {
    if ctx.is_background || ctx.limits.upstream.is_empty() {
        return Ok(());
    }
    let before = ctx.limits.decisions.len();
    let stage = std::mem::take(&mut ctx.limits.upstream);
    let decided = decide(gate, ctx, stage).await;
    if decided.is_err() {
        let source = ctx.limits.source.unwrap_or(Source::Store);
        let earlier = ctx.limits.charges.iter().zip(&mut ctx.limits.decisions).take(before);
        for (charge, decision) in earlier.filter(|(charge, decision)| charge.was_consumed(decision)) {
            gate.stores.limiter.give_back(charge, decision, source).await;
            add_units(charge, decision);
        }
    }
    decided
}

/// Decides one stage: places first, since they cost nothing lasting.
async fn decide(gate: &Gate, ctx: &mut RequestCtx, stage: Stage) -> Result<(), Refusal> {
    let Stage { charges, slots } = stage;
    if !slots.is_empty() {
        // What is refused anyway asks nobody for a place.
        if let Some(denied) = gate.stores.limiter.remembered(&charges) {
            record(gate, &charges, &denied);
            return take(ctx, charges, denied);
        }
        hold(gate, ctx, &slots).await?;
    }
    if charges.is_empty() {
        return Ok(());
    }
    let began = gate.clock.monotonic();
    let admission = gate.stores.limiter.admit(&charges).await;
    let took = gate.clock.monotonic().saturating_sub(began);
    gate.metrics.limit_decision_duration(gate.stores.limiter.store_name(), took);
    record(gate, &charges, &admission);
    if charges.iter().any(|charge| charge.policy.charges_after() || !charge.policy.refund_on.is_empty()) {
        ctx.limits.settled = Settled::Open;
    }
    let taken = take(ctx, charges, admission);
    if taken.is_err() {
        ctx.limits.settled = Settled::Nothing;
        ctx.limits.held.clear();
    }
    taken
}

/// Takes the places that the request needs while it is under way.
async fn hold(gate: &Gate, ctx: &mut RequestCtx, slots: &[Slot]) -> Result<(), Refusal> {
    let taken = gate.stores.slots.acquire(slots, gate.stores.limiter.instances()).await;
    let held = match taken {
        Ok(held) => held,
        Err(SlotRefusal::Unavailable { policy }) => {
            gate.metrics.limit_decision(&policy.name, Counted::Unavailable);
            ctx.limits.held.clear();
            return Err(Refusal::StoreAway { policy: policy.name.to_string() });
        }
        Err(SlotRefusal::Full { policy, source, .. }) => {
            let counted = if source == Source::Local { Counted::LocalDeny } else { Counted::Deny };
            gate.metrics.limit_decision(&policy.name, counted);
            ctx.limits.source = Some(source);
            ctx.limits.is_denied = true;
            ctx.limits.refused_by = Some(Arc::clone(&policy.name));
            ctx.limits.held.clear();
            return Err(Refusal::InFlight { status: policy.status, policy: policy.name.to_string() });
        }
    };
    for policy in held.shadow_refused() {
        gate.metrics.limit_decision(&policy.name, Counted::ShadowDeny);
        ctx.limits.shadow_refused = Some(Arc::clone(&policy.name));
    }
    // A policy that counts over time as well is counted by that decision.
    let is_alone = |place: &&Place| place.slot.policy.windows.as_slice().is_empty();
    for place in held.places().iter().filter(is_alone) {
        let counted = match (place.standing, held.source()) {
            (Standing::Taken { .. }, Source::Local) => Counted::LocalAllow,
            (Standing::Taken { .. }, _) => Counted::Allow,
            (Standing::Uncounted, _) => Counted::Degraded,
            (Standing::WouldRefuse, _) => continue,
        };
        gate.metrics.limit_decision(&place.slot.policy.name, counted);
    }
    ctx.limits.source.get_or_insert(held.source());
    ctx.limits.held.push(held);
    Ok(())
}

/// Keeps what was decided for the answer.
fn take(ctx: &mut RequestCtx, charges: Vec<Charge>, admission: Admission) -> Result<(), Refusal> {
    let limits = &mut ctx.limits;
    let (decisions, source, is_denied) = match admission {
        Admission::Admitted { decisions, source } => (decisions, source, false),
        Admission::Denied { decisions, source } => (decisions, source, true),
        Admission::Degraded => {
            limits.is_degraded = true;
            return Ok(());
        }
        Admission::Unavailable { policy } => {
            return Err(Refusal::StoreAway { policy: policy.to_string() });
        }
    };
    limits.charges.extend(charges);
    limits.decisions.extend(decisions);
    limits.is_denied = is_denied;
    if limits.source != Some(Source::Local) {
        limits.source = Some(source);
    }
    if !is_denied {
        return Ok(());
    }
    let spent = crate::limit::denial(&limits.charges, &limits.decisions);
    Err(Refusal::Limit { status: spent.status, policies: spent.policies, retry_after_s: spent.retry_after_s })
}

/// Charges what the answer turned out to cost, and gives back what it is not to cost. Once a request, before its answer
/// reaches the client, so that its next request meets the result.
pub(super) async fn settle(gate: &Gate, ctx: &mut RequestCtx, status: u16, headers: &HeaderMap) {
    show_stored(gate, ctx).await;
    if ctx.limits.settled != Settled::Open {
        return;
    }
    ctx.limits.settled = Settled::Done;
    let limiter = &gate.stores.limiter;
    let source = ctx.limits.source.unwrap_or(Source::Store);
    for (charge, decision) in ctx.limits.charges.iter().zip(&mut ctx.limits.decisions) {
        let policy = &charge.policy;
        if policy.charges_after() {
            let is_counted = policy.count_status.as_ref().is_none_or(|set| set.contains(status));
            let cost =
                if policy.cost.response.is_some() { policy.cost.afterwards(headers) } else { charge.cost };
            if is_counted && decision.admitted && cost > 0 {
                let charged = limiter.charge_afterwards(&Charge { cost, ..charge.clone() }).await;
                *decision = charged.unwrap_or_else(|| decision.clone());
            }
        } else if policy.refund_on.contains(status) && charge.was_consumed(decision) {
            limiter.give_back(charge, decision, source).await;
            gate.metrics.limit_refund(&policy.name);
            add_units(charge, decision);
        }
    }
}

/// Shows where the units that were given back leave the client.
fn add_units(charge: &Charge, decision: &mut Decision) {
    for (state, window) in decision.windows.iter_mut().zip(charge.windows.as_slice()) {
        state.remaining = state.remaining.saturating_add(charge.cost).min(window.limit);
        if state.remaining == window.limit {
            state.reset_ms = 0;
        }
    }
}

/// An answer from the cache has cost nothing under `count: upstream`; its fields say where the client stands.
async fn show_stored(gate: &Gate, ctx: &mut RequestCtx) {
    let charges = std::mem::take(&mut ctx.limits.upstream).charges;
    if charges.is_empty() || ctx.is_background {
        return;
    }
    // A store that is away leaves the fields out.
    let Ok(decisions) = gate.stores.limiter.peek(&charges).await else { return };
    let shown = decisions.into_iter().map(|decision| Decision { admitted: true, ..decision });
    ctx.limits.decisions.extend(shown);
    ctx.limits.charges.extend(charges.into_iter().map(|charge| Charge {
        consumes: false,
        cost: 0,
        ..charge
    }));
    ctx.limits.source.get_or_insert(Source::Store);
}

/// The end of a request that never got an answer to judge by: what its answer was to say is charged as fixed.
pub(super) async fn abandon(gate: &Gate, ctx: &mut RequestCtx, status: u16) {
    if ctx.limits.settled == Settled::Open {
        ctx.limits.upstream = Stage::default();
        settle(gate, ctx, status, &HeaderMap::new()).await;
    }
}

/// Counts each policy's decision. A policy that would have admitted a request which another refused decided nothing.
fn record(gate: &Gate, charges: &[Charge], admission: &Admission) {
    let (decisions, source, is_denied) = match admission {
        Admission::Admitted { decisions, source } => (decisions, source, false),
        Admission::Denied { decisions, source } => (decisions, source, true),
        Admission::Degraded => {
            charges
                .iter()
                .for_each(|charge| gate.metrics.limit_decision(&charge.policy.name, Counted::Degraded));
            return;
        }
        Admission::Unavailable { policy } => {
            gate.metrics.limit_decision(policy, Counted::Unavailable);
            return;
        }
    };
    if *source == Source::Remembered {
        gate.metrics.limit_deny_cache_hit();
    }
    gate.stores.top.record(charges, decisions);
    for (charge, decision) in charges.iter().zip(decisions) {
        if !decision.is_asked() {
            if !is_denied {
                gate.metrics.limit_decision(&charge.policy.name, Counted::Degraded);
            }
            continue;
        }
        let is_enforced = charge.policy.mode == Mode::Enforce;
        let counted = match (decision.admitted, is_enforced, source) {
            (true, true, _) if is_denied => continue,
            (true, _, Source::Store | Source::Remembered) => Counted::Allow,
            (true, _, Source::Local) => Counted::LocalAllow,
            (false, false, _) => Counted::ShadowDeny,
            (false, true, Source::Store | Source::Remembered) => Counted::Deny,
            (false, true, Source::Local) => Counted::LocalDeny,
        };
        gate.metrics.limit_decision(&charge.policy.name, counted);
    }
}

/// The policy that decided, for the access line: the one that refused, or would have; else the first.
pub(super) fn decisive(ctx: &RequestCtx) -> Option<&Arc<str>> {
    let limits = &ctx.limits;
    let asked = || limits.charges.iter().zip(&limits.decisions);
    let refused = |mode: Mode| {
        let found = asked().find(|(charge, decision)| !decision.admitted && charge.policy.mode == mode);
        found.map(|(charge, _)| &charge.policy.name)
    };
    let mut held = limits.held.iter().flat_map(Held::places).map(|place| &place.slot.policy.name);
    (limits.refused_by.as_ref())
        .or_else(|| refused(Mode::Enforce))
        .or_else(|| refused(Mode::Shadow))
        .or(limits.shadow_refused.as_ref())
        .or_else(|| asked().next().map(|(charge, _)| &charge.policy.name))
        .or_else(|| held.next())
}
