//! `GET /openapi.json`: what is answered, for machines, put together from what each part says about itself.

use serde_json::{Map, Value};

/// What each part says; the first names the whole. No two have a path or a component of one name.
const PARTS: &[&str] = &[include_str!("openapi.json"), include_str!("../exports/openapi.json")];

/// The kinds of components that parts have.
const COMPONENTS: &str = "components";

/// The whole document.
pub(super) fn document() -> String {
    let mut parts = PARTS.iter().map(|part| serde_json::from_str(part).unwrap_or(Value::Null));
    let mut whole = parts.next().unwrap_or_default();
    for part in parts {
        add(&mut whole, "paths", &part);
        for (kind, _) in part.get(COMPONENTS).and_then(Value::as_object).into_iter().flatten() {
            let of_kind = part.get(COMPONENTS).cloned().unwrap_or_default();
            if let Some(components) = whole.get_mut(COMPONENTS) {
                add(components, kind, &of_kind);
            }
        }
    }
    whole.to_string()
}

/// Adds the members of one object in `part` to that of `whole`.
fn add(whole: &mut Value, name: &str, part: &Value) {
    let (Some(whole), Some(Value::Object(more))) = (whole.as_object_mut(), part.get(name)) else { return };
    let members = whole.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(members) = members {
        members.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}
