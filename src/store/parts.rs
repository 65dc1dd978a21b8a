//! Charges that one call cannot decide together: in a Cluster the logs of different identities lie in different slots.

use crate::limit::{Charge, Decision};
use crate::store::limiter::Source;

/// Some charges of a request that one call may decide, and what came of it.
pub(super) struct Part {
    /// Their places among the request's charges.
    pub(super) places: Vec<usize>,
    pub(super) charges: Vec<Charge>,
    pub(super) decisions: Vec<Decision>,
    pub(super) source: Source,
}

impl Part {
    /// What was consumed: charges and the decisions that did it.
    pub(super) fn consumed(&self) -> impl Iterator<Item = (&Charge, &Decision)> {
        self.charges.iter().zip(&self.decisions).filter(|(charge, decision)| charge.was_consumed(decision))
    }
}

/// The places of the charges of each identity, the narrowest identity first, since it refuses most often.
pub(super) fn by_identity(charges: &[Charge]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..charges.len()).collect();
    order.sort_by_key(|place| charges.get(*place).map_or(0, |charge| charge.subject.per.breadth()));
    let identity = |place: usize| charges.get(place).map(|charge| charge.key.identity);
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for place in order {
        let is_own =
            |part: &&mut Vec<usize>| part.first().is_some_and(|first| identity(*first) == identity(place));
        match parts.iter_mut().find(is_own) {
            Some(part) => part.push(place),
            None => parts.push(vec![place]),
        }
    }
    parts
}

/// Are these charges on logs of one identity?
pub(super) fn is_one_identity(charges: &[Charge]) -> bool {
    charges.iter().zip(charges.iter().skip(1)).all(|(one, other)| one.key.identity == other.key.identity)
}

/// The charges in these places.
pub(super) fn select(charges: &[Charge], places: &[usize]) -> Vec<Charge> {
    places.iter().filter_map(|place| charges.get(*place).cloned()).collect()
}

/// Puts the parts' decisions in the order of the request's charges.
pub(super) fn in_order(
    count: usize,
    parts: impl IntoIterator<Item = (Vec<usize>, Vec<Decision>)>,
) -> Vec<Decision> {
    let mut decisions = vec![Decision::unasked(); count];
    for (places, decided) in parts {
        for (place, decision) in places.into_iter().zip(decided) {
            if let Some(slot) = decisions.get_mut(place) {
                *slot = decision;
            }
        }
    }
    decisions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Mode, Per, Subject};
    use crate::store::testing::charge_of;
    use std::sync::Arc;

    #[test]
    fn parts_are_identities_with_the_narrowest_first() {
        let of = |per, identity, name: &str| {
            let subject = Arc::new(Subject { per, value: "x".into() });
            crate::limit::Charge { subject, ..charge_of(name, identity, &[(60, 5)], Mode::Enforce) }
        };
        let charges =
            [of(Per::Global, 1, "a"), of(Per::Ip, 2, "b"), of(Per::User, 3, "c"), of(Per::Ip, 2, "d")];
        assert_eq!(by_identity(&charges), [vec![2], vec![1, 3], vec![0]]);
        assert!(!is_one_identity(&charges) && is_one_identity(&charges[1..2]) && is_one_identity(&[]));
    }
}
