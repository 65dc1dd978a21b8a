//! What whoever purges is told: whom it has reached, and how many purges it came to.

use crate::base::Problem;
use crate::base::problem::PROBLEM_JSON;
use crate::cache::{Mode, Purge, What};
use crate::store::Reach;
use crate::telemetry::rfc3339;
use serde::Serialize;

/// The answer to a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// `fleet`: every instance. `local`: this one, the others when Redis is back. `none`: nothing was done.
    pub applied: &'static str,
    /// Entries in the ledger.
    pub purges: usize,
    /// Those of them that are patterns, which are looked at one by one.
    pub patterns: usize,
    /// How hard.
    pub mode: Mode,
    /// Was it only asked what would happen?
    pub dry_run: bool,
    /// How many responses in the memory of this instance it would meet; only where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// When, RFC 3339 in UTC.
    pub ts: String,
}

/// A purge that has reached this instance alone: the problem, and the receipt all the same.
#[derive(Serialize)]
struct Unreached<'r> {
    #[serde(flatten)]
    problem: Problem,
    #[serde(flatten)]
    receipt: &'r Receipt,
}

impl Receipt {
    /// For `purges` of this mode, told at `now_ms` (wall milliseconds). `reach` is `None` when they were not made.
    #[must_use]
    pub fn of(purges: &[Purge], mode: Mode, reach: Option<Reach>, now_ms: u64) -> Self {
        Self {
            applied: reach.map_or("none", Reach::as_str),
            purges: purges.len(),
            patterns: purges.iter().filter(|purge| matches!(purge.what, What::Glob(_))).count(),
            mode,
            dry_run: reach.is_none(),
            entries: None,
            ts: rfc3339::format_s(now_ms / 1_000),
        }
    }

    /// Does every instance know?
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.applied == Reach::Local.as_str()
    }

    /// Status, media type and body of the answer: 200, or 503 when Redis could not be told.
    #[must_use]
    pub fn answer(&self) -> (u16, &'static str, Vec<u8>) {
        if !self.is_local() {
            return (200, "application/json", serde_json::to_vec(self).unwrap_or_default());
        }
        let detail = "the store does not answer: this instance has purged, and tells the others as soon as it does; \
                      nothing has to be sent again";
        let problem = Problem::new(503, "purged-here-only", "Only this instance has purged").detail(detail);
        let body = Unreached { problem, receipt: self };
        (503, PROBLEM_JSON, serde_json::to_vec(&body).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn body(receipt: &Receipt) -> (u16, Value) {
        let (status, _, body) = receipt.answer();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[test]
    fn a_purge_of_the_fleet_is_200_and_one_of_this_instance_503_with_the_same_facts() {
        let glob = Purge { what: What::Glob("/a*".to_owned()), ..Purge::everything() };
        let purges = [Purge::everything(), glob];
        let of = |reach| Receipt::of(&purges, Mode::Soft, reach, 1_735_689_599_999);
        let expected = json!({"applied": "fleet", "purges": 2, "patterns": 1, "mode": "soft", "dry_run": false, "ts": "2024-12-31T23:59:59Z"});
        assert_eq!(body(&of(Some(Reach::Fleet))), (200, expected));
        let (status, told) = body(&of(Some(Reach::Local)));
        assert_eq!((status, &told["status"], &told["applied"]), (503, &json!(503), &json!("local")));
        assert_eq!(told["type"], "https://tidegate.dev/problems/purged-here-only");
        let (status, told) = body(&Receipt { entries: Some(7), ..of(None) });
        assert_eq!((status, &told["dry_run"], &told["applied"]), (200, &json!(true), &json!("none")));
        assert_eq!(told["entries"], 7);
    }
}
