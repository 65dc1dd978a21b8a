//! `tidegate cache purge`.

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::cache::arguments::PurgeArgs;
use crate::app::client::{AskFailure, Client};

/// Purges, or asks what that would meet.
pub(super) async fn ask(client: &Client, what: &PurgeArgs) -> Result<Value, AskFailure> {
    client.ask(Method::POST, "/api/v1/cache/purge", Some(&body(what))).await
}

/// The body: what was typed, and nothing else.
fn body(what: &PurgeArgs) -> Value {
    let mut body = Map::new();
    let PurgeArgs { tenant, namespace, prefix, glob, .. } = what;
    for (name, text) in [("tenant", tenant), ("namespace", namespace), ("prefix", prefix), ("glob", glob)] {
        if let Some(text) = text {
            body.insert(name.to_owned(), text.as_str().into());
        }
    }
    for (name, list) in [("tags", &what.tags), ("paths", &what.paths)] {
        if !list.is_empty() {
            body.insert(name.to_owned(), list.clone().into());
        }
    }
    body.insert("mode".to_owned(), if what.soft { "soft" } else { "hard" }.into());
    if what.dry_run {
        body.insert("dry_run".to_owned(), true.into());
    }
    Value::Object(body)
}

#[derive(Deserialize)]
pub(super) struct Done {
    purges: u64,
    patterns: u64,
    mode: String,
    dry_run: bool,
    entries: Option<u64>,
}

/// A sentence. A purge that reached one instance only is an error and told as one.
pub(super) fn shown(done: &Done) -> String {
    let Done { purges, patterns, mode, .. } = done;
    let plural =
        |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    if done.dry_run {
        let entries = plural(done.entries.unwrap_or(0), "entry", "entries");
        return format!("nothing was purged; in the memory of this instance it would meet {entries}\n");
    }
    let of_patterns = if *patterns == 0 { String::new() } else { format!(" ({patterns} by pattern)") };
    let purges = plural(*purges, "purge", "purges");
    format!("{purges}{of_patterns}, {mode}, told to every instance\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_body_is_what_was_typed() {
        let args = PurgeArgs {
            tenant: Some("acme".to_owned()),
            namespace: None,
            tags: vec!["a".to_owned(), "b".to_owned()],
            paths: Vec::new(),
            prefix: None,
            glob: Some("/a*".to_owned()),
            soft: true,
            dry_run: true,
        };
        let expected =
            json!({"tenant": "acme", "tags": ["a", "b"], "glob": "/a*", "mode": "soft", "dry_run": true});
        assert_eq!(body(&args), expected);
    }

    #[test]
    fn what_was_done_is_a_sentence() {
        let read = |value: Value| shown(&serde_json::from_value(value).expect("the shape"));
        let done = json!({"applied": "fleet", "purges": 3, "patterns": 1, "mode": "hard", "dry_run": false, "ts": ""});
        assert_eq!(read(done), "3 purges (1 by pattern), hard, told to every instance\n");
        let dry = json!({"applied": "none", "purges": 1, "patterns": 0, "mode": "hard", "dry_run": true, "entries": 1, "ts": ""});
        assert_eq!(read(dry), "nothing was purged; in the memory of this instance it would meet 1 entry\n");
    }
}
