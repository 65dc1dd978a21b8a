//! Which gateways tell nothing, and why: the operator is told when that changes, and not with each poll. Pure.

use std::collections::BTreeMap;

/// Those that told nothing at the last poll, with the reason.
#[derive(Debug, Default)]
pub(super) struct Silence(BTreeMap<String, String>);

/// Something to tell of a gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It tells nothing: since now, or for another reason than before.
    Silent { gateway: String, says: String },
    /// It tells how it does again.
    Back { gateway: String },
}

impl Silence {
    /// Takes in why each gateway tells nothing, `None` where it tells something. Those that are named no more are forgotten.
    pub(super) fn take_in(&mut self, told: BTreeMap<String, Option<String>>) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.0.retain(|gateway, _| told.contains_key(gateway));
        for (gateway, reason) in told {
            match reason {
                Some(says) if self.0.get(&gateway) == Some(&says) => {}
                Some(says) => {
                    self.0.insert(gateway.clone(), says.clone());
                    notices.push(Notice::Silent { gateway, says });
                }
                None if self.0.remove(&gateway).is_some() => notices.push(Notice::Back { gateway }),
                None => {}
            }
        }
        notices
    }
}

impl Notice {
    /// Tells it.
    pub(super) fn log(self) {
        match self {
            Self::Silent { gateway, says } => tracing::warn!(gateway, says, "a gateway tells nothing"),
            Self::Back { gateway } => tracing::info!(gateway, "a gateway tells how it does again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_once() {
        let mut silence = Silence::default();
        let mut told = |gateways: &[(&str, Option<&str>)]| {
            let told = gateways.iter().map(|(name, says)| ((*name).to_owned(), says.map(str::to_owned)));
            silence.take_in(told.collect())
        };
        let silent =
            |gateway: &str, says: &str| Notice::Silent { gateway: gateway.to_owned(), says: says.to_owned() };
        assert_eq!(told(&[("a", None), ("b", Some("401"))]), [silent("b", "401")]);
        assert_eq!(told(&[("a", None), ("b", Some("401"))]), []);
        assert_eq!(
            told(&[("a", Some("gone")), ("b", Some("403"))]),
            [silent("a", "gone"), silent("b", "403")]
        );
        assert_eq!(told(&[("a", Some("gone")), ("b", None)]), [Notice::Back { gateway: "b".to_owned() }]);
        assert_eq!(told(&[("b", None)]), []);
        assert_eq!(told(&[("a", Some("gone"))]), [silent("a", "gone")], "it was not named for a while");
    }
}
