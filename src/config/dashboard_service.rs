//! The section `dashboard`: the companion's service.

use crate::base::{DatabaseSettings, Secret, ServiceSettings, is_zone_name};
use crate::cache::{Namespace, Scope};
use crate::config::dashboard::url;
use crate::config::fault::hint;
use crate::config::reader::{Reader, Section, Taken};
use crate::config::server::{address, secret};
use crate::config::snapshot::KeptFigures;
use http::Uri;
use std::sync::Arc;
use std::time::Duration;

/// A signing key that is shorter may be guessed.
const SIGNING_BYTES_MIN: usize = 32;

/// Room for exports of a tenant, at least.
const EXPORT_BYTES_MIN: u64 = 64 << 10;

/// What stands in place of a namespace where nothing is kept.
const NONE: &str = "none";

/// Reads what the service needs.
pub(super) fn service(
    reader: &mut Reader<'_>,
    section: &mut Section,
    database: &DatabaseSettings,
) -> ServiceSettings {
    let mut settings = ServiceSettings::default();
    if let Some(listen) = section.take("listen").and_then(|taken| address(reader, &taken)) {
        settings.listen = listen;
    }
    if let Some(taken) = section.take("timezone")
        && let Some(zone) = reader.name(&taken)
    {
        if !is_zone_name(&zone) {
            let says = format!("there is no time zone `{zone}`");
            reader.fault(
                taken.node.at,
                &taken.path,
                says,
                "write a name of the IANA database, such as Europe/Berlin",
            );
        }
        settings.timezone = zone;
    }
    if let Some(taken) = section.take("gateways") {
        settings.gateways = gateways(reader, &taken);
    }
    settings.gateway_token = secret(reader, section, "gateway_token", "gateway_token_file");
    roles(reader, section.take("roles"), &mut settings);
    settings.signing_secret = signing(reader, section);
    settings.own = section.take("own_database").and_then(|taken| {
        let own = url(reader, &taken)?;
        if own == database.url {
            let says = "it is the application's database";
            reader.fault(taken.node.at, &taken.path, says, "leave it out, or name another one");
        }
        Some(own)
    });
    exports(reader, section, &mut settings);
    rollups(reader, section.take("rollups"), &mut settings);
    settings
}

/// Admin listeners: they speak plain HTTP, and nothing but their place is said.
fn gateways(reader: &mut Reader<'_>, taken: &Taken) -> Vec<String> {
    let items = reader.list(taken);
    let mut gateways = Vec::new();
    for item in &items {
        let Some(text) = reader.name(item) else { continue };
        let place = text.parse::<Uri>().ok().filter(|uri| {
            uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none()
        });
        let authority = place.as_ref().and_then(Uri::authority).filter(|place| !place.as_str().contains('@'));
        match authority.and_then(|place| Some((place, place.port_u16()?))) {
            Some((place, _)) => gateways.push(place.as_str().to_owned()),
            None => {
                let says = format!("`{text}` is no admin listener of a gateway");
                reader.fault(
                    item.node.at,
                    &item.path,
                    says,
                    "write http://HOST:PORT, such as http://127.0.0.1:9901",
                );
            }
        }
    }
    gateways
}

fn roles(reader: &mut Reader<'_>, taken: Option<Taken>, settings: &mut ServiceSettings) {
    let Some(taken) = taken else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(taken) = section.take("read") {
        settings.readers = reader.texts(&taken);
    }
    if let Some(taken) = section.take("export") {
        settings.exporters = reader.texts(&taken);
    }
    reader.finish(&section);
}

fn signing(reader: &mut Reader<'_>, section: &mut Section) -> Option<Secret> {
    let (at, path) = (section.at, section.of("signing_secret"));
    let secret = secret(reader, section, "signing_secret", "signing_secret_file")?;
    if secret.expose().len() < SIGNING_BYTES_MIN {
        let says = format!("it is shorter than {SIGNING_BYTES_MIN} bytes and may be guessed");
        reader.fault(at, &path, says, "make one with `openssl rand -hex 32`");
    }
    Some(secret)
}

fn exports(reader: &mut Reader<'_>, section: &mut Section, settings: &mut ServiceSettings) {
    if let Some(dir) = section.take("export_dir").and_then(|taken| reader.path(&taken)) {
        settings.exports.dir = Some(dir);
    }
    let Some(taken) = section.take("exports") else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    let exports = &mut settings.exports;
    if let Some(lifetime) = between(reader, section.take("lifetime"), 60, 7 * 86_400) {
        exports.lifetime = lifetime;
    }
    if let Some(most) = section.take("per_tenant").and_then(|taken| reader.number(&taken, 1, 100)) {
        exports.per_tenant = u32::try_from(most).unwrap_or(exports.per_tenant);
    }
    if let Some(taken) = section.take("bytes_per_tenant")
        && let Some(bytes) = reader.size(&taken)
    {
        if bytes < EXPORT_BYTES_MIN {
            let says = "a file of a few rows would not fit";
            reader.fault(taken.node.at, &taken.path, says, "write 64KiB or more, such as 1GiB");
        }
        exports.bytes_per_tenant = bytes;
    }
    if let Some(rows) = section.take("at_once_rows").and_then(|taken| reader.number(&taken, 0, 100_000)) {
        exports.at_once_rows = rows;
    }
    if let Some(rows) = section.take("rows_max").and_then(|taken| reader.number(&taken, 1, 100_000_000)) {
        exports.rows_max = rows;
    }
    reader.finish(&section);
}

fn rollups(reader: &mut Reader<'_>, taken: Option<Taken>, settings: &mut ServiceSettings) {
    let Some(taken) = taken else { return };
    let mut section = reader.section(&taken.node, &taken.path);
    if let Some(every) = between(reader, section.take("every"), 1, 86_400) {
        settings.rollups.every = every;
    }
    if let Some(days) = section.take("days").and_then(|taken| reader.number(&taken, 1, 60)) {
        settings.rollups.days = u32::try_from(days).unwrap_or(settings.rollups.days);
    }
    reader.finish(&section);
}

/// A duration from `least_s` to `most_s` seconds.
fn between(reader: &mut Reader<'_>, taken: Option<Taken>, least_s: u64, most_s: u64) -> Option<Duration> {
    let taken = taken?;
    let duration = reader.duration(&taken)?;
    if duration < Duration::from_secs(least_s) || duration > Duration::from_secs(most_s) {
        let says = format!("it takes {least_s}s to {most_s}s");
        reader.fault(taken.node.at, &taken.path, says, "write a duration in that range");
        return None;
    }
    Some(duration)
}

/// The namespaces of figures: those of the file by name, or ours where it has none of that name.
pub(super) fn kept(
    reader: &mut Reader<'_>,
    taken: Option<Taken>,
    namespaces: &[Arc<Namespace>],
) -> KeptFigures {
    let usual = |name: &str, seconds| {
        let named = namespaces.iter().find(|space| &*space.name == name && space.scope == Scope::Tenant);
        let ours = || Namespace { ttl: Some(Duration::from_secs(seconds)), ..Namespace::named(name) };
        Some(named.cloned().unwrap_or_else(|| Arc::new(ours())))
    };
    let mut kept = KeptFigures {
        metrics: usual("dashboard", 300),
        activity: usual("metrics", 60),
        statistics: usual("analytics", 600),
    };
    let Some(taken) = taken else { return kept };
    let mut section = reader.section(&taken.node, &taken.path);
    let slots = [
        ("metrics", &mut kept.metrics),
        ("activity", &mut kept.activity),
        ("statistics", &mut kept.statistics),
    ];
    for (key, slot) in slots {
        if let Some(taken) = section.take(key)
            && let Some(name) = reader.name(&taken)
        {
            *slot = if name == NONE { None } else { named(reader, &taken, &name, namespaces) };
        }
    }
    reader.finish(&section);
    kept
}

/// Figures are those of a tenant: in a namespace of another scope they would be everybody's, or nobody's.
fn named(
    reader: &mut Reader<'_>,
    taken: &Taken,
    name: &str,
    namespaces: &[Arc<Namespace>],
) -> Option<Arc<Namespace>> {
    let Some(space) = namespaces.iter().find(|space| &*space.name == name) else {
        let names: Vec<&str> = namespaces.iter().map(|space| &*space.name).chain([NONE]).collect();
        let says = format!("there is no namespace `{name}`");
        reader.fault(taken.node.at, &taken.path, says, hint(name, &names));
        return None;
    };
    if space.scope != Scope::Tenant {
        let says = format!("figures are a tenant's, and `{name}` has another scope");
        reader.fault(taken.node.at, &taken.path, says, "name a namespace of scope tenant, or `none`");
        return None;
    }
    Some(Arc::clone(space))
}

#[cfg(test)]
mod tests {
    use crate::config::{DashboardSettings, Env, Source, load};
    use std::time::Duration;

    fn read(dashboard: &str) -> Result<DashboardSettings, String> {
        let text = format!(
            "upstreams: {{b: 127.0.0.1:1}}\nidentity: {{jwt: {{secret: 0123456789abcdef0123456789abcdef}}}}\n\
             cache: {{namespaces: {{dashboard: {{ttl: 9m}}, everybody: {{ttl: 1m, scope: public}}}}}}\nroutes: [{{path: /}}]\n\
             dashboard: {dashboard}\n"
        );
        let loaded = load(&Source::Text { name: "t".to_owned(), text }, &Env::default(), 1);
        loaded.map(|loaded| loaded.snapshot.dashboard).map_err(|faults| faults.to_string())
    }

    #[test]
    fn nothing_need_be_said() {
        let DashboardSettings { service, kept, identifier, .. } = read("").expect("sound");
        assert_eq!((service.listen.to_string().as_str(), service.readers.len()), ("127.0.0.1:8090", 2));
        let ttl =
            |namespace: Option<std::sync::Arc<crate::cache::Namespace>>| namespace.and_then(|it| it.ttl);
        assert_eq!(ttl(kept.metrics), Some(Duration::from_secs(540)), "the file's own");
        assert_eq!(ttl(kept.activity), Some(Duration::from_secs(60)));
        assert!(identifier.derived_key().is_some(), "the tokens of `identity`");
    }

    #[test]
    fn what_is_said_is_taken() {
        let settings = read(
            "{listen: 'localhost:1', gateways: ['http://a:1', 'http://[::1]:2/'], roles: {read: [boss], export: boss}, \
             cache: {metrics: none, activity: dashboard}, exports: {lifetime: 1h, per_tenant: 1, bytes_per_tenant: 5GiB, at_once_rows: 0}, \
             rollups: {every: 5m, days: 3}, own_database: 'sqlite:own.db'}",
        );
        let DashboardSettings { service, kept, .. } = settings.expect("sound");
        assert_eq!(service.gateways, ["a:1", "[::1]:2"]);
        assert_eq!((service.readers, service.exporters), (vec!["boss".to_owned()], vec!["boss".to_owned()]));
        assert!(kept.metrics.is_none());
        assert_eq!(kept.activity.map(|space| space.name.to_string()).as_deref(), Some("dashboard"));
        assert_eq!((service.exports.lifetime, service.rollups.days), (Duration::from_secs(3_600), 3));
        assert_eq!(service.exports.bytes_per_tenant, 5 << 30);
    }

    #[test]
    fn a_namespace_that_everybody_shares_keeps_no_tenants_figures() {
        let refused = read("{cache: {metrics: everybody, statistics: nobody}}").expect_err("another scope");
        assert!(refused.contains("another scope") && refused.contains("no namespace `nobody`"), "{refused}");
    }

    #[test]
    fn gateways_are_places_and_nothing_more() {
        for odd in ["https://a:1", "a:1", "http://a", "http://u:p@a:1", "http://a:1/x", "http://a:1/?q"] {
            let refused = read(&format!("{{gateways: ['{odd}']}}"));
            assert!(refused.is_err_and(|says| says.contains("dashboard.gateways")), "{odd}");
        }
    }
}
