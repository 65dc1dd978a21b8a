//! What a route changes in fields: `request_headers` and `response_headers` of `routes`.

use crate::cache::{Namespace, Scope};
use crate::config::reader::{Reader, Section, Taken};
use crate::message::{Edited, FieldEdits, check_edit, tells_caches};
use http::{HeaderName, HeaderValue};

/// Reads `request_headers`.
pub(super) fn request(reader: &mut Reader<'_>, route: &mut Section) -> FieldEdits {
    let taken = route.take("request_headers");
    taken.map_or_else(FieldEdits::default, |taken| Edits::of(reader, &taken, Edited::Request))
}

/// Reads `response_headers` of a route with this cache.
pub(super) fn response(
    reader: &mut Reader<'_>,
    route: &mut Section,
    namespace: Option<&Namespace>,
) -> FieldEdits {
    let Some(taken) = route.take("response_headers") else { return FieldEdits::default() };
    let edits = Edits::of(reader, &taken, Edited::Response);
    // What is stored for one tenant or user goes out as private; no rule may hand it to other caches.
    let is_private = namespace.is_some_and(|namespace| namespace.scope != Scope::Public);
    if let Some(name) = edits.names().find(|name| is_private && tells_caches(name)) {
        let says =
            format!("`{name}` of what is cached by tenant or user is written by Tidegate: it is private");
        reader.fault(
            taken.key_at,
            &taken.path,
            says,
            "leave it out; `client_max_age` says how long clients keep it",
        );
    }
    edits
}

/// The edits of one message while they are read.
struct Edits {
    message: Edited,
    edits: FieldEdits,
}

impl Edits {
    fn of(reader: &mut Reader<'_>, taken: &Taken, message: Edited) -> FieldEdits {
        let mut this = Self { message, edits: FieldEdits::default() };
        let mut section = reader.section(&taken.node, &taken.path);
        if let Some(set) = section.take("set") {
            this.set(reader, &set);
        }
        for item in section.take("remove").map_or_else(Vec::new, |taken| reader.list(&taken)) {
            let Some(text) = reader.name(&item) else { continue };
            let at = Taken { key_at: item.node.at, ..item };
            if let Some(name) = this.name(reader, &at, &text) {
                this.edits.remove.push(name);
            }
        }
        reader.finish(&section);
        this.edits
    }

    fn set(&mut self, reader: &mut Reader<'_>, taken: &Taken) {
        let mut section = reader.section(&taken.node, &taken.path);
        for (key, value) in section.take_all() {
            let text = reader.text(&value);
            let Some(name) = self.name(reader, &value, &key.name) else { continue };
            let Some(text) = text else { continue };
            let text = text.trim();
            let is_line = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
            match HeaderValue::try_from(text).ok().filter(|_| is_line) {
                Some(value) => self.edits.set.push((name, value)),
                None => {
                    let says = "the value has control characters, or others than those of ASCII";
                    reader.fault(value.node.at, &value.path, says, "write one line of ASCII");
                }
            }
        }
    }

    /// A name that may be edited and was not yet.
    fn name(&self, reader: &mut Reader<'_>, at: &Taken, text: &str) -> Option<HeaderName> {
        let Ok(name) = HeaderName::try_from(text.trim()) else {
            reader.fault(
                at.key_at,
                &at.path,
                format!("`{text}` is no field name"),
                "write one such as X-Frame-Options",
            );
            return None;
        };
        if let Err(fixed) = check_edit(self.message, &name) {
            reader.fault(at.key_at, &at.path, format!("`{text}` {}", fixed.says), fixed.remedy);
            return None;
        }
        if self.edits.names().any(|other| *other == name) {
            reader.fault(at.key_at, &at.path, format!("`{text}` stands here twice"), "remove one of the two");
            return None;
        }
        if self.message == Edited::Request {
            reader.edited.push((name.clone(), at.key_at, at.path.clone()));
        }
        Some(name)
    }
}
