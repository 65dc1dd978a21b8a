//! Active health of one server: several checks in a row change it, so one lost packet does not.

/// Good checks in a row that make a server healthy again.
pub(super) const RISE: u32 = 2;

/// Bad checks in a row that make it sick.
pub(super) const FALL: u32 = 3;

/// Whether a server is believed to be healthy. Healthy until checks say otherwise.
#[derive(Debug, Clone)]
pub(super) struct Health {
    is_healthy: bool,
    against: u32,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { is_healthy: true, against: 0 }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.is_healthy
    }

    /// Notes a check; says whether the server counts as healthy now.
    pub(super) fn note(&mut self, is_good: bool) -> bool {
        if is_good == self.is_healthy {
            self.against = 0;
        } else {
            self.against = self.against.saturating_add(1);
        }
        if self.against >= if self.is_healthy { FALL } else { RISE } {
            (self.is_healthy, self.against) = (!self.is_healthy, 0);
        }
        self.is_healthy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(checks: &[bool]) -> bool {
        let mut health = Health::new();
        checks.iter().fold(true, |_, is_good| health.note(*is_good))
    }

    #[test]
    fn three_bad_checks_make_sick_two_good_ones_heal() {
        assert!(after(&[false, false]) && !after(&[false, false, false]));
        assert!(after(&[false, false, true, false, false]), "not in a row");
        assert!(!after(&[false, false, false, true]) && after(&[false, false, false, true, true]));
        assert!(!after(&[false, false, false, true, false, true]), "not in a row");
    }

    proptest! {
        #[test]
        fn it_changes_after_a_whole_row_only(checks in prop::collection::vec(any::<bool>(), 0..60)) {
            // Oracle: look at the last FALL or RISE checks after each step.
            let (mut health, mut believed, mut since) = (Health::new(), true, 0);
            for at in 0..checks.len() {
                let row = usize::try_from(if believed { FALL } else { RISE }).expect("small");
                let recent = &checks[since..=at];
                let turned = recent.len() >= row && recent[recent.len() - row..].iter().all(|check| *check != believed);
                if turned {
                    (believed, since) = (!believed, at + 1);
                }
                prop_assert_eq!(health.note(checks[at]), believed);
            }
        }
    }
}
