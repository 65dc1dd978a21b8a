//! A look at what is stored, for people: judges nothing away, moves nothing between the tiers, returns no body.

use crate::base::Digest;
use crate::cache::{Entry, EntryHead, Ledger, Purge, Standing};
use crate::store::StoreFailure;
use crate::store::entries::EntryStore;
use crate::store::purges::Purges;
use http::HeaderMap;

/// A stored response without its body.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Everything but the body.
    pub head: EntryHead,
    /// Bytes of the body as the origin sent it.
    pub body_bytes: usize,
    /// Does a purge concern it?
    pub standing: Standing,
}

/// How Redis keeps a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtRest {
    /// Bytes of the body as it is kept.
    pub bytes: usize,
    /// Is it compressed?
    pub is_packed: bool,
    /// Has it a key of its own?
    pub is_apart: bool,
}

/// What both tiers have for a request.
#[derive(Debug, Clone, Default)]
pub struct Inspection {
    /// In this process.
    pub memory: Option<Seen>,
    /// In Redis.
    pub redis: Option<(Seen, AtRest)>,
    /// Why it is not known what Redis has.
    pub unknown: Option<StoreFailure>,
}

impl EntryStore {
    /// What `request` selects under `key`, in each tier, also when it is stale or purged. Bounded by the store's time-out.
    pub async fn inspect(&self, key: &Digest, request: &HeaderMap, purges: &Purges) -> Inspection {
        let of_memory = |entry: &Entry| Seen {
            head: entry.head.clone(),
            body_bytes: entry.body.len(),
            standing: purges.with(|ledger| entry.standing(ledger)),
        };
        let memory = self.memory().peek(key, request).map(|entry| of_memory(&entry));
        let Self::Tiered(tiered) = self else { return Inspection { memory, ..Inspection::default() } };
        match tiered.redis().inspect(key, request).await {
            Ok(found) => {
                let redis = found.map(|(head, body_bytes, at_rest)| {
                    let names = head.label.names();
                    let standing = purges.with(|ledger| ledger.judge(head.birth, &head.label, &names));
                    (Seen { head, body_bytes, standing }, at_rest)
                });
                Inspection { memory, redis, unknown: None }
            }
            Err(failure) => Inspection { memory, redis: None, unknown: Some(failure) },
        }
    }

    /// How many responses in the memory of this process these purges would make expire or go. Looks at each: some
    /// hundred nanoseconds an entry, so not on the threads of requests.
    #[must_use]
    pub fn count_matching(&self, purges: &[Purge]) -> u64 {
        let mut imagined = Ledger::default();
        for purge in purges {
            // After every birth.
            imagined.note(u64::MAX, purge);
        }
        self.memory().count_matching(&imagined)
    }
}
