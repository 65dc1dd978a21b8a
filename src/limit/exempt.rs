//! Who has other limits than a policy says, or none.

use crate::identity::Caller;
use crate::limit::policy::Per;
use crate::limit::subject::Subject;
use crate::limit::verdict::LimitKey;
use crate::limit::windows::Windows;
use ipnet::IpNet;
use std::collections::HashMap;

/// What one identity has instead of its tier's or the policy's windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Override {
    /// These windows; lengths that are not among them stay as they are.
    Windows(Windows),
    /// No limit under this policy.
    Unlimited,
}

/// The overrides that were set while running, by log. They win over those of the configuration.
pub type Overrides = HashMap<LimitKey, Override>;

/// Who is not counted under a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bypass {
    /// Addresses.
    pub networks: Vec<IpNet>,
    /// Verified identities, counted under the policy or not.
    pub subjects: Vec<Subject>,
}

impl Bypass {
    /// Is the sender among them?
    #[must_use]
    pub fn covers(&self, caller: &Caller) -> bool {
        let address = caller.address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
            || self.subjects.iter().any(|subject| is(subject, caller))
    }
}

fn is(subject: &Subject, caller: &Caller) -> bool {
    let fact = match subject.per {
        Per::User => &caller.user,
        Per::ApiKey => &caller.api_key,
        Per::Tenant => &caller.tenant,
        // An address is a network; a field proves nothing.
        Per::Ip | Per::Global | Per::Header(_) | Per::Together(_) => return false,
    };
    fact.as_deref() == Some(&*subject.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn addresses_and_verified_identities_are_exempt() {
        let bypass = Bypass {
            networks: vec!["10.0.0.0/8".parse().expect("a network")],
            subjects: vec![Subject::parse("user:ada").expect("an identity")],
        };
        let from = |text: &str| Caller::anonymous(text.parse::<IpAddr>().expect("an address"));
        assert!(bypass.covers(&from("10.1.2.3")) && bypass.covers(&from("::ffff:10.1.2.3")));
        assert!(!bypass.covers(&from("192.0.2.1")));
        assert!(bypass.covers(&Caller { user: Some("ada".into()), ..from("192.0.2.1") }));
        assert!(!bypass.covers(&Caller { api_key: Some("ada".into()), ..from("192.0.2.1") }));
    }
}
