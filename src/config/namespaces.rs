//! The section `cache`: namespaces by name, and namespaces written into a route.

use crate::base::Secret;
use crate::base::units::parse_duration;
use crate::cache::{Cookies, Mode, Namespace, QueryKey, Scope, SetCookie, TtlMode};
use crate::config::env::Env;
use crate::config::fault::Position;
use crate::config::policies::is_name;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::{networks, secret_file};
use crate::config::snapshot::{CacheSettings, WebhookSettings};
use crate::config::tree::{Kind, Node};
use std::sync::Arc;
use std::time::Duration;

/// A lifetime of which less than half may be left is no lifetime that anybody meant, in percent.
const JITTER_MAX: u64 = 50;

/// What `cache` says besides namespaces.
pub(super) struct CacheSection {
    /// Namespaces by name.
    pub(super) namespaces: Vec<Arc<Namespace>>,
    /// `ttl` of namespaces that name none.
    pub(super) default_ttl: Option<Duration>,
    /// What is warmed: read when the routes are known.
    pub(super) warm: Option<Taken>,
    /// Who may purge.
    pub(super) settings: CacheSettings,
}

/// How far a message to the webhook may be off, unless the configuration says so.
const TOLERANCE: Duration = Duration::from_secs(300);

/// A longer tolerance would be a licence to repeat old messages.
const TOLERANCE_MAX: Duration = Duration::from_secs(86_400);

/// Reads `cache`, under `CACHE_DEFAULT_TTL` of the environment.
pub(super) fn cache(reader: &mut Reader<'_>, node: &Node, env: &Env) -> CacheSection {
    let mut section = reader.section(node, "cache");
    let written = section.take("default_ttl").and_then(|taken| reader.duration(&taken));
    let default_ttl = from_environment(reader, env).or(written);
    let mut namespaces = Vec::new();
    if let Some(taken) = section.take("namespaces") {
        let mut names = reader.section(&taken.node, &taken.path);
        for (key, of_namespace) in names.take_all() {
            if !is_name(&key.name) {
                let remedy = "use letters, digits, `_` and `-`";
                reader.fault(
                    key.at,
                    &of_namespace.path,
                    format!("`{}` is no name for a namespace", key.name),
                    remedy,
                );
            }
            namespaces.push(Arc::new(namespace(reader, &key.name, &of_namespace, default_ttl)));
        }
    }
    let webhook = section.take("webhook").and_then(|taken| webhook(reader, &taken));
    let purge_from = section.take("purge_from").map_or_else(Vec::new, |taken| networks(reader, &taken));
    let warm = section.take("warm");
    reader.finish(&section);
    CacheSection { namespaces, default_ttl, warm, settings: CacheSettings { webhook, purge_from } }
}

/// Reads `cache.webhook`. Whatever is wrong with it is a fault: a webhook without a secret would be open to everybody.
fn webhook(reader: &mut Reader<'_>, taken: &Taken) -> Option<WebhookSettings> {
    let mut section = reader.section(&taken.node, &taken.path);
    let secret = signing_secret(reader, taken, &mut section);
    let tolerance = section.take("tolerance");
    let tolerance = tolerance.and_then(|taken| {
        let tolerance = reader.duration(&taken)?;
        if tolerance < Duration::from_secs(1) || tolerance > TOLERANCE_MAX {
            let says = "a tolerance is 1s to 1d";
            reader.fault(taken.node.at, &taken.path, says, "write one such as 5m");
        }
        Some(tolerance)
    });
    let modes = [("soft", Mode::Soft), ("hard", Mode::Hard)];
    let mode = section.take("mode").and_then(|taken| reader.choice(&taken, &modes));
    reader.finish(&section);
    let (tolerance, mode) = (tolerance.unwrap_or(TOLERANCE), mode.unwrap_or(Mode::Soft));
    secret.map(|secret| WebhookSettings { secret, tolerance, mode })
}

fn signing_secret(reader: &mut Reader<'_>, taken: &Taken, section: &mut Section) -> Option<Secret> {
    let (text, file) = (section.take("secret"), section.take("secret_file"));
    let (at, path, remedy) = (taken.node.at, &taken.path, "keep one of `secret` and `secret_file`");
    let (secret, given) = match (text, file) {
        (Some(_), Some(_)) => {
            reader.fault(at, path, "there are two secrets", remedy);
            return None;
        }
        (None, None) => {
            reader.fault(
                at,
                path,
                "there is no secret to verify messages with",
                "add `secret` or `secret_file`",
            );
            return None;
        }
        (Some(text), None) => (reader.text(&text).map(Secret::new)?, text),
        (None, Some(file)) => (secret_file(reader, &file)?, file),
    };
    if secret.expose().trim().is_empty() {
        let says = "the secret is empty: anybody could sign with it";
        reader.fault(given.node.at, &given.path, says, "write at least 16 random characters");
        return None;
    }
    Some(secret)
}

/// A bare number is seconds, as the variable always had it.
fn from_environment(reader: &mut Reader<'_>, env: &Env) -> Option<Duration> {
    let text = env.get("CACHE_DEFAULT_TTL")?;
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    parse_duration(text)
        .map_err(|_unreadable| {
            let at = Position::START;
            let says = format!("the environment variable CACHE_DEFAULT_TTL=`{text}` is no duration");
            reader.fault(
                at,
                "CACHE_DEFAULT_TTL",
                says,
                "set it to seconds or a duration such as 5m, or unset it",
            );
        })
        .ok()
}

/// Reads one namespace.
pub(super) fn namespace(
    reader: &mut Reader<'_>,
    name: &str,
    taken: &Taken,
    default_ttl: Option<Duration>,
) -> Namespace {
    let mut space = Namespace { ttl: default_ttl, ..Namespace::named(name) };
    let mut section = reader.section(&taken.node, &taken.path);
    times(reader, &mut section, &mut space);
    keys(reader, &mut section, &mut space);
    let modes = [("respect", TtlMode::Respect), ("cap", TtlMode::Cap), ("override", TtlMode::Override)];
    space.mode = section.take("mode").and_then(|taken| reader.choice(&taken, &modes)).unwrap_or(space.mode);
    let scopes = [("tenant", Scope::Tenant), ("user", Scope::User), ("public", Scope::Public)];
    space.scope =
        section.take("scope").and_then(|taken| reader.choice(&taken, &scopes)).unwrap_or(space.scope);
    let rules = [("refuse", SetCookie::Refuse), ("strip", SetCookie::Strip), ("store", SetCookie::Store)];
    let set_cookie = section.take("set_cookie").and_then(|taken| reader.choice(&taken, &rules));
    space.set_cookie = set_cookie.unwrap_or(space.set_cookie);
    if let Some(size) = section.take("max_object").and_then(|taken| reader.size(&taken)) {
        space.max_object = size;
    }
    space.heuristic = section.take("heuristic").and_then(|taken| reader.flag(&taken)).unwrap_or(false);
    space.error_statuses =
        section.take("error_statuses").and_then(|taken| reader.flag(&taken)).unwrap_or(false);
    let words = [("ignore", false), ("obey", true)];
    let directives = section.take("client_directives").and_then(|taken| reader.choice(&taken, &words));
    space.client_directives = directives.unwrap_or(false);
    if let Some(taken) = section.take("methods") {
        methods(reader, &taken);
    }
    space.tags = section.take("tags").map_or_else(Vec::new, |taken| reader.texts(&taken));
    reader.finish(&section);
    warn_of_shadowed_ttl(reader, taken, &space);
    space
}

fn times(reader: &mut Reader<'_>, section: &mut Section, space: &mut Namespace) {
    if let Some(taken) = section.take("ttl")
        && let Some(ttl) = reader.duration(&taken)
    {
        if ttl.is_zero() {
            reader.fault(
                taken.node.at,
                &taken.path,
                "a ttl of 0 stores nothing",
                "leave `cache` out of the route instead",
            );
        }
        space.ttl = Some(ttl);
    }
    let mut window =
        |reader: &mut Reader<'_>, name| section.take(name).and_then(|taken| reader.duration(&taken));
    if let Some(swr) = window(reader, "stale_while_revalidate") {
        space.stale_while_revalidate = Some(swr);
    }
    if let Some(sie) = window(reader, "stale_if_error") {
        space.stale_if_error = Some(sie);
    }
    let negative_most = space.ttl.map(|ttl| ttl / 10);
    let negative = window(reader, "negative_ttl");
    space.negative_ttl =
        negative.unwrap_or(negative_most.map_or(space.negative_ttl, |most| space.negative_ttl.min(most)));
    if let Some(wait) = window(reader, "coalesce_wait") {
        space.coalesce_wait = wait;
    }
    space.client_max_age = window(reader, "client_max_age");
    let jitter = section.take("jitter").and_then(|taken| reader.number(&taken, 0, JITTER_MAX));
    space.jitter = jitter.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(space.jitter);
}

fn keys(reader: &mut Reader<'_>, section: &mut Section, space: &mut Namespace) {
    if let Some(taken) = section.take("query") {
        let is_all = matches!(&taken.node.kind, Kind::Scalar(text) if text == "all");
        space.query = if is_all { QueryKey::All } else { QueryKey::Only(reader.texts(&taken)) };
    }
    if let Some(taken) = section.take("headers") {
        for (item, name) in
            reader.list(&taken).iter().map(|item| (item, reader.name(item))).collect::<Vec<_>>()
        {
            let Some(name) = name else { continue };
            match http::HeaderName::try_from(name.to_ascii_lowercase()) {
                Ok(name) => {
                    space.headers.push(name.as_str().to_owned());
                    reader.keyed.push((name, item.node.at, item.path.clone()));
                }
                Err(_) => {
                    let says = format!("`{name}` is no field name");
                    reader.fault(
                        item.node.at,
                        &item.path,
                        says,
                        "write a request field such as Accept-Language",
                    );
                }
            }
        }
    }
    space.vary_claims = section.take("vary_claims").map_or_else(Vec::new, |taken| reader.texts(&taken));
    if let Some(taken) = section.take("cookies") {
        space.cookies = cookies(reader, &taken);
    }
}

/// `bypass`, `ignore`, or `key: [names]`.
fn cookies(reader: &mut Reader<'_>, taken: &Taken) -> Cookies {
    if let Kind::Map(_) = taken.node.kind {
        let mut section = reader.section(&taken.node, &taken.path);
        let names = section.take("key").map_or_else(Vec::new, |taken| reader.texts(&taken));
        reader.finish(&section);
        if names.is_empty() {
            reader.fault(taken.node.at, &taken.path, "no cookie is named", "write `cookies: {key: [NAME]}`");
        }
        return Cookies::Key(names);
    }
    let is_ignored = reader.choice(taken, &[("bypass", false), ("ignore", true)]);
    if is_ignored == Some(true) { Cookies::Ignore } else { Cookies::Bypass }
}

fn methods(reader: &mut Reader<'_>, taken: &Taken) {
    let items = reader.list(taken);
    for item in &items {
        reader.choice(item, &[("GET", ()), ("HEAD", ())]);
    }
}

/// `cap` and `override` are about a ttl; without one they do nothing.
fn warn_of_shadowed_ttl(reader: &mut Reader<'_>, taken: &Taken, space: &Namespace) {
    if space.ttl.is_none() && space.mode != TtlMode::Respect {
        let says = "`mode` compares with a ttl, and there is none";
        reader.warn(taken.key_at, &taken.path, says, "add `ttl`, or leave `mode` out");
    }
}
