//! The JSON Schema against what ships and what is read: it accepts the one and refuses what the reader refuses.

use crate::config::tree::{Kind, Node, parse};
use crate::config::{Env, Purpose, SCHEMA, Source, load, load_for};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

/// What an editor sees: numbers and booleans typed, everything else text.
fn json_of(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Scalar(text) => match serde_json::from_str::<Value>(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::from(text.clone()),
        },
        Kind::List(items) => items.iter().map(json_of).collect(),
        Kind::Map(entries) => {
            let entry = |(key, value): &(crate::config::tree::Key, Node)| (key.name.clone(), json_of(value));
            Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
    }
}

/// What the schema has against a text, by place.
fn refusals(text: &str) -> Vec<String> {
    let validator = jsonschema::draft202012::new(&schema()).expect("the schema is one");
    let instance = json_of(&parse(text).expect("YAML"));
    validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path)).collect()
}

/// Every configuration that ships, with its name.
fn shipped() -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(root().join("config")).expect("config").filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    paths.extend(["demo", "dashboard"].map(|name| root().join(format!("src/app/demo/{name}.yaml"))));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("readable");
        let addresses = [
            ("listen", "127.0.0.1:8080"),
            ("admin", "127.0.0.1:9901"),
            ("backend", "127.0.0.1:8000"),
            ("dashboard", "127.0.0.1:8090"),
        ];
        let filled =
            addresses.iter().fold(text, |text, (name, value)| text.replace(&format!("@{name}@"), value));
        (path, filled.replace("@secret@", "0123456789abcdef0123456789abcdef"))
    };
    paths.into_iter().map(read).chain(deployed()).collect()
}

/// The configurations inside `deploy/`, with the variables that a deployment sets.
fn deployed() -> Vec<(PathBuf, String)> {
    let variables = [
        ("${TIDEGATE_ADMIN_TOKEN}", "a-token-of-the-operator"),
        ("${JWT_SECRET}", "0123456789abcdef0123456789abcdef"),
        ("${REDIS_URL}", "redis://127.0.0.1:6379"),
        ("${DATABASE_URL}", "postgres://tidegate@127.0.0.1/app"),
        ("${SIGNING_SECRET}", "0123456789abcdef0123456789abcdef"),
    ];
    let read = |file: &str| {
        let path = root().join("deploy").join(file);
        let text = fs::read_to_string(&path).expect("readable");
        let text = text.split_once("  tidegate.yaml: |\n").map_or(text.clone(), |(_, rest)| {
            let block = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
            block.map(|line| line.strip_prefix("    ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
        });
        (path, variables.iter().fold(text, |text, (variable, value)| text.replace(variable, value)))
    };
    ["compose/tidegate.yaml", "kubernetes/dashboard.yaml", "kubernetes/edge.yaml", "kubernetes/sidecar.yaml"]
        .map(read)
        .into()
}

/// Every object of the schema that lists properties, with the path to it.
fn sections(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let Value::Object(map) = value else {
        if let Value::Array(items) = value {
            for (index, item) in items.iter().enumerate() {
                sections(item, &format!("{path}/{index}"), found);
            }
        }
        return;
    };
    if map.get("properties").is_some_and(Value::is_object) && !path.ends_with("/properties") {
        found.push((path.to_owned(), value.clone()));
    }
    for (key, inner) in map {
        sections(inner, &format!("{path}/{key}"), found);
    }
}

#[test]
fn what_ships_is_valid_by_schema_and_by_reader() {
    let shipped = shipped();
    assert!(shipped.len() >= 6, "{shipped:?}");
    for (path, text) in shipped {
        let name = path.display().to_string();
        assert_eq!(refusals(&text), Vec::<String>::new(), "{name}");
        let is_companions = name.ends_with("dashboard.yaml");
        let purpose = if is_companions { Purpose::Companion } else { Purpose::Proxy };
        let loaded = load_for(purpose, &Source::Text { name: name.clone(), text }, &Env::default(), 1);
        let warnings = loaded.unwrap_or_else(|faults| panic!("{faults}")).warnings;
        let expected = usize::from(name.ends_with("config/tidegate.yaml"));
        assert_eq!(warnings.len(), expected, "{name}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("the secret is empty")), "{warnings:?}");
    }
    let minimal = fs::read_to_string(root().join("config/minimal.yaml")).expect("readable");
    assert!(minimal.lines().count() <= 10, "{minimal}");
}

/// The sum of the requests that the page makes in an hour by itself, read from its script.
fn asked_in_an_hour_by_a_page() -> u64 {
    let script = fs::read_to_string(root().join("src/companion/page/assets/app.js")).expect("readable");
    let number =
        |rest: &str| rest.split(',').next().expect("some text").replace('_', "").parse().expect("a number");
    let periods: Vec<u64> = script.split("everyMs: ").skip(1).map(number).collect();
    assert_eq!(periods.len(), 3, "metrics, activity, statistics");
    periods.iter().map(|every_ms| 3_600_000 / every_ms).sum()
}

#[test]
fn open_pages_of_the_dashboard_take_nothing_of_what_their_user_has_for_the_application() {
    let an_hour = asked_in_an_hour_by_a_page();
    let mut found = 0;
    for (path, text) in shipped() {
        let (name, file) = (path.display(), json_of(&parse(&text).expect("YAML")));
        let is_dashboards =
            |route: &&Value| route["path"] == "/api/v1/dashboard/" && route["upstream"] == "metrics-service";
        let routes = file["routes"].as_array().into_iter().flatten();
        for route in routes.filter(is_dashboards) {
            let windows = &file["limits"][route["limit"].as_str().expect("a policy of its own")]["windows"];
            let limit =
                |window: &str| windows[window].as_u64().unwrap_or_else(|| panic!("{name}: {windows}"));
            assert_ne!(route["limit"], "default", "{name}");
            // Several pages of one user, one of them on a wall all day; more at once while somebody clicks.
            let is_enough =
                limit("1h") >= 4 * an_hour && limit("1d") >= 24 * 2 * an_hour && limit("1m") >= 60;
            assert!(is_enough, "{name}: {windows} for {an_hour} an hour");
            found += 1;
        }
    }
    assert_eq!(found, 4, "the default, Compose, Kubernetes and the demo");
}

#[test]
fn every_section_is_closed_and_every_key_described() {
    let mut found = Vec::new();
    sections(&schema(), "", &mut found);
    assert!(found.len() >= 20, "{} sections", found.len());
    for (path, section) in found {
        assert_eq!(section["additionalProperties"], json!(false), "{path}");
        for (key, property) in section["properties"].as_object().expect("properties") {
            let referred = property["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
            let description = referred.map_or(Value::Null, |place| {
                schema().pointer(place).map_or(Value::Null, |target| target["description"].clone())
            });
            let is_described = property["description"].is_string() || description.is_string();
            assert!(is_described, "{path}/{key} has no description");
        }
    }
}

#[test]
fn what_the_reader_takes_in_other_spellings_is_valid() {
    for text in [
        "routes: {path: /, upstream: \"tidegate:cache-stats\"}",
        "upstreams: {b: \"${B:-a:1}\"}\nroutes: [{path: /, limit: none, methods: GET}]",
        "upstreams: {b: {servers: \"[::1]:80\", tls: true, health: null, retries: \"2\"}}\nroutes: [{path: /}]",
        "upstreams: {b: {servers: [a:1], tls: {server_name: x}}}\nroutes: [{path: /, cache: {ttl: 5m}}]",
        "upstreams: {b: a:1}\nlimits: {d: {windows: {60: 1, 1h: 9}, per: header:X-Key, cost: 1}}\nroutes: [{path: \"~^/a$\"}]",
        "upstreams: {b: a:1}\nserver: {compression: null, listen: [\":80\", {address: \"[::]:81\", http2: true}]}\nroutes: [{path: /}]",
        "upstreams: {b: a:1}\ncache: {namespaces: {n: {cookies: {key: [a]}, query: all, headers: Accept}, m: }}\nroutes: [{path: /}]",
        "upstreams: {b: a:1}\nidentity: {jwt: {secret: 12345, leeway: 0}}\nserver: {request: {body_bytes: 0, head_bytes: 9}}\nroutes: [{path: /}]",
        "upstreams: {b: a:1}\nlimits: {d: {windows: {1m: 1}, bypass: [10.0.0.1], count: all}}\nroutes: [{path: /, invalidates: {tags: t}}]",
        "upstreams: {b: a:1}\ncache: {warm: {host: a.example, scheme: https, fields: {Accept: x}, identities: {name: a, value: 1}, jobs: {name: j, paths: /a, identities: all}}}\nroutes: [{path: /, cache: {ttl: 5m}, refresh: /a?b=c}]",
        "upstreams: {b: a:1}\ncache: {warm: {host: \"a.example:8080\", identities: null, slow: {above: 5s, errors: 0%}, jobs: [{name: j, identities: [], paths: [/a], every: 1d, jitter: 100%, concurrency: \"3\"}]}}\nroutes: [{path: /, cache: {ttl: 5m, scope: public}}]",
        "upstreams: {b: a:1}\nserver: {compression: {types: \"*+json\", min_bytes: 0}}\nroutes: [{path: /, body_bytes: 0, compression: false}]",
        "upstreams: {b: a:1}\nroutes: [{path: /}]\ndashboard: {database: \"postgresql://a/b\", replica_url: \"postgres://c/b\", mapping: {id: text, tables: {users: accounts, user_sessions: {name: s.t, columns: {ended_at: null}}}}}",
        "upstreams: {b: a:1}\nserver: {compression: {gzip: 1, types: [text/*, image/svg+xml, \"${T:-a/b}\"]}}\nroutes: [{path: /, request_headers: {set: {X-A: 1, X-B: true}, remove: Cookie}, response_headers: null}]",
    ] {
        let source = Source::Text { name: "t".to_owned(), text: text.to_owned() };
        assert!(load(&source, &Env::default(), 1).is_ok(), "{text}");
        assert_eq!(refusals(text), Vec::<String>::new(), "{text}");
    }
}

/// Faults that need more than the file's shape: other names, other files, the environment, the order of values.
const BEYOND_SHAPE: &[&str] = &[
    "admin-open",
    "bad-host",
    "bad-network",
    "bad-variable",
    "cost-above-limit",
    "duplicate-key",
    "duplicate-window",
    "equal-routes",
    "jwt-key-does-not-fit",
    "jwt-two-keys",
    "jwt-without-key",
    "keyed-fact",
    "listen-twice",
    "no-upstreams",
    "proxy-protocol",
    "route-fields-fixed",
    "same-length-twice",
    "secret-file-unreadable",
    "several-upstreams",
    "store-timeout",
    "token-file-unreadable",
    "unknown-in-list",
    "unknown-namespace",
    "unknown-policy",
    "unknown-upstream",
    "upstream-authority",
    "variable-not-set",
    "warm-names",
];

#[test]
fn what_is_broken_in_shape_is_refused() {
    let mut accepted = Vec::new();
    for entry in fs::read_dir(root().join("tests/configs/bad")).expect("the folder").filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".yaml") else { continue };
        let text = fs::read_to_string(entry.path()).expect("readable");
        if parse(&text).is_ok() && refusals(&text).is_empty() {
            accepted.push(name.to_owned());
        }
    }
    accepted.sort();
    assert_eq!(accepted, BEYOND_SHAPE);
    let unknown = "upstreams: {b: a:1}\nroutes: [{path: /, limmit: none}]";
    assert!(refusals(unknown).join("\n").contains("limmit"), "{:?}", refusals(unknown));
}

/// The chapter of the reference that begins with `heading`.
fn chapter<'t>(reference: &'t str, heading: &str) -> &'t str {
    let start = format!("\n## `{heading}`\n");
    let (_, rest) = reference.split_once(&*start).unwrap_or_else(|| panic!("no chapter {heading}"));
    rest.split_once("\n## ").map_or(rest, |(chapter, _)| chapter)
}

#[test]
fn the_reference_describes_every_key() {
    let reference = fs::read_to_string(root().join("docs/configuration.md")).expect("the reference");
    let schema = schema();
    let chapters = [
        ("/$defs/server", "server"),
        ("/$defs/listener", "server"),
        ("/$defs/certificate", "server"),
        ("/$defs/admin", "admin"),
        ("/$defs/store", "store"),
        ("/$defs/upstream", "upstreams"),
        ("/$defs/identity", "identity"),
        ("/$defs/jwt", "identity"),
        ("/$defs/policy", "limits"),
        ("/properties/cache", "cache"),
        ("/$defs/namespace", "cache"),
        ("/$defs/warm", "cache"),
        ("/$defs/warm_identity", "cache"),
        ("/$defs/warm_job", "cache"),
        ("/$defs/route", "routes"),
        ("/$defs/edits", "routes"),
        ("/$defs/dashboard", "dashboard"),
        ("/$defs/mapped_table", "dashboard"),
    ];
    let mut found = Vec::new();
    sections(&schema, "", &mut found);
    for (path, section) in found {
        let keys = section["properties"].as_object().expect("properties").keys();
        let heading = chapters.iter().find(|(place, _)| {
            path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        for key in keys {
            let Some((_, heading)) = heading else {
                assert!(path.is_empty(), "{path} belongs to no chapter");
                chapter(&reference, key);
                continue;
            };
            let words = chapter(&reference, heading)
                .split('`')
                .skip(1)
                .step_by(2)
                .flat_map(|code| code.split(['.', '[', ']', '{', ':', ' ']));
            assert!(
                words.into_iter().any(|word| word == key),
                "{heading}: `{key}` of {path} is not described"
            );
        }
    }
}
