//! What a policy counts: costs and answers.

use crate::config::reader::{Reader, Taken};
use crate::config::tree::Kind;
use crate::limit::{Cost, LIMIT_MAX, StatusSet};
use http::HeaderName;

/// Reads `cost`: units, or the field in which a trusted peer states them.
pub(super) fn cost(reader: &mut Reader<'_>, taken: &Taken) -> Cost {
    let units = |reader: &mut Reader<'_>, taken: &Taken| {
        let units = reader.number(taken, 1, u64::from(LIMIT_MAX))?;
        u32::try_from(units).ok()
    };
    if !matches!(taken.node.kind, Kind::Map(_)) {
        return Cost::of(units(reader, taken).unwrap_or(1));
    }
    let mut section = reader.section(&taken.node, &taken.path);
    let header = section.take("header");
    if header.is_none() {
        let remedy = "add `header: X-Cost`, or write a number alone";
        reader.fault(taken.key_at, &taken.path, "`header` is missing", remedy);
    }
    let name = header.and_then(|taken| field(reader, &taken));
    let fixed = section.take("default").and_then(|taken| units(reader, &taken)).unwrap_or(1);
    let most = section.take("max").and_then(|taken| units(reader, &taken)).unwrap_or(LIMIT_MAX);
    reader.finish(&section);
    Cost { request: name.map(|name| (name, most)), ..Cost::of(fixed) }
}

/// Reads the name of a field.
pub(super) fn field(reader: &mut Reader<'_>, taken: &Taken) -> Option<HeaderName> {
    let text = reader.name(taken)?;
    let name = HeaderName::try_from(&*text).ok();
    if name.is_none() {
        let says = format!("`{text}` is no field name");
        reader.fault(taken.node.at, &taken.path, says, "use letters, digits and hyphens");
    }
    name
}

/// Reads a list of status codes and classes.
pub(super) fn statuses(reader: &mut Reader<'_>, taken: &Taken) -> StatusSet {
    let mut set = StatusSet::default();
    for item in reader.list(taken) {
        let Some(text) = reader.name(&item) else { continue };
        match StatusSet::parse(&text) {
            Some(range) => set.0.push(range),
            None => {
                let says = format!("`{text}` is no status");
                reader.fault(
                    item.node.at,
                    &item.path,
                    says,
                    "write a code such as 401, or a class such as 5xx",
                );
            }
        }
    }
    set
}
