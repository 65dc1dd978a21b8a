//! A log's requests once more, in simulated time, against the limiter's own logs: under the limits that are configured,
//! under others, or under none.
//!
//! What is decided is decided by [`RingLog`] and [`is_denied`], in the order and with the all-or-nothing of
//! `store/memory_limits.rs`. What waits for the answer (`count_status`, `cost_from_response`, `refund_on`) happens when
//! the request ended.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::app::replay::plan::{Cast, Plan, PlannedStage, Request};
use crate::limit::{Charge, Decision, LIMIT_MAX, RingLog, WINDOWS_MAX, Window, Windows, is_denied};

/// What the limits are.
#[derive(Debug, Clone)]
pub enum Limits {
    /// For each group of the cast its windows.
    Windows(Vec<Windows>),
    /// None: everybody gets what they ask for, and what they use is measured.
    None,
}

/// What happened to one identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeatTally {
    /// Requests that were judged.
    pub requests: u64,
    /// Those that this policy denied.
    pub denied: u64,
    /// Those that it would have admitted, but another policy denied.
    pub refused_by_others: u64,
    /// When it was first denied, microseconds since 1970; 0: never.
    pub first_denied_us: u64,
    /// For each window the most units that were counted in it at once, the last request's included. Only without
    /// limits; saturates at [`LIMIT_MAX`].
    pub peaks: [u32; WINDOWS_MAX],
}

/// Requests of one policy on one route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteTally {
    /// Requests that were judged.
    pub requests: u64,
    /// Those that the policy denied.
    pub denied: u64,
}

/// What happened to all.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that an enforced policy denied.
    pub denied: u64,
    /// For each seat of the cast.
    pub seats: Vec<SeatTally>,
    /// For each policy and route of the cast, routes of one policy together.
    pub routes: Vec<RouteTally>,
    /// For each policy the requests that it does not count.
    pub bypassed: Vec<u64>,
}

/// Replays `requests`, which are in the order of their time.
#[must_use]
pub fn simulate(cast: &Cast, requests: &[Request], limits: &Limits) -> Tally {
    let tally = Tally {
        denied: 0,
        seats: vec![SeatTally::default(); cast.seats.len()],
        routes: vec![RouteTally::default(); cast.policies.len() * cast.routes.len()],
        bypassed: vec![0; cast.policies.len()],
    };
    let windows = match limits {
        Limits::Windows(windows) => windows.clone(),
        Limits::None => cast.groups.iter().map(|group| unlimited(&group.windows)).collect(),
    };
    let mut simulation = Simulation {
        cast,
        windows,
        is_limited: matches!(limits, Limits::Windows(_)),
        logs: vec![RingLog::default(); cast.logs],
        waiting: BinaryHeap::new(),
        decisions: Default::default(),
        tally,
    };
    for request in requests {
        simulation.request(request);
    }
    simulation.tally
}

/// The same lengths with the highest limits there are.
fn unlimited(windows: &Windows) -> Windows {
    let list = windows.as_slice().iter().map(|window| Window { limit: LIMIT_MAX, ..*window });
    Windows::new(list.collect()).unwrap_or_else(|_none| windows.clone())
}

/// What happens at the end of a request. The first fields are its order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Aftermath {
    at_ms: u64,
    /// Equal times are settled in the order in which the requests came.
    turn: u64,
    seat: usize,
    cost: u32,
    /// The stamp of units that are given back; `None`: units are consumed.
    refund_ms: Option<u64>,
}

/// What one policy says of a request, and the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Admitted,
    Denied,
    /// It would have been admitted.
    RefusedByOthers,
}

struct Simulation<'a> {
    cast: &'a Cast,
    windows: Vec<Windows>,
    is_limited: bool,
    logs: Vec<RingLog>,
    waiting: BinaryHeap<Reverse<Aftermath>>,
    /// Those of either stage, kept for their memory.
    decisions: [Vec<Decision>; 2],
    tally: Tally,
}

impl Simulation<'_> {
    fn request(&mut self, request: &Request) {
        let cast = self.cast;
        let Some(plan) = usize::try_from(request.plan).ok().and_then(|plan| cast.plans.get(plan)) else {
            return;
        };
        self.settle(request.start_us / 1_000);
        for policy in &plan.bypassed {
            if let Some(count) = self.tally.bypassed.get_mut(*policy) {
                *count += 1;
            }
        }
        let now_ms = request.start_us / 1_000;
        let [mut arrival, mut upstream] = std::mem::take(&mut self.decisions);
        let mut is_denied = self.judge_stage(&plan.arrival, now_ms, &mut arrival);
        let goes_on = !is_denied && !request.is_from_cache;
        is_denied = is_denied || goes_on && self.judge_stage(&plan.upstream, now_ms, &mut upstream);
        // A denial on the way upstream gives back what the arrival consumed, in the same instant here.
        self.apply(plan, &plan.arrival, (&arrival, is_denied), request);
        if goes_on {
            self.apply(plan, &plan.upstream, (&upstream, is_denied), request);
        }
        if is_denied {
            self.tally.denied += 1;
        }
        self.decisions = [arrival, upstream];
    }

    /// Judges a stage as `MemoryLimits::decide` does. True when it denies the request.
    fn judge_stage(&mut self, stage: &PlannedStage, now_ms: u64, decisions: &mut Vec<Decision>) -> bool {
        decisions.clear();
        for (charge, seat) in stage.charges.iter().zip(&stage.seats) {
            decisions.push(self.judge(*seat, charge, now_ms));
        }
        self.is_limited && is_denied(&stage.charges, decisions)
    }

    /// Counts what a stage's policies said, and consumes where the request goes on.
    fn apply(&mut self, plan: &Plan, stage: &PlannedStage, decided: (&[Decision], bool), request: &Request) {
        let (decisions, is_denied) = decided;
        for ((charge, seat), decision) in stage.charges.iter().zip(&stage.seats).zip(decisions) {
            let verdict = match (decision.admitted || !self.is_limited, is_denied) {
                (true, false) => Verdict::Admitted,
                (true, true) => Verdict::RefusedByOthers,
                (false, _) => Verdict::Denied,
            };
            self.count(plan, *seat, verdict, request);
            if verdict == Verdict::Admitted {
                self.charge(*seat, charge, request);
            }
        }
    }

    fn judge(&mut self, seat: usize, charge: &Charge, now_ms: u64) -> Decision {
        let Some((log, windows)) = self.log(seat) else { return Decision::unasked() };
        let decision = log.judge(now_ms, windows, charge.cost);
        if !self.is_limited
            && let Some(tally) = self.tally.seats.get_mut(seat)
        {
            for (peak, state) in tally.peaks.iter_mut().zip(&decision.windows) {
                let used = LIMIT_MAX.saturating_sub(state.remaining).saturating_add(charge.cost);
                *peak = used.min(LIMIT_MAX).max(*peak);
            }
        }
        decision
    }

    fn log(&mut self, seat: usize) -> Option<(&mut RingLog, &Windows)> {
        let seat = self.cast.seats.get(seat)?;
        Some((self.logs.get_mut(seat.log)?, self.windows.get(seat.group)?))
    }

    fn count(&mut self, plan: &Plan, seat: usize, verdict: Verdict, request: &Request) {
        let Some(tally) = self.tally.seats.get_mut(seat) else { return };
        tally.requests += 1;
        match verdict {
            Verdict::Admitted => {}
            Verdict::RefusedByOthers => tally.refused_by_others += 1,
            Verdict::Denied => {
                tally.denied += 1;
                if tally.denied == 1 {
                    tally.first_denied_us = request.start_us;
                }
            }
        }
        let group = self.cast.seats.get(seat).and_then(|seat| self.cast.groups.get(seat.group));
        let Some(policy) = group.map(|group| group.policy) else { return };
        if let Some(route) = self.tally.routes.get_mut(policy * self.cast.routes.len() + plan.route) {
            route.requests += 1;
            route.denied += u64::from(verdict == Verdict::Denied);
        }
    }

    /// Consumes now, or notes what the answer changes.
    fn charge(&mut self, seat: usize, charge: &Charge, request: &Request) {
        let (now_ms, policy) = (request.start_us / 1_000, &charge.policy);
        let mut refund_ms = None;
        if charge.consumes {
            let Some((log, windows)) = self.log(seat) else { return };
            let consumed = log.consume(now_ms, windows, charge.cost);
            if !policy.refund_on.contains(request.status) {
                return;
            }
            refund_ms = Some(consumed.stamp_ms);
        } else {
            let is_counted = policy.count_status.as_ref().is_none_or(|set| set.contains(request.status));
            if !is_counted || policy.refund_on.contains(request.status) {
                return;
            }
        }
        let turn = self.tally.seats.get(seat).map_or(0, |tally| tally.requests);
        let at_ms = now_ms.saturating_add(u64::from(request.took_ms));
        self.waiting.push(Reverse(Aftermath { at_ms, turn, seat, cost: charge.cost, refund_ms }));
    }

    /// Everything that happened until `now_ms`.
    fn settle(&mut self, now_ms: u64) {
        while self.waiting.peek().is_some_and(|next| next.0.at_ms <= now_ms) {
            let Some(Reverse(next)) = self.waiting.pop() else { return };
            let Some((log, windows)) = self.log(next.seat) else { continue };
            match next.refund_ms {
                Some(stamp_ms) => {
                    log.refund(Some(stamp_ms), next.cost);
                }
                None => {
                    log.consume(next.at_ms, windows, next.cost);
                }
            }
        }
    }
}
