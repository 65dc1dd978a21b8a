//! From text to snapshot: all faults at once, or a whole configuration.

use crate::config::env::Env;
use crate::config::fault::{Fault, Faults, Position};
use crate::config::files::{FileSeen, check_length};
use crate::config::reader::{Reader, Section, Taken};
use crate::config::routes::{Named, routes};
use crate::config::snapshot::{Listen, Snapshot};
use crate::config::tree::{Kind, Node, parse};
use crate::config::warm_order::Served;
use crate::config::{dashboard, identify, namespaces, policies, server, upstreams, warm};
use crate::identity::{CertificateFacts, Identifier};
use crate::route::Table;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Text under a name for messages.
    Text {
        /// The name.
        name: String,
        /// The YAML.
        text: String,
    },
    /// No file: everything to this server under the default limits.
    Upstream(String),
}

/// An accepted configuration.
#[derive(Debug)]
pub struct Loaded {
    /// It.
    pub snapshot: Snapshot,
    /// What is worth a look, rendered.
    pub warnings: Vec<String>,
    /// The text it was made of, to see whether a file really changed.
    pub text: String,
    /// The files beside it that were read.
    pub files: Vec<FileSeen>,
}

/// Who is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The proxy, which is nothing without routes.
    Proxy,
    /// The companion, whose file may hold `dashboard` alone, or nothing.
    Companion,
}

/// Loads the proxy's configuration as generation `generation`.
///
/// # Errors
/// [`Faults`]: every one of them, with places and remedies.
pub fn load(source: &Source, env: &Env, generation: u64) -> Result<Loaded, Faults> {
    load_for(Purpose::Proxy, source, env, generation)
}

/// Loads a configuration for somebody.
///
/// # Errors
/// [`Faults`]: every one of them, with places and remedies.
pub fn load_for(purpose: Purpose, source: &Source, env: &Env, generation: u64) -> Result<Loaded, Faults> {
    let (name, text, dir) = text_of(source)?;
    let refuse = |list, files| Faults { file: name.clone(), text: text.clone(), list, files };
    let root = parse(&text).map_err(|fault| refuse(vec![fault], Vec::new()))?;
    let mut reader = Reader::new(env, &dir);
    let snapshot = compile(&mut reader, &root, purpose, env, generation);
    if !reader.faults.is_empty() {
        let mut faults = reader.faults;
        faults.sort_by_key(|fault| fault.at);
        return Err(refuse(faults, reader.files));
    }
    let warnings = reader.warnings.iter().map(|warning| warning.render_warning(&name, &text)).collect();
    Ok(Loaded { snapshot, warnings, text, files: reader.files })
}

fn text_of(source: &Source) -> Result<(String, String, PathBuf), Faults> {
    match source {
        Source::Text { name, text } => Ok((name.clone(), text.clone(), PathBuf::from("."))),
        Source::Upstream(address) => Ok(("--upstream".to_owned(), without_file(address), PathBuf::from("."))),
        Source::File(path) => {
            let name = path.display().to_string();
            let dir = path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
            match read(path) {
                Ok(text) => Ok((name, text, dir)),
                Err(error) => {
                    let at = Position::START;
                    let remedy =
                        "name a readable file with --config, or run without one: --upstream HOST:PORT";
                    let fault = Fault::new(at, "", format!("it cannot be read: {error}"), remedy);
                    Err(Faults { file: name, text: String::new(), list: vec![fault], files: Vec::new() })
                }
            }
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    check_length(path)?;
    std::fs::read_to_string(path)
}

/// The configuration of `run --upstream`: the default limits and nothing cached.
fn without_file(address: &str) -> String {
    let quoted = serde_json::Value::from(address);
    format!(
        "upstreams: {{backend: {quoted}}}\nlimits:\n  default: {{windows: {{1m: 60, 1h: 1000, 1d: 10000}}}}\nroutes: [{{path: /}}]\n"
    )
}

fn compile(reader: &mut Reader<'_>, root: &Node, purpose: Purpose, env: &Env, generation: u64) -> Snapshot {
    if root.kind == Kind::Null && purpose == Purpose::Proxy {
        let remedy = "begin with `upstreams` and `routes`; config/minimal.yaml shows how";
        reader.fault(root.at, "", "the configuration is empty", remedy);
    }
    let mut section = reader.section(root, "");
    let mut node = |name| section_node(&mut section, name, root);
    let (server_node, admin_node, store_node) = (node("server"), node("admin"), node("store"));
    let (upstreams_node, identity_node) = (node("upstreams"), node("identity"));
    let (limits_node, cache_node) = (node("limits"), node("cache"));
    let (server, trusted) = server::server(reader, &server_node);
    let admin = server::admin(reader, &admin_node);
    let store = server::store(reader, &store_node, env);
    let upstreams = upstreams::upstreams(reader, &upstreams_node);
    let policies = policies::policies(reader, &limits_node, env);
    let cache = namespaces::cache(reader, &cache_node, env);
    let named = Named {
        upstreams: &upstreams,
        has_upstreams: matches!(&upstreams_node.kind, Kind::Map(entries) if !entries.is_empty()),
        policies: &policies,
        namespaces: &cache.namespaces,
        default_ttl: cache.default_ttl,
        has_limits: switch(reader, env, "ENABLE_RATE_LIMITING"),
        has_caching: switch(reader, env, "ENABLE_CACHING"),
        slash: server.request.encoded_slash,
    };
    let taken = section.take("routes");
    let routes = match (&taken, purpose) {
        (None, Purpose::Companion) => Table::default(),
        _ => routes(reader, taken.as_ref(), root, &named),
    };
    let served = Served { routes: &routes, slash: named.slash, has_caching: named.has_caching };
    let warm = cache.warm.as_ref().and_then(|taken| warm::warm(reader, taken, &served)).map(Arc::new);
    let inline = routes.iter().filter_map(|(_, route)| route.namespace.clone());
    let claims: Vec<String> =
        cache.namespaces.iter().cloned().chain(inline).flat_map(|space| space.vary_claims.clone()).collect();
    let identifier = identify::identity(reader, &identity_node, trusted, claims);
    check_keyed(reader, &identifier);
    check_edited(reader, &identifier);
    let dashboard_node = section_node(&mut section, "dashboard", root);
    let dashboard = dashboard::dashboard(reader, &dashboard_node, &identifier, &cache.namespaces);
    reader.finish(&section);
    check_certificates(reader, &server.listen, &identifier, &identity_node);
    let namespaces::CacheSection { namespaces, settings: cache, .. } = cache;
    Snapshot {
        generation,
        server,
        admin,
        store,
        upstreams,
        identifier,
        policies,
        namespaces,
        cache,
        warm,
        dashboard,
        routes,
    }
}

/// A key must hold what the backend sees. Of these fields it sees ours, whatever the client sent.
fn check_keyed(reader: &mut Reader<'_>, identifier: &Identifier) {
    for (name, at, path) in std::mem::take(&mut reader.keyed) {
        if identifier.fact(&name).is_some() {
            let says =
                format!("clients do not set `{name}`: the backend gets it from Tidegate, or not at all");
            let remedy =
                "use `scope: user` or `scope: tenant`, or `vary_claims`, which key by what was verified";
            reader.fault(at, &path, says, remedy);
        }
    }
}

/// The backend believes these fields because nobody but Tidegate writes them.
fn check_edited(reader: &mut Reader<'_>, identifier: &Identifier) {
    for (name, at, path) in std::mem::take(&mut reader.edited) {
        if identifier.fact(&name).is_some() {
            let says =
                format!("`{name}` tells the backend who asks, or never reaches it: Tidegate decides it");
            reader.fault(
                at,
                &path,
                says,
                "leave it out; `identity.forward` names the fields for verified facts",
            );
        }
    }
}

/// A section's node; an absent one is an empty mapping.
fn section_node(section: &mut Section, name: &'static str, root: &Node) -> Node {
    section.take(name).map_or(Node { at: root.at, kind: Kind::Null }, |Taken { node, .. }| node)
}

/// What certificates say is only ever heard where somebody asks for one, and verifies it.
fn check_certificates(reader: &mut Reader<'_>, listen: &[Listen], identifier: &Identifier, node: &Node) {
    let asks = listen.iter().filter_map(|listen| listen.tls.as_ref()).any(|tls| tls.client.is_some());
    if !asks && *identifier.certificate_facts() != CertificateFacts::default() {
        let says = "no listener asks for client certificates, so nobody is known by one";
        let remedy = "add `client_ca` to `server.listen[].tls`";
        reader.warn(node.at, "identity.client_certificate", says, remedy);
    }
}

/// The brief's switches: anything but the usual words is a fault.
fn switch(reader: &mut Reader<'_>, env: &Env, variable: &str) -> bool {
    let Some(text) = env.get(variable) else { return true };
    match &*text.to_ascii_lowercase() {
        "true" | "1" | "yes" | "on" => true,
        "false" | "0" | "no" | "off" => false,
        _ => {
            let says = format!("the environment variable {variable}=`{text}` is neither true nor false");
            let at = Position::START;
            reader.fault(at, variable, says, "set it to true or false, or unset it");
            true
        }
    }
}
