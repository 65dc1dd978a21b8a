//! From what a log tells of requests to what the limiter is asked: route, sender and bill, each worked out once and then
//! known by a number, so that a request is 24 bytes and a look-up.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::app::replay::entry::Entry;
use crate::config::{Route, Snapshot};
use crate::identity::Caller;
use crate::limit::{Charge, LimitKey, Mode, Overrides, Policy, Sender, Stage, Subject, Windows, bill};

/// Names of senders longer than this (bytes) are not read.
const NAME_BYTES_MAX: usize = 1_024;

/// One request, as the simulation needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// When it came, microseconds since 1970.
    pub start_us: u64,
    /// When it ended, milliseconds later; saturating.
    pub took_ms: u32,
    /// Its plan, by its place in [`Cast::plans`].
    pub plan: u32,
    /// The response status; 0 when the log does not tell.
    pub status: u16,
    /// Was the upstream not asked?
    pub is_from_cache: bool,
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// A request under limits.
    Limited(Request),
    /// Its route has no limits.
    Unlimited,
    /// No route takes it (404).
    NoRoute,
    /// It has no safe path or method (400).
    Refused,
    /// It cannot be told who sent it.
    NoSender(&'static str),
}

/// What a sender's request on a route is charged.
#[derive(Debug)]
pub struct Plan {
    /// The route, by its place in [`Cast::routes`].
    pub route: usize,
    /// Before anything else.
    pub arrival: PlannedStage,
    /// When no stored answer does.
    pub upstream: PlannedStage,
    /// Policies that do not count the sender, by their places in [`Cast::policies`].
    pub bypassed: Vec<usize>,
}

/// A stage of a bill, with the seat of each charge.
#[derive(Debug, Default)]
pub struct PlannedStage {
    /// The charges.
    pub charges: Vec<Charge>,
    /// For each its place in [`Cast::seats`].
    pub seats: Vec<usize>,
}

/// An identity in a group: whom statistics are kept of.
#[derive(Debug)]
pub struct Seat {
    /// The log that is charged; the same for an identity whose tier changed.
    pub log: usize,
    /// Its place in [`Cast::groups`].
    pub group: usize,
    /// Who that is.
    pub subject: Arc<Subject>,
}

/// Whose windows a group has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Those of the policy.
    Plain,
    /// Those of a tier.
    Tier(Arc<str>),
    /// Those of single identities.
    Override,
}

/// All identities that have the same windows under a policy for the same reason.
#[derive(Debug)]
pub struct Group {
    /// The policy, by its place in [`Cast::policies`].
    pub policy: usize,
    /// Why these windows.
    pub kind: Kind,
    /// The windows.
    pub windows: Windows,
}

/// Everybody and everything that plays a part.
#[derive(Debug, Default)]
pub struct Cast {
    /// The routes of the configuration.
    pub routes: Vec<Arc<Route>>,
    /// The policies of the configuration that are not off.
    pub policies: Vec<Arc<Policy>>,
    /// What requests are charged.
    pub plans: Vec<Plan>,
    /// The identities.
    pub seats: Vec<Seat>,
    /// Their groups.
    pub groups: Vec<Group>,
    /// How many logs there are.
    pub logs: usize,
}

/// Makes plans.
pub struct Planner<'a> {
    snapshot: &'a Snapshot,
    cast: Cast,
    route_numbers: HashMap<usize, usize>,
    policy_numbers: HashMap<Arc<str>, usize>,
    caller_numbers: HashMap<Box<[u8]>, usize>,
    callers: Vec<Caller>,
    plan_numbers: HashMap<(usize, usize), u32>,
    log_numbers: HashMap<LimitKey, usize>,
    seat_numbers: HashMap<(usize, usize), usize>,
    scratch: Vec<u8>,
}

impl<'a> Planner<'a> {
    /// A planner for that configuration.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let routes: Vec<Arc<Route>> = snapshot.routes.iter().map(|(_, route)| Arc::clone(route)).collect();
        let is_asked = |policy: &&Arc<Policy>| policy.mode != Mode::Off;
        let policies: Vec<Arc<Policy>> = snapshot.policies.iter().filter(is_asked).map(Arc::clone).collect();
        let number = |(number, route): (usize, &Arc<Route>)| (Arc::as_ptr(route).addr(), number);
        let name = |(number, policy): (usize, &Arc<Policy>)| (Arc::clone(&policy.name), number);
        Self {
            snapshot,
            route_numbers: routes.iter().enumerate().map(number).collect(),
            policy_numbers: policies.iter().enumerate().map(name).collect(),
            cast: Cast { routes, policies, ..Cast::default() },
            caller_numbers: HashMap::new(),
            callers: Vec::new(),
            plan_numbers: HashMap::new(),
            log_numbers: HashMap::new(),
            seat_numbers: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// What the limiter would be asked for this request.
    pub fn plan(&mut self, entry: &Entry<'_>) -> Planned {
        let Ok(method) = Method::from_bytes(entry.method.as_bytes()) else { return Planned::Refused };
        let Some((authority, path)) = split(&method, &entry.target) else { return Planned::Refused };
        let slash = self.snapshot.server.request.encoded_slash;
        let Ok(path) = crate::route::canonical_path(path, slash) else { return Planned::Refused };
        let authority = authority.as_ref().unwrap_or(&entry.host);
        let found = self.snapshot.routes.find(crate::message::host(authority), &path, &method);
        let Some(route) = found else { return Planned::NoRoute };
        if route.policies.iter().all(|policy| policy.mode == Mode::Off) {
            return Planned::Unlimited;
        }
        let Some(route) = self.route_numbers.get(&Arc::as_ptr(route).addr()).copied() else {
            return Planned::NoRoute;
        };
        let caller = match self.caller(entry) {
            Ok(caller) => caller,
            Err(why) => return Planned::NoSender(why),
        };
        let plan = match self.plan_numbers.get(&(route, caller)) {
            Some(plan) => *plan,
            None => self.new_plan(route, caller),
        };
        Planned::Limited(Request {
            start_us: entry.start_us,
            took_ms: u32::try_from(entry.took_us / 1_000).unwrap_or(u32::MAX),
            plan,
            status: entry.status,
            is_from_cache: entry.is_from_cache,
        })
    }

    /// Plans that were made.
    #[must_use]
    pub fn plans(&self) -> usize {
        self.cast.plans.len()
    }

    /// Everybody who came up.
    #[must_use]
    pub fn into_cast(self) -> Cast {
        self.cast
    }

    /// The sender's number. The facts are believed as they stand: whoever wrote the log has verified them.
    fn caller(&mut self, entry: &Entry<'_>) -> Result<usize, &'static str> {
        let facts = [&entry.user, &entry.tenant, &entry.api_key, &entry.tier].map(Option::as_deref);
        self.scratch.clear();
        self.scratch.extend_from_slice(entry.client.as_bytes());
        for fact in facts {
            // No octet of text: what stands before cannot run into what follows.
            self.scratch.push(0xff);
            if let Some(fact) = fact {
                self.scratch.push(0xfe);
                self.scratch.extend_from_slice(fact.as_bytes());
            }
        }
        if let Some(known) = self.caller_numbers.get(self.scratch.as_slice()) {
            return Ok(*known);
        }
        if facts.iter().flatten().any(|fact| fact.len() > NAME_BYTES_MAX) {
            return Err("the name of its sender is longer than 1024 bytes");
        }
        let [user, tenant, api_key, tier] = facts.map(|fact| fact.map(Arc::from));
        let address = match &*entry.client {
            "" if facts.iter().any(Option::is_some) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "" => return Err("it does not say who sent it"),
            text => text.parse().map_err(|_fault| "its client is no IP address")?,
        };
        let number = self.callers.len();
        self.callers.push(Caller { user, tenant, api_key, tier, ..Caller::anonymous(address) });
        self.caller_numbers.insert(self.scratch.as_slice().into(), number);
        Ok(number)
    }

    fn new_plan(&mut self, route: usize, caller: usize) -> u32 {
        let plan = match (self.cast.routes.get(route), self.callers.get(caller)) {
            (Some(found), Some(sender)) => {
                let (found, sender) = (Arc::clone(found), sender.clone());
                let fields = HeaderMap::new();
                let asks = Sender { caller: &sender, headers: &fields, is_trusted: false };
                let bill = bill(&found.policies, &asks, &Overrides::new());
                Plan {
                    route,
                    arrival: self.stage(bill.arrival, &sender),
                    upstream: self.stage(bill.upstream, &sender),
                    bypassed: bill.bypassed.iter().filter_map(|policy| self.policy(policy)).collect(),
                }
            }
            _ => Plan {
                route,
                arrival: PlannedStage::default(),
                upstream: PlannedStage::default(),
                bypassed: Vec::new(),
            },
        };
        // The reader stops long before a number does not fit.
        let number = u32::try_from(self.cast.plans.len()).unwrap_or(u32::MAX);
        self.cast.plans.push(plan);
        self.plan_numbers.insert((route, caller), number);
        number
    }

    fn policy(&self, policy: &Policy) -> Option<usize> {
        self.policy_numbers.get(&policy.name).copied()
    }

    fn stage(&mut self, stage: Stage, sender: &Caller) -> PlannedStage {
        let seats = stage.charges.iter().map(|charge| self.seat(charge, sender)).collect();
        PlannedStage { charges: stage.charges, seats }
    }

    fn seat(&mut self, charge: &Charge, sender: &Caller) -> usize {
        let group = self.group(charge, sender);
        let next = self.log_numbers.len();
        let log = *self.log_numbers.entry(charge.key.clone()).or_insert(next);
        self.cast.logs = self.log_numbers.len();
        let seats = &mut self.cast.seats;
        *self.seat_numbers.entry((log, group)).or_insert_with(|| {
            seats.push(Seat { log, group, subject: Arc::clone(&charge.subject) });
            seats.len() - 1
        })
    }

    fn group(&mut self, charge: &Charge, sender: &Caller) -> usize {
        let tier = sender.tier.as_ref().filter(|tier| charge.policy.tiers.contains_key(&***tier));
        let kind = match tier {
            _ if charge.policy.overrides.contains_key(&*charge.subject) => Kind::Override,
            Some(tier) => Kind::Tier(Arc::clone(tier)),
            None => Kind::Plain,
        };
        let policy = self.policy(&charge.policy).unwrap_or(usize::MAX);
        let is_it =
            |group: &Group| group.policy == policy && group.kind == kind && group.windows == charge.windows;
        self.cast.groups.iter().position(is_it).unwrap_or_else(|| {
            self.cast.groups.push(Group { policy, kind, windows: charge.windows.clone() });
            self.cast.groups.len() - 1
        })
    }
}

/// Authority (of a URL only) and path of a request target (RFC 9112 section 3.2).
fn split<'t>(method: &Method, target: &'t str) -> Option<(Option<Cow<'t, str>>, &'t str)> {
    if target == "*" {
        return (*method == Method::OPTIONS).then_some((None, "/"));
    }
    let (authority, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let (_scheme, rest) = target.split_once("://")?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(at)?;
        (Some(Cow::Owned(authority.to_ascii_lowercase())), rest)
    };
    let path = rest.split('?').next().unwrap_or_default();
    Some((authority, if path.is_empty() { "/" } else { path }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::replay::testing::snapshot;

    const LIMITS: &str = "
limits:
  ai_chat: {windows: {1m: 10}, tiers: {pro: {1m: 50}}, overrides: {\"user:vip\": {1m: 99}}, bypass: [10.0.0.0/8]}
  off: {windows: {1m: 1}, mode: off}
routes:
  - {path: /chat/, limit: ai_chat}
  - {path: /off, limit: off}
  - {path: /free, limit: none}
  - {host: api.example, path: /hosted, limit: ai_chat}
";

    fn entry<'a>(target: &'a str, client: &'a str, user: &'a str, tier: &'a str) -> Entry<'a> {
        let said = |text: &'a str| (!text.is_empty()).then_some(Cow::Borrowed(text));
        Entry {
            method: "GET".into(),
            target: target.into(),
            client: client.into(),
            user: said(user),
            tier: said(tier),
            ..Entry::default()
        }
    }

    #[test]
    fn what_is_not_limited_is_told_apart() {
        let snapshot = snapshot(LIMITS);
        let mut planner = Planner::new(&snapshot);
        let mut plan = |target: &str| planner.plan(&entry(target, "192.0.2.1", "", ""));
        assert!(matches!(plan("//chat/./x?y=1"), Planned::Limited(_)));
        assert!(matches!(plan("http://API.example:80/hosted"), Planned::Limited(_)));
        assert_eq!([plan("/off"), plan("/free")], [Planned::Unlimited; 2]);
        assert_eq!([plan("/other"), plan("/hosted"), plan("http://a.example")], [Planned::NoRoute; 3]);
        assert_eq!([plan("/a%00"), plan("/a\\b"), plan("*"), plan("chat"), plan("")], [Planned::Refused; 5]);
        let odd = Entry { method: "G T".into(), ..entry("/chat/", "192.0.2.1", "", "") };
        assert_eq!(planner.plan(&odd), Planned::Refused);
    }

    #[test]
    fn identities_that_the_log_knows_are_counted_and_others_are_not_guessed() {
        let snapshot = snapshot(LIMITS);
        let mut planner = Planner::new(&snapshot);
        for (client, user) in
            [("192.0.2.1", ""), ("::ffff:192.0.2.1", ""), ("192.0.2.1", "ada"), ("192.0.2.2", "ada")]
        {
            assert!(matches!(planner.plan(&entry("/chat/", client, user, "")), Planned::Limited(_)));
        }
        assert!(matches!(planner.plan(&entry("/chat/", "", "bob", "")), Planned::Limited(_)));
        for (client, user) in [("", ""), ("host.example", ""), ("192.0.2.1", &*"u".repeat(2_000))] {
            assert!(matches!(planner.plan(&entry("/chat/", client, user, "")), Planned::NoSender(_)));
        }
        let cast = planner.into_cast();
        let who: Vec<String> = cast.seats.iter().map(|seat| seat.subject.to_string()).collect();
        assert_eq!(who, ["ip:192.0.2.1", "user:ada", "user:bob"]);
        assert_eq!((cast.logs, cast.plans.len(), cast.groups.len()), (3, 5, 1));
    }

    #[test]
    fn tiers_and_overrides_are_groups_of_their_own_and_who_is_exempt_is_in_none() {
        let snapshot = snapshot(LIMITS);
        let mut planner = Planner::new(&snapshot);
        for (client, user, tier) in [
            ("192.0.2.1", "ada", ""),
            ("192.0.2.1", "ada", "pro"),
            ("192.0.2.1", "vip", "pro"),
            ("10.1.1.1", "bob", ""),
        ] {
            assert!(matches!(planner.plan(&entry("/chat/", client, user, tier)), Planned::Limited(_)));
        }
        let cast = planner.into_cast();
        let limits: Vec<u32> = cast.groups.iter().map(|group| group.windows.as_slice()[0].limit).collect();
        assert_eq!(limits, [10, 50, 99]);
        assert_eq!(
            (cast.seats[0].log, cast.seats[1].log, cast.seats[2].log),
            (0, 0, 1),
            "one log whatever the tier"
        );
        assert_eq!(cast.plans[3].bypassed, [0]);
        assert!(cast.plans[3].arrival.charges.is_empty());
    }
}
