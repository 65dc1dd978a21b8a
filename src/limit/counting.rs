//! What is counted: which requests, at what cost, and which answers change it afterwards.

use http::{HeaderMap, HeaderName};

/// Units that one request consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// When nothing else says: at least 1.
    pub fixed: u32,
    /// A request field in which a trusted peer may state the cost, and the most that is believed.
    pub request: Option<(HeaderName, u32)>,
    /// A response field that states the cost: `fixed` is only judged in advance, this is consumed afterwards.
    pub response: Option<HeaderName>,
}

impl Cost {
    /// One unit a request.
    pub const ONE: Self = Self::of(1);

    /// So many units a request.
    #[must_use]
    pub const fn of(fixed: u32) -> Self {
        Self { fixed, request: None, response: None }
    }

    /// The cost in advance. A field that is absent, unreadable or of an untrusted peer changes nothing.
    #[must_use]
    pub fn in_advance(&self, headers: &HeaderMap, is_trusted: bool) -> u32 {
        let Some((name, most)) = self.request.as_ref().filter(|_| is_trusted) else { return self.fixed };
        number(headers, name).map_or(self.fixed, |stated| stated.min(*most))
    }

    /// The cost by the answer; `fixed` when it does not say, so that a forgetful backend is no hole in the limit.
    #[must_use]
    pub fn afterwards(&self, headers: &HeaderMap) -> u32 {
        self.response.as_ref().and_then(|name| number(headers, name)).unwrap_or(self.fixed)
    }
}

/// A field of one whole number; more than fits is the largest that does.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u32> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

/// Which requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// All that reach the limiter.
    All,
    /// Those that reach an upstream: what the cache answers is free.
    Upstream,
}

impl Count {
    /// The word of the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Upstream => "upstream",
        }
    }
}

/// Some status codes, as ranges from first to last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet(pub Vec<(u16, u16)>);

impl StatusSet {
    /// Is `status` among them?
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One code such as `429`, or a class such as `5xx`.
    #[must_use]
    pub fn parse(text: &str) -> Option<(u16, u16)> {
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
            let first = class.saturating_mul(100);
            return Some((first, first.saturating_add(99)));
        }
        let code = text.parse::<u16>().ok().filter(|code| (100..=599).contains(code))?;
        Some((code, code))
    }

    /// The words of the configuration.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let word = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{}xx", first / 100) }
        };
        self.0.iter().map(word).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(value: &'static str) -> HeaderMap {
        [(HeaderName::from_static("x-cost"), HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn only_a_trusted_peer_states_the_cost_and_never_above_the_most() {
        let cost = Cost { request: Some((HeaderName::from_static("x-cost"), 50)), ..Cost::of(2) };
        assert_eq!(cost.in_advance(&headers("7"), true), 7);
        assert_eq!(cost.in_advance(&headers("7"), false), 2);
        assert_eq!(cost.in_advance(&headers("99999999999999999999"), true), 50);
        for odd in ["", "-1", "1.5", "0x7", "seven"] {
            assert_eq!(cost.in_advance(&headers(odd), true), 2, "{odd}");
        }
    }

    #[test]
    fn an_answer_that_does_not_say_costs_what_is_fixed() {
        let cost = Cost { response: Some(HeaderName::from_static("x-cost")), ..Cost::of(3) };
        assert_eq!(cost.afterwards(&headers("120")), 120);
        assert_eq!(cost.afterwards(&headers("0")), 0);
        assert_eq!(cost.afterwards(&HeaderMap::new()), 3);
    }

    #[test]
    fn statuses_are_codes_and_classes() {
        let set = StatusSet(["401", "5xx"].iter().filter_map(|text| StatusSet::parse(text)).collect());
        let inside: Vec<u16> =
            [400, 401, 499, 500, 599].into_iter().filter(|code| set.contains(*code)).collect();
        assert_eq!(inside, [401, 500, 599]);
        assert_eq!(set.words(), ["401", "5xx"]);
        assert!(["6xx", "99", "600", "xx", "4x"].iter().all(|text| StatusSet::parse(text).is_none()));
    }
}
