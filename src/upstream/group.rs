//! The servers of one upstream as a state machine: whose turn it is, who is healthy, whose breaker is open, and how
//! many further attempts the whole may make. Time is an argument.

use crate::upstream::settings::{Balance, BreakerSettings, UpstreamSettings};

/// Checks in a row that make a server healthy again, or sick.
const RISE: u32 = 2;
const FALL: u32 = 3;

/// Further attempts may be a tenth of requests, and this many more, within the window: retries must not double the
/// load of a backend that is failing.
const RETRY_FREE: u32 = 10;
const RETRY_WINDOW_MS: u64 = 10_000;

#[derive(Debug, Clone)]
struct Server {
    is_healthy: bool,
    checks_in_a_row: u32,
    failures_in_a_row: u32,
    open_until_ms: Option<u64>,
    is_probing: bool,
    under_way: u32,
}

/// The servers of one upstream.
#[derive(Debug, Clone)]
pub struct Group {
    servers: Vec<Server>,
    balance: Balance,
    breaker: Option<BreakerSettings>,
    turn: usize,
    window_began_ms: u64,
    requests: u32,
    retries: u32,
}

impl Group {
    /// All servers healthy, nothing asked yet.
    #[must_use]
    pub fn new(settings: &UpstreamSettings) -> Self {
        let server = Server {
            is_healthy: true,
            checks_in_a_row: 0,
            failures_in_a_row: 0,
            open_until_ms: None,
            is_probing: false,
            under_way: 0,
        };
        Self {
            servers: vec![server; settings.servers.len()],
            balance: settings.balance,
            breaker: settings.breaker.clone(),
            turn: 0,
            window_began_ms: 0,
            requests: 0,
            retries: 0,
        }
    }

    /// The server for the next attempt, by its place; those in `tried` only when nobody else is left. When all are
    /// sick any of them is asked: a wrong check must not take the service down. `None` when every breaker is open.
    pub fn pick(&mut self, now_ms: u64, random: u64, tried: &[usize]) -> Option<usize> {
        self.turn_window(now_ms);
        self.requests = self.requests.saturating_add(1);
        let open: Vec<usize> = (0..self.servers.len()).filter(|at| self.may_ask(*at, now_ms)).collect();
        let is_healthy = |at: &&usize| self.servers.get(**at).is_some_and(|server| server.is_healthy);
        let is_new = |at: &&usize| !tried.contains(at);
        let healthy_new: Vec<usize> = open.iter().filter(is_healthy).filter(is_new).copied().collect();
        let any_new: Vec<usize> = open.iter().filter(is_new).copied().collect();
        let healthy: Vec<usize> = open.iter().filter(is_healthy).copied().collect();
        let among = [healthy_new, any_new, healthy, open].into_iter().find(|list| !list.is_empty())?;
        let chosen = self.choose(&among, random)?;
        let server = self.servers.get_mut(chosen)?;
        server.under_way = server.under_way.saturating_add(1);
        server.is_probing = server.open_until_ms.is_some();
        Some(chosen)
    }

    /// A closed breaker, or one whose rest is over and that nobody probes right now.
    fn may_ask(&self, at: usize, now_ms: u64) -> bool {
        self.servers.get(at).is_some_and(|server| match server.open_until_ms {
            None => true,
            Some(until) => now_ms >= until && !server.is_probing,
        })
    }

    fn choose(&mut self, among: &[usize], random: u64) -> Option<usize> {
        let count = u64::try_from(among.len()).ok()?;
        let at = |draw: u64| among.get(usize::try_from(draw.checked_rem(count)?).ok()?).copied();
        match self.balance {
            Balance::RoundRobin => {
                self.turn = self.turn.wrapping_add(1);
                at(u64::try_from(self.turn).ok()?)
            }
            Balance::LeastRequests => {
                let (one, other) = (at(random & 0xffff_ffff)?, at(random >> 32)?);
                let busy = |at: usize| self.servers.get(at).map_or(u32::MAX, |server| server.under_way);
                Some(if busy(other) < busy(one) { other } else { one })
            }
        }
    }

    /// An attempt has ended.
    pub fn report(&mut self, at: usize, is_success: bool, now_ms: u64) {
        let Some(server) = self.servers.get_mut(at) else { return };
        server.under_way = server.under_way.saturating_sub(1);
        server.is_probing = false;
        if is_success {
            server.failures_in_a_row = 0;
            server.open_until_ms = None;
            return;
        }
        server.failures_in_a_row = server.failures_in_a_row.saturating_add(1);
        if let Some(breaker) = &self.breaker
            && server.failures_in_a_row >= breaker.failures
        {
            server.open_until_ms = Some(now_ms.saturating_add(crate::base::clock::millis(breaker.open)));
        }
    }

    /// An active check has ended; says whether the server counts as healthy now.
    pub fn checked(&mut self, at: usize, is_success: bool) -> bool {
        let Some(server) = self.servers.get_mut(at) else { return false };
        if is_success == server.is_healthy {
            server.checks_in_a_row = 0;
            return server.is_healthy;
        }
        server.checks_in_a_row = server.checks_in_a_row.saturating_add(1);
        if server.checks_in_a_row >= if is_success { RISE } else { FALL } {
            server.is_healthy = is_success;
            server.checks_in_a_row = 0;
        }
        server.is_healthy
    }

    /// Is there budget for another attempt? Counts it when there is.
    pub fn may_retry(&mut self, now_ms: u64) -> bool {
        self.turn_window(now_ms);
        let is_within = self.retries < RETRY_FREE.saturating_add(self.requests / 10);
        if is_within {
            self.retries = self.retries.saturating_add(1);
        }
        is_within
    }

    /// How many breakers are open.
    #[must_use]
    pub fn open_count(&self, now_ms: u64) -> u64 {
        let is_open = |server: &&Server| server.open_until_ms.is_some_and(|until| now_ms < until);
        u64::try_from(self.servers.iter().filter(is_open).count()).unwrap_or(u64::MAX)
    }

    /// Does a server count as healthy by its active checks?
    #[must_use]
    pub fn is_healthy(&self, at: usize) -> bool {
        self.servers.get(at).is_some_and(|server| server.is_healthy)
    }

    fn turn_window(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.window_began_ms) >= RETRY_WINDOW_MS {
            (self.window_began_ms, self.requests, self.retries) = (now_ms, 0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ServerAddress;
    use std::time::Duration;

    fn group(servers: usize, balance: Balance) -> Group {
        let server = ServerAddress { host: "127.0.0.1".into(), port: 1 };
        Group::new(&UpstreamSettings {
            name: "u".into(),
            servers: vec![server; servers],
            balance,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            health: None,
            breaker: Some(BreakerSettings { failures: 2, open: Duration::from_secs(10) }),
            retries: 1,
            tls: None,
            http2: false,
            idle_timeout: Duration::from_secs(1),
        })
    }

    #[test]
    fn servers_take_turns_and_a_second_attempt_goes_elsewhere() {
        let mut group = group(3, Balance::RoundRobin);
        let mut picks: Vec<usize> = (0..3).filter_map(|_| group.pick(0, 0, &[])).collect();
        picks.sort_unstable();
        assert_eq!(picks, [0, 1, 2]);
        for _ in 0..9 {
            assert!(group.pick(0, 0, &[1]).is_some_and(|at| at != 1));
        }
        assert!(group.pick(0, 0, &[0, 1, 2]).is_some(), "better the same again than none");
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_when_its_time_is_over() {
        let mut group = group(1, Balance::RoundRobin);
        for _ in 0..2 {
            assert_eq!(group.pick(0, 0, &[]), Some(0));
            group.report(0, false, 0);
        }
        assert_eq!((group.pick(9_999, 0, &[]), group.open_count(9_999)), (None, 1));
        assert_eq!(group.pick(10_000, 0, &[]), Some(0), "the probe");
        assert_eq!(group.pick(10_000, 0, &[]), None, "only one");
        group.report(0, true, 10_001);
        assert_eq!(group.pick(10_001, 0, &[]), Some(0));
    }

    #[test]
    fn the_sick_are_passed_over_until_all_are_sick() {
        let mut group = group(2, Balance::LeastRequests);
        assert!(group.checked(0, false) && group.checked(0, false) && !group.checked(0, false));
        assert!((0..20).all(|draw| group.pick(0, draw * 7_919, &[]) == Some(1)));
        for _ in 0..3 {
            group.checked(1, false);
        }
        assert!(group.pick(0, 3, &[]).is_some(), "all sick: any is asked");
        assert!(!group.checked(0, true) && group.checked(0, true), "two good checks heal");
    }

    #[test]
    fn retries_stay_a_tenth_of_requests() {
        let mut group = group(1, Balance::RoundRobin);
        for _ in 0..100 {
            group.pick(0, 0, &[]);
        }
        assert_eq!((0..100).filter(|_| group.may_retry(0)).count(), 20);
        assert!(group.may_retry(10_000), "a new window");
    }
}
