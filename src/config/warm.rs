//! `cache.warm`: what is asked for before clients do, on whose behalf, and when.

use crate::cache::warm::{CONCURRENCY_MAX, ITEMS_MAX};
use crate::cache::{Site, Slow, Warm, WarmIdentity, WarmJob};
use crate::config::fault::hint;
use crate::config::policies::is_name;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::secret;
use crate::config::tree::Kind;
use crate::config::warm_order::{CONCURRENCY, Served, checked, everybody};
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;

/// The word for every identity.
const ALL: &str = "all";

/// Fields that a warm request has of its own, or that would change what is asked for.
const RESERVED: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "expect",
    "te",
    "range",
    "if-none-match",
    "if-modified-since",
    "tidegate-internal",
];

/// Reads `cache.warm`.
pub(super) fn warm(reader: &mut Reader<'_>, taken: &Taken, served: &Served<'_>) -> Option<Warm> {
    let mut section = reader.section(&taken.node, &taken.path);
    let scheme = section
        .take("scheme")
        .and_then(|taken| reader.choice(&taken, &[("http", "http"), ("https", "https")]));
    let scheme = scheme.unwrap_or("http");
    let authority = authority(reader, section.take("host"), taken, scheme);
    let fields = section.take("fields").map_or_else(Vec::new, |taken| fields(reader, &taken));
    let (mut identities, mut names) = (Vec::new(), Vec::new());
    for item in section.take("identities").map_or_else(Vec::new, |taken| reader.list(&taken)) {
        identities.extend(identity(reader, &item, &mut names).map(Arc::new));
    }
    let slow = section.take("slow").map_or_else(Slow::default, |taken| slow(reader, &taken));
    let host = authority.as_deref().map_or("", crate::message::host).to_owned();
    let mut jobs: Vec<Arc<WarmJob>> = Vec::new();
    for item in section.take("jobs").map_or_else(Vec::new, |taken| reader.list(&taken)) {
        let mut of = Job { host: &host, identities: &identities, names: &names, served };
        if let Some(job) = of.read(reader, &item, &jobs) {
            jobs.push(Arc::new(job));
        }
    }
    reader.finish(&section);
    if !served.has_caching {
        jobs.clear();
    }
    let site = Site { scheme, authority: authority?.into() };
    Some(Warm { site, fields, identities, jobs, slow })
}

fn authority(reader: &mut Reader<'_>, taken: Option<Taken>, section: &Taken, scheme: &str) -> Option<String> {
    let remedy = "write the host that clients ask, such as api.example.com";
    let Some(taken) = taken else {
        reader.fault(section.key_at, &section.path, "`host` is missing", remedy);
        return None;
    };
    let text = reader.name(&taken)?;
    let authority = crate::message::normal_authority(&text, scheme);
    if authority.is_none() {
        reader.fault(taken.node.at, &taken.path, format!("`{text}` is no host"), remedy);
    }
    authority
}

fn fields(reader: &mut Reader<'_>, taken: &Taken) -> Vec<(HeaderName, HeaderValue)> {
    let mut section = reader.section(&taken.node, &taken.path);
    let mut fields = Vec::new();
    for (key, value) in section.take_all() {
        let text = reader.text(&value);
        let Some(name) = field_name(&key.name) else {
            let says = format!("`{}` is no field that may be set", key.name);
            reader.fault(key.at, &value.path, says, "write one such as Accept-Encoding");
            continue;
        };
        let Some(text) = text else { continue };
        match HeaderValue::try_from(text) {
            Ok(text) => fields.push((name, text)),
            Err(_) => reader.fault(value.node.at, &value.path, "it is no value of a field", "write one line"),
        }
    }
    fields
}

fn field_name(text: &str) -> Option<HeaderName> {
    let name = HeaderName::try_from(text.to_ascii_lowercase()).ok()?;
    (!RESERVED.contains(&name.as_str())).then_some(name)
}

fn identity(reader: &mut Reader<'_>, taken: &Taken, names: &mut Vec<String>) -> Option<WarmIdentity> {
    let mut section = reader.section(&taken.node, &taken.path);
    let name = name(reader, &mut section, taken, "an identity");
    if let Some(name) = &name {
        let is_known = names.contains(name);
        if is_known || name == ALL {
            let says = if is_known { "stands here a second time" } else { "stands for every identity" };
            reader.fault(taken.node.at, &taken.path, format!("the name `{name}` {says}"), "choose another");
        }
    }
    names.extend(name.clone());
    let field = match section.take("header") {
        None => Some(http::header::AUTHORIZATION),
        Some(taken) => reader.name(&taken).and_then(|text| {
            let field = field_name(&text);
            if field.is_none() {
                let says = format!("`{text}` is no field that carries a credential");
                reader.fault(
                    taken.node.at,
                    &taken.path,
                    says,
                    "write one such as Authorization or X-API-Key",
                );
            }
            field
        }),
    };
    let faults = reader.faults.len();
    let value = secret(reader, &mut section, "value", "value_file");
    reader.finish(&section);
    let Some(value) = value else {
        if reader.faults.len() == faults {
            let remedy = "write `value_file`, or `value: ${VARIABLE}`";
            reader.fault(taken.node.at, &taken.path, "the credential is missing", remedy);
        }
        return None;
    };
    let Ok(mut value) = HeaderValue::try_from(value.expose()) else {
        let remedy = "put the whole value of the field into one line, such as `Bearer …`";
        reader.fault(taken.node.at, &taken.path, "the credential is no value of a field", remedy);
        return None;
    };
    value.set_sensitive(true);
    Some(WarmIdentity { name: name?.into(), field: field?, value })
}

fn name(reader: &mut Reader<'_>, section: &mut Section, item: &Taken, what: &str) -> Option<String> {
    let Some(taken) = section.take("name") else {
        reader.fault(item.node.at, &item.path, "`name` is missing", format!("give {what} a name"));
        return None;
    };
    let name = reader.name(&taken)?;
    if !is_name(&name) {
        let says = format!("`{name}` is no name for {what}");
        reader.fault(taken.node.at, &taken.path, says, "use letters, digits, `_` and `-`");
        return None;
    }
    Some(name)
}

fn slow(reader: &mut Reader<'_>, taken: &Taken) -> Slow {
    let mut section = reader.section(&taken.node, &taken.path);
    let usual = Slow::default();
    let above = section.take("above").and_then(|taken| reader.duration(&taken)).unwrap_or(usual.above);
    let errors = section.take("errors").and_then(|taken| percent(reader, &taken));
    reader.finish(&section);
    Slow { above, errors_percent: errors.unwrap_or(usual.errors_percent) }
}

/// `10%`.
fn percent(reader: &mut Reader<'_>, taken: &Taken) -> Option<u8> {
    let text = reader.text(taken)?;
    let number = text.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok());
    let number = number.filter(|number| *number <= 100);
    if number.is_none() {
        reader.fault(
            taken.node.at,
            &taken.path,
            format!("`{text}` is no share"),
            "write one from 0% to 100%",
        );
    }
    number
}

/// What the jobs of a section may name.
struct Job<'a> {
    host: &'a str,
    identities: &'a [Arc<WarmIdentity>],
    /// Those of identities at fault among them.
    names: &'a [String],
    served: &'a Served<'a>,
}

impl Job<'_> {
    fn read(&mut self, reader: &mut Reader<'_>, item: &Taken, known: &[Arc<WarmJob>]) -> Option<WarmJob> {
        let mut section = reader.section(&item.node, &item.path);
        let name = name(reader, &mut section, item, "a job");
        if let Some(name) = name.as_ref().filter(|name| known.iter().any(|known| *known.name == ***name)) {
            reader.fault(
                item.node.at,
                &item.path,
                format!("the name `{name}` stands here a second time"),
                "choose another",
            );
        }
        let (callers, has_credentials) = self.callers(reader, section.take("identities"));
        let targets = self.targets(reader, section.take("paths"), item, has_credentials);
        let every = section.take("every").and_then(|taken| every(reader, &taken));
        let jitter = section.take("jitter").and_then(|taken| percent(reader, &taken));
        let most = u64::try_from(CONCURRENCY_MAX).unwrap_or(u64::MAX);
        let concurrency = section.take("concurrency").and_then(|taken| reader.number(&taken, 1, most));
        reader.finish(&section);
        if callers.len().saturating_mul(targets.len()) > ITEMS_MAX {
            let says = format!("it makes more than {ITEMS_MAX} requests");
            reader.fault(item.node.at, &item.path, says, "make several jobs of it");
        }
        let concurrency = concurrency.and_then(|number| usize::try_from(number).ok()).unwrap_or(CONCURRENCY);
        let jitter_percent = jitter.unwrap_or(10);
        Some(WarmJob { name: name?.into(), callers, targets, every, jitter_percent, concurrency })
    }

    /// Named ones, all, or nobody; without a word all there are. Also whether they are meant to have credentials: one that is
    /// at fault is told once.
    fn callers(
        &self,
        reader: &mut Reader<'_>,
        taken: Option<Taken>,
    ) -> (Vec<Option<Arc<WarmIdentity>>>, bool) {
        let Some(taken) = taken.filter(|taken| !is_all(taken)) else {
            return (everybody(self.identities), !self.names.is_empty());
        };
        let mut callers = Vec::new();
        let items = reader.list(&taken);
        for item in &items {
            let Some(name) = reader.name(item) else { continue };
            let found = self.identities.iter().find(|identity| *identity.name == *name);
            if !self.names.contains(&name) {
                let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
                let says = format!("there is no identity `{name}`");
                reader.fault(item.node.at, &item.path, says, hint(&name, &names));
            }
            callers.push(found.cloned());
        }
        (if callers.is_empty() { vec![None] } else { callers }, !items.is_empty())
    }

    fn targets(
        &self,
        reader: &mut Reader<'_>,
        taken: Option<Taken>,
        job: &Taken,
        has_credentials: bool,
    ) -> Vec<String> {
        let items = taken.map_or_else(Vec::new, |taken| reader.list(&taken));
        if items.is_empty() {
            reader.fault(job.node.at, &job.path, "no path is named", "add `paths: [/a, /b?c=d]`");
        }
        let mut targets = Vec::new();
        for item in items {
            let Some(text) = reader.name(&item) else { continue };
            let found = checked(self.served, self.host, &text, has_credentials);
            match found {
                Ok(target) => targets.push(target),
                Err((says, remedy)) => reader.fault(item.node.at, &item.path, says, remedy),
            }
        }
        targets
    }
}

fn is_all(taken: &Taken) -> bool {
    matches!(&taken.node.kind, Kind::Scalar(text) if text == ALL)
}

fn every(reader: &mut Reader<'_>, taken: &Taken) -> Option<Duration> {
    let every = reader.duration(taken)?;
    if every < Duration::from_secs(1) {
        reader.fault(taken.node.at, &taken.path, "it is too often", "write 1s or more");
    }
    Some(every)
}
