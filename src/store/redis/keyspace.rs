//! What a Cluster tells of itself: who owns which slot, and where a key has gone. Pure; knows no connection.

use fred::types::Value;
use fred::util::redis_keyslot;

/// Slots of a cluster.
pub(super) const SLOTS: u16 = 16_384;

/// A node's address, as clients are told to dial it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Node {
    /// A name or an address.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
}

impl std::fmt::Display for Node {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// Slots next to each other with one owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    /// The first slot.
    pub(super) first: u16,
    /// The last slot, which belongs to it.
    pub(super) last: u16,
    /// The primary.
    pub(super) owner: Node,
}

/// Reads the reply to CLUSTER SLOTS. `asked` is the node that gave it: a host that it does not name is its own.
///
/// `None`: it is no such reply.
pub(super) fn ranges(reply: &Value, asked: &Node) -> Option<Vec<Range>> {
    let Value::Array(rows) = reply else { return None };
    let slot = |value: &Value| value.as_u64().and_then(|slot| u16::try_from(slot).ok());
    let row = |row: &Value| {
        let Value::Array(fields) = row else { return None };
        let [first, last, Value::Array(owner), ..] = fields.as_slice() else { return None };
        let (first, last) = (slot(first)?, slot(last)?);
        (first <= last && last < SLOTS).then_some(())?;
        Some(Range { first, last, owner: owner_of(owner, asked)? })
    };
    rows.iter().map(row).collect()
}

/// `[preferred endpoint or null, port, id, [further names]]`
fn owner_of(fields: &[Value], asked: &Node) -> Option<Node> {
    let port = fields.get(1)?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    let named = fields.first()?.as_string().filter(|host| !host.is_empty() && host != "?");
    Some(Node { host: named.unwrap_or_else(|| asked.host.clone()), port })
}

/// How far a node's view of the cluster is, from CLUSTER INFO. The greater knows more: a node that is cut off neither
/// serves nor hears of elections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct View {
    /// It takes part.
    pub(super) is_ok: bool,
    /// The latest election that it has heard of.
    pub(super) epoch: u64,
}

/// Reads the reply to CLUSTER INFO.
pub(super) fn view(info: &str) -> View {
    let field = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
    View {
        is_ok: field("cluster_state") == Some("ok"),
        epoch: field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0),
    }
}

/// Why the server that was asked did not answer itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// Another node owns the slot; an empty host is the one that was asked.
    Moved(Node),
    /// The slot is being moved, and this key is or will be at another node. Only this call goes there.
    Ask(Node),
    /// The slot is being moved, and of the keys of this call some are here, some there.
    TryAgain,
}

/// Reads a refusal.
pub(super) fn redirect(refusal: &str) -> Option<Redirect> {
    let mut words = refusal.split_ascii_whitespace();
    let word = words.next()?;
    if word == "TRYAGAIN" {
        return Some(Redirect::TryAgain);
    }
    let to = match word {
        "MOVED" => Redirect::Moved,
        "ASK" => Redirect::Ask,
        _ => return None,
    };
    // `MOVED 3999 127.0.0.1:6381`; an IPv6 address has colons of its own.
    let (host, port) = words.nth(1)?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(to(Node { host, port: port.parse().ok()? }))
}

/// A key whose slot is `fits`, for a probe of that part. Ends: some of so many keys lies in each slot, nearly.
pub(super) fn key_in(prefix: &str, fits: impl Fn(u16) -> bool) -> Option<String> {
    let keys = (0..u32::from(SLOTS) * 16).map(|number| format!("{prefix}probe:{{{number}}}"));
    keys.into_iter().find(|key| fits(slot_of(key)))
}

/// The slot of a key.
pub(super) fn slot_of(key: &str) -> u16 {
    redis_keyslot(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.to_owned(), port }
    }

    #[test]
    fn redirections_are_read_and_nothing_else_is() {
        let moved = Redirect::Moved(node("127.0.0.1", 6_381));
        assert_eq!(redirect("MOVED 3999 127.0.0.1:6381"), Some(moved));
        assert_eq!(redirect("MOVED 3999 :6381"), Some(Redirect::Moved(node("", 6_381))));
        assert_eq!(redirect("ASK 1 [fe80::1]:7"), Some(Redirect::Ask(node("fe80::1", 7))));
        assert_eq!(redirect("ASK 1 fe80::1:7"), Some(Redirect::Ask(node("fe80::1", 7))));
        assert_eq!(redirect("TRYAGAIN Multiple keys request"), Some(Redirect::TryAgain));
        for other in ["", "MOVED", "MOVED 1", "MOVED 1 a", "MOVED 1 a:b", "ERR MOVED 1 a:1", "MOVEDX 1 a:1"] {
            assert_eq!(redirect(other), None, "{other}");
        }
    }

    #[test]
    fn owners_without_a_name_share_the_host_that_was_asked() {
        let owner = |host: Value| {
            Value::Array(vec![host, Value::Integer(7), Value::from("id"), Value::Array(Vec::new())])
        };
        let row = |first: i64, last: i64, host| {
            Value::Array(vec![Value::Integer(first), Value::Integer(last), owner(host)])
        };
        let reply = Value::Array(vec![
            row(0, 9, Value::from("a.example")),
            row(10, 10, Value::Null),
            row(11, 16_383, Value::from("")),
        ]);
        let read = ranges(&reply, &node("asked", 1)).expect("a reply");
        let owners: Vec<String> = read.iter().map(|range| range.owner.to_string()).collect();
        assert_eq!(owners, ["a.example:7", "asked:7", "asked:7"]);
        assert_eq!((read[1].first, read[2].last), (10, 16_383));
        for wrong in [row(5, 4, Value::Null), row(0, 16_384, Value::Null), Value::Integer(3)] {
            assert_eq!(ranges(&Value::Array(vec![wrong]), &node("asked", 1)), None);
        }
        assert_eq!(ranges(&Value::Null, &node("asked", 1)), None);
    }

    #[test]
    fn a_node_that_takes_part_knows_more_and_a_later_election_more_still() {
        let of = |state: &str, epoch: u64| {
            view(&format!("cluster_enabled:1\r\ncluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n"))
        };
        assert!(of("fail", 9) < of("ok", 3));
        assert!(of("ok", 3) < of("ok", 4));
        assert_eq!(view("nonsense"), View::default());
    }

    #[test]
    fn every_slot_has_a_key_to_probe_it() {
        for slot in (0..SLOTS).step_by(997) {
            let key = key_in("tg:", |other| other == slot).expect("a key");
            assert_eq!(slot_of(&key), slot);
        }
        assert_eq!(key_in("tg:", |_| false), None);
    }
}
