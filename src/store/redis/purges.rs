//! The ledger of purges in Redis: `{prefix}g:{purges}:state` and `{prefix}g:{purges}:log`, kept by one script.

use crate::cache::ledger::LIFE_MAX_US;
use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::feed::channel;
use crate::store::redis::script::Script;
use fred::types::{Key, Value};

const SCRIPT: &str = include_str!("purges.lua");

/// How many purges are kept. More of them make everything older invalid.
const PURGES_MAX: i64 = 100_000;

/// How many are told in one answer.
const BATCH: i64 = 1_000;

/// Between two numbers. An instance that is cut off numbers its own purges in between.
pub const GAP: u64 = 1_000;

/// The shared ledger. Clones share it.
#[derive(Clone)]
pub struct RedisPurges {
    connection: Connection,
    script: Script,
    state: String,
    log: String,
    channel: String,
}

/// A part of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Up to which number it goes.
    pub read_to: u64,
    /// Before which nothing is known.
    pub floor: u64,
    /// Is there more?
    pub has_more: bool,
    /// Texts of purges with their numbers, in order.
    pub purges: Vec<(u64, String)>,
}

impl RedisPurges {
    /// The ledger under `prefix`.
    #[must_use]
    pub fn new(connection: Connection, prefix: &str) -> Self {
        let key = |name| format!("{prefix}g:{{purges}}:{name}");
        let (state, log, channel) = (key("state"), key("log"), channel(prefix));
        Self { connection, script: Script::new(SCRIPT), state, log, channel }
    }

    /// Enters purges and tells them to all instances; answers what was entered after number `known`. One
    /// round trip.
    ///
    /// # Errors
    /// [`StoreFailure`]; the purges may have been entered, and may be entered again.
    pub async fn exchange(&self, known: u64, purges: &[String]) -> Result<Page, StoreFailure> {
        let arguments = || {
            let mut arguments: Vec<Value> =
                vec![known.to_string().into(), (LIFE_MAX_US / 1_000).to_string().into()];
            arguments.extend([
                PURGES_MAX.into(),
                BATCH.into(),
                GAP.to_string().into(),
                self.channel.as_str().into(),
            ]);
            arguments.extend(purges.iter().map(|text| Value::from(text.as_str())));
            arguments
        };
        let keys = || vec![Key::from(self.state.as_str()), Key::from(self.log.as_str())];
        // By its text, as all that happens by the clock: EVALSHA counts what requests cause.
        let call = |client| self.script.run_text::<Vec<String>>(client, keys(), arguments());
        let answer = self.connection.call("purges", &self.state, call).await?;
        page(&answer).ok_or(StoreFailure::Malformed { what: "a page of the ledger" })
    }
}

fn page(answer: &[String]) -> Option<Page> {
    let (head, rest) = answer.split_at_checked(3)?;
    let [read_to, floor, has_more] = head else { return None };
    let purges = rest.chunks_exact(2).map(|pair| match pair {
        [text, number] => Some((number.parse().ok()?, text.clone())),
        _ => None,
    });
    Some(Page {
        read_to: read_to.parse().ok()?,
        floor: floor.parse().ok()?,
        has_more: has_more == "1",
        purges: purges.collect::<Option<Vec<_>>>()?,
    })
}
