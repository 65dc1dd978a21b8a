//! Who is asked about: `/{policy}/{identity}` and `?tier=`, checked against the configuration in force.

use crate::admin::parts::AdminParts;
use crate::base::Problem;
use crate::config::fault::hint;
use crate::limit::{Applied, Charge, LimitKey, Per, Policy, Subject, applied, caller_of, charge};
use crate::web::answer::wrong;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde::Deserialize;
use std::sync::Arc;

/// The query of a standing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::admin) struct Tier {
    tier: Option<String>,
}

/// The names in a path.
pub(super) type Names = Result<Path<(String, String)>, PathRejection>;

/// Somebody under a policy.
pub(super) struct Asked {
    pub(super) policy: Arc<Policy>,
    pub(super) subject: Arc<Subject>,
    pub(super) tier: Option<String>,
    pub(super) key: LimitKey,
}

impl Asked {
    /// Whoever the path names.
    pub(super) fn of(parts: &AdminParts, names: Names) -> Result<Self, Box<Problem>> {
        let Path((policy, identity)) = names.map_err(|rejection| {
            wrong(400, "invalid-path", "The path is not understood", rejection.body_text())
        })?;
        let snapshot = parts.current.load();
        let Some(policy) = snapshot.policies.iter().find(|known| *known.name == *policy) else {
            let known: Vec<&str> = snapshot.policies.iter().map(|policy| &*policy.name).collect();
            return Err(wrong(404, "no-policy", "There is no such policy", hint(&policy, &known)));
        };
        let subject = Arc::new(subject(policy, &identity)?);
        let key = LimitKey { identity: subject.digest(), policy: Arc::clone(&policy.name) };
        Ok(Self { policy: Arc::clone(policy), subject, tier: None, key })
    }

    /// The same, in a tier.
    pub(super) fn in_tier(self, tier: Result<Query<Tier>, QueryRejection>) -> Result<Self, Box<Problem>> {
        let Query(Tier { tier }) = tier.map_err(|_unknown| {
            wrong(400, "invalid-query", "The query is not understood", "use `tier=NAME`")
        })?;
        if let Some(tier) = tier.as_deref().filter(|tier| !self.policy.tiers.contains_key(*tier)) {
            let known: Vec<&str> = self.policy.tiers.keys().map(String::as_str).collect();
            return Err(wrong(404, "no-tier", "The policy has no such tier", hint(tier, &known)));
        }
        Ok(Self { tier, ..self })
    }

    /// What decides the windows.
    pub(super) fn applies(&self, parts: &AdminParts) -> Applied {
        let caller = caller_of(&self.subject, self.tier.as_deref());
        applied(&self.policy, &self.subject, &caller, &parts.stores.overrides())
    }

    /// What a request would be charged; `None` when nothing is counted over time.
    pub(super) fn charge(&self, parts: &AdminParts) -> Option<Charge> {
        if self.applies(parts) == Applied::Bypass {
            return None;
        }
        let charge = charge(&self.policy, &self.subject, self.tier.as_deref(), &parts.stores.overrides());
        charge.filter(|charge| !charge.windows.as_slice().is_empty())
    }
}

/// The one who is counted. The address is always possible: it is what counts when a request has nothing else.
fn subject(policy: &Policy, identity: &str) -> Result<Subject, Box<Problem>> {
    let mut kinds = policy.per.clone();
    if !kinds.contains(&Per::Ip) {
        kinds.push(Per::Ip);
    }
    Subject::parse(identity).filter(|subject| kinds.contains(&subject.per)).ok_or_else(|| {
        let kinds: Vec<String> = kinds.iter().map(Per::to_string).collect();
        let detail = format!("the policy counts {}; write the identity as KIND:VALUE", kinds.join(", "));
        wrong(400, "invalid-identity", "The identity is not understood", detail)
    })
}
