//! The rules of HTTP messages (RFC 9110 and 9112), each shown over raw sockets against a backend that records bytes.
//!
//! A case is a line of a table: its name, the section, the bytes of the client or of the backend, and what the two
//! may see. `docs/conformance.md` has the same tables and is compared with them.

mod answers;
mod bounds;
mod chunks;
mod codings;
mod connections;
mod early;
mod exchange;
mod expectations;
mod fields;
mod hops;
mod hosts;
mod lengths;
mod lines;
mod methods;
mod page;
mod targets;
mod upgrades;

use crate::support::{Gate, Origin, Reply, Setup};
use exchange::{Outcome, run};
use parking_lot::Mutex;
use std::sync::Arc;

/// What the client does when it has sent everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Waits,
    /// It closes its side for writing.
    HalfCloses,
}

/// What must become of the client's connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    Either,
    /// The next request on it is answered.
    Kept,
    Closed,
}

/// How the client's view ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// One complete answer for each list of statuses, in this order.
    Answers(&'static [&'static [u16]]),
    /// An answer that is visibly incomplete.
    Cut,
    /// Either that, or 502.
    Broken,
    /// Answers with these statuses, or none, and the connection is closed.
    BrokenOff(&'static [u16]),
}

/// What the backend may get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gets {
    Anything,
    /// Not a byte.
    Nothing,
    /// No complete request.
    NoWhole,
    /// These requests: method, target and body.
    Requests(&'static [&'static str]),
}

/// One rule and what shows that it is kept. In texts `{h}` is the version and a Host, `{tail}` a request that must not
/// be taken for one, and `{x*100}` a hundred times `x`.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    section: &'static str,
    sends: &'static str,
    after: After,
    reply: &'static str,
    hangs_up: bool,
    view: View,
    connection: Connection,
    body: Option<&'static str>,
    shows: &'static [&'static str],
    hides: &'static [&'static str],
    gets: Gets,
    forwards: &'static [&'static str],
    withholds: &'static [&'static str],
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// Every refusal is ours, whoever finds the fault, and says that it is the last answer.
const OURS: &[&str] =
    &["\r\nconnection: close\r\n", "\r\ndate: ", "\r\ncontent-type: application/problem+json\r\n"];
const BAD: &[&[u16]] = &[&[400]];
const FINE: &[&[u16]] = &[&[200]];

impl Case {
    /// The client sends this; the backend answers 200.
    const fn client(name: &'static str, section: &'static str, sends: &'static str) -> Self {
        Self {
            name,
            section,
            sends,
            after: After::Waits,
            reply: OK,
            hangs_up: false,
            view: View::Answers(FINE),
            connection: Connection::Either,
            body: None,
            shows: &[],
            hides: &[],
            gets: Gets::Anything,
            forwards: &[],
            withholds: &[],
        }
    }

    /// The backend sends this; the client has asked with GET.
    const fn backend(name: &'static str, section: &'static str, reply: &'static str) -> Self {
        Self { reply, ..Self::client(name, section, "GET /x {h}\r\n") }
    }

    const fn asked(self, sends: &'static str) -> Self {
        Self { sends, ..self }
    }

    const fn replying(self, reply: &'static str) -> Self {
        Self { reply, ..self }
    }

    /// The backend closes behind its answer.
    const fn hangs_up(self) -> Self {
        Self { hangs_up: true, ..self }
    }

    const fn half_closes(self) -> Self {
        Self { after: After::HalfCloses, ..self }
    }

    /// Refused with 400 at the door: the backend gets nothing, the connection is closed.
    const fn refused(self) -> Self {
        self.refused_as(BAD)
    }

    const fn refused_as(self, statuses: &'static [&'static [u16]]) -> Self {
        Self {
            view: View::Answers(statuses),
            connection: Connection::Closed,
            shows: OURS,
            gets: Gets::Nothing,
            withholds: &["smuggled"],
            ..self
        }
    }

    /// What follows the head is broken: no answer as if it were not, no whole request for the backend.
    const fn broken_off(self) -> Self {
        Self {
            view: View::BrokenOff(&[400, 408, 413, 431, 502]),
            connection: Connection::Closed,
            gets: Gets::NoWhole,
            withholds: &["smuggled"],
            ..self
        }
    }

    /// Any number of answers with these statuses, none too, and then closed.
    const fn may_end_with(self, statuses: &'static [u16]) -> Self {
        Self { view: View::BrokenOff(statuses), connection: Connection::Closed, ..self }
    }

    /// Answered with these statuses, and then?
    const fn answered(self, statuses: &'static [&'static [u16]], connection: Connection) -> Self {
        Self { view: View::Answers(statuses), connection, ..self }
    }

    const fn kept(self) -> Self {
        Self { connection: Connection::Kept, ..self }
    }

    const fn closed(self) -> Self {
        Self { connection: Connection::Closed, ..self }
    }

    /// The client must see that the answer is incomplete.
    const fn cut(self) -> Self {
        Self { view: View::Cut, connection: Connection::Closed, ..self }
    }

    /// The backend's body is broken: a 502 when nothing is out yet, otherwise an answer that shows it.
    const fn broken(self) -> Self {
        Self { view: View::Broken, connection: Connection::Closed, ..self }
    }

    /// The backend's answer is refused.
    const fn bad_gateway(self) -> Self {
        Self { view: View::Answers(&[&[502]]), hides: &["smuggled"], ..self }
    }

    const fn body(self, body: &'static str) -> Self {
        Self { body: Some(body), ..self }
    }

    const fn shows(self, shows: &'static [&'static str]) -> Self {
        Self { shows, ..self }
    }

    const fn hides(self, hides: &'static [&'static str]) -> Self {
        Self { hides, ..self }
    }

    const fn gets(self, requests: &'static [&'static str]) -> Self {
        Self { gets: Gets::Requests(requests), ..self }
    }

    const fn gets_nothing(self) -> Self {
        Self { gets: Gets::Nothing, ..self }
    }

    /// The backend gets bytes with these parts (of field names: in lower case).
    const fn forwards(self, forwards: &'static [&'static str]) -> Self {
        Self { forwards, ..self }
    }

    const fn withholds(self, withholds: &'static [&'static str]) -> Self {
        Self { withholds, ..self }
    }
}

/// A backend whose answer each case sets, and the gate in front of it.
struct Arena {
    origin: Origin,
    gate: Gate,
    reply: Arc<Mutex<Reply>>,
}

impl Arena {
    async fn start() -> Self {
        let reply = Arc::new(Mutex::new(Reply::raw(OK)));
        let current = Arc::clone(&reply);
        let script = move |seen: &crate::support::Seen| {
            if seen.target == "/probe" { Reply::ok("probe") } else { current.lock().clone() }
        };
        let origin = Origin::start(script).await;
        let gate = Gate::start(&Setup::new(origin.address()).with("routes: [{path: /}]")).await;
        Self { origin, gate, reply }
    }
}

/// Runs a table; every case that fails is told with what was sent and seen.
async fn check(cases: &[Case]) {
    let arena = Arena::start().await;
    let mut faults = Vec::new();
    for case in cases {
        let outcome: Outcome = run(&arena, case).await;
        faults.extend(outcome.faults(case));
    }
    assert!(faults.is_empty(), "{} of {} cases:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
