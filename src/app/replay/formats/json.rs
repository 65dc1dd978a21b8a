//! Our own access lines, one JSON object each: `telemetry/access.rs` writes them with `--log-format json`.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;

use crate::app::replay::entry::{Entry, Skip, known};
use crate::app::replay::time::parse_us;
use crate::telemetry::access::TARGET;

/// Text that is borrowed from the line unless it has escapes.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is read of a line. All of it may be absent; other members are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AccessLine<'a> {
    #[serde(borrow)]
    target: Text<'a>,
    timestamp: Text<'a>,
    client: Text<'a>,
    method: Text<'a>,
    host: Text<'a>,
    path: Text<'a>,
    route: Option<Text<'a>>,
    cache: Option<Text<'a>>,
    refusal: Option<Text<'a>>,
    user: Option<Text<'a>>,
    tenant: Option<Text<'a>>,
    api_key: Option<Text<'a>>,
    tier: Option<Text<'a>>,
    status: u16,
    duration_us: u64,
}

/// Is it a line of a JSON log, an access line or another?
#[must_use]
pub fn is_own(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        #[expect(dead_code, reason = "only its presence is asked for")]
        target: Text<'a>,
        #[expect(dead_code, reason = "only its presence is asked for")]
        timestamp: Text<'a>,
    }
    line.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<Event<'_>>(line).is_ok()
}

/// Reads a line. The line is written at the end of a request; the request came `duration_us` earlier.
///
/// # Errors
/// [`Skip`]: lines of other targets are [`Skip::Other`].
pub fn read(line: &[u8]) -> Result<Entry<'_>, Skip> {
    // Most other lines are told without being parsed; what else has the word in it is parsed and told by its target.
    if memmem::find(line, b"\"access\"").is_none() {
        return Err(Skip::Other);
    }
    let line: AccessLine<'_> =
        serde_json::from_slice(line).map_err(|_fault| Skip::Unreadable("it is not a JSON access line"))?;
    if line.target.0 != TARGET {
        return Err(Skip::Other);
    }
    let end_us =
        parse_us(line.timestamp.0.as_bytes()).ok_or(Skip::Unreadable("its `timestamp` is no time"))?;
    let refusal = line.refusal.as_ref().map(|word| &*word.0);
    // Without a route the message itself was at fault, or nothing took the path, which may be otherwise now.
    let is_malformed = line.route.is_none() && !matches!(refusal, None | Some("no-route"));
    if is_malformed || refusal == Some("invalid-credential") || line.path.0.is_empty() {
        return Err(Skip::Refused);
    }
    Ok(Entry {
        start_us: end_us.saturating_sub(line.duration_us),
        took_us: line.duration_us,
        is_from_cache: matches!(line.cache, Some(Text(Cow::Borrowed("hit" | "stale")))),
        is_denied: refusal == Some("limit"),
        method: line.method.0,
        host: line.host.0,
        target: line.path.0,
        client: line.client.0,
        user: said(line.user),
        tenant: said(line.tenant),
        api_key: said(line.api_key),
        tier: said(line.tier),
        status: line.status,
    })
}

fn said(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| known(text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"{"timestamp":"2026-07-01T12:00:00.250000Z","level":"INFO","request_id":"01H","client":"192.0.2.7","method":"GET","host":"api.example","path":"/api/v1/dashboard/","query":"page=*","http":"1.1","status":200,"bytes":17,"duration_us":250000,"route":"/api/v1/dashboard/","cache":"hit","limit":"allow","policy":"default","tenant":"acme","user":"ada","user_agent":"curl \"x\"","target":"access"}"#;

    #[test]
    fn an_access_line_is_read_at_the_time_its_request_came() {
        let entry = read(LINE.as_bytes()).expect("a request");
        assert_eq!((entry.start_us, entry.took_us), (1_782_907_200_000_000, 250_000));
        assert_eq!(
            (&*entry.method, &*entry.host, &*entry.target),
            ("GET", "api.example", "/api/v1/dashboard/")
        );
        assert_eq!(
            (&*entry.client, entry.user.as_deref(), entry.tenant.as_deref()),
            ("192.0.2.7", Some("ada"), Some("acme"))
        );
        assert_eq!((entry.status, entry.is_from_cache, entry.is_denied), (200, true, false));
        assert!(matches!(entry.user, Some(Cow::Borrowed(_))), "nothing is copied");
        let denied = LINE.replace("\"user_agent\"", "\"refusal\":\"limit\",\"user_agent\"");
        assert!(read(denied.as_bytes()).expect("a request").is_denied);
    }

    #[test]
    fn other_lines_and_early_refusals_are_told_apart() {
        for other in
            [r#"{"timestamp":"x","target":"tidegate::app","message":"access"}"#, "", "warning: odd", "{}"]
        {
            assert_eq!(read(other.as_bytes()), Err(Skip::Other), "{other}");
        }
        let without_route = LINE.replace("\"route\":\"/api/v1/dashboard/\",", "");
        let refused = |word: &str, line: &str| {
            let line = line.replace("\"user_agent\"", &format!("\"refusal\":\"{word}\",\"user_agent\""));
            read(line.as_bytes()) == Err(Skip::Refused)
        };
        assert!(refused("bad-target", &without_route) && refused("invalid-credential", LINE));
        assert!(!refused("no-route", &without_route), "the new configuration may have one");
        assert!(!refused("bad-gateway", LINE));
    }

    #[test]
    fn hostile_lines_are_unreadable_and_no_more() {
        for (from, to) in [
            ("2026-07-01", "-026-07-01"),
            ("2026-07-01T12:00:00.250000Z", "1969-12-31T23:59:59Z"),
            ("\"status\":200", "\"status\":-1"),
            ("\"status\":200", "\"status\":200,\"status\":201"),
            ("\"ada\"", "\"a\u{0}a\""),
            ("\"ada\"", "17"),
            ("}", ""),
        ] {
            let line = LINE.replace(from, to);
            assert!(matches!(read(line.as_bytes()), Err(Skip::Unreadable(_))), "{line}");
        }
        let mut line = LINE.as_bytes().to_vec();
        let at = LINE.find("ada").expect("there");
        line[at] = 0xff;
        assert!(matches!(read(&line), Err(Skip::Unreadable(_))));
        let escaped = LINE.replace("\"ada\"", "\"a\\u0000\\ud83d\\ude00\"");
        assert_eq!(read(escaped.as_bytes()).expect("a request").user.as_deref(), Some("a\u{0}\u{1f600}"));
    }

    #[test]
    fn our_lines_are_told_from_others() {
        assert!(is_own(LINE.as_bytes()) && is_own(br#"{"timestamp":"x","target":"tidegate","n":1}"#));
        assert!(!is_own(b"{}") && !is_own(b"{\"a\":1}") && !is_own(b"192.0.2.1 - -"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(at in 0..LINE.len(), byte in any::<u8>(), cut in 0..LINE.len()) {
            let mut line = LINE.as_bytes().to_vec();
            line[at] = byte;
            line.truncate(line.len() - cut / 8);
            drop(read(&line));
        }
    }
}
