//! Text out of a token's claims.

use serde_json::{Map, Value};

/// The longest user, tenant, tier or key name in bytes.
pub const FACT_BYTES_MAX: usize = 256;

/// Can this text be an identity: it must survive a header field unchanged (RFC 9110 section 5.5: no control octets,
/// outer white space is not part of a value) and be of bounded size.
pub(super) fn is_plain_fact(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= FACT_BYTES_MAX
        && text.trim() == text
        && !text.chars().any(char::is_control)
}

/// The claim at `path`: a member of that very name (issuers use URLs with dots as names), else step by step at the
/// dots.
pub(super) fn claim<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut steps = path.split('.');
    let first = claims.get(steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(step))
}

/// A claim that names somebody. `Ok(None)` when it is absent, null or empty; `Err` when it cannot be an identity.
pub(super) fn fact(claims: &Map<String, Value>, path: &str) -> Result<Option<String>, ()> {
    let text = match claim(claims, path) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => return Err(()),
    };
    if is_plain_fact(&text) { Ok(Some(text)) } else { Err(()) }
}

/// Any claim as text: strings as they are, everything else as compact JSON, so that two different values never look
/// alike to a cache that varies by them.
pub(super) fn text(claims: &Map<String, Value>, path: &str) -> Option<String> {
    match claim(claims, path)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// A `NumericDate` (RFC 7519 section 2) in whole seconds. `Ok(None)` when absent; `Err` when it is no such date.
pub(super) fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, ()> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        // Fractions are cut: at most a second less of life.
        Some(Value::Number(number)) => {
            let digits = number.to_string();
            // From 1e16 on a fraction is written with an exponent, of which only the first digit would be read.
            let whole = digits.split('.').next().filter(|_| !digits.contains('e')).unwrap_or_default();
            whole.parse().map(Some).map_err(|_not_whole| ())
        }
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("object")
    }

    #[test]
    fn dots_step_into_objects_unless_the_whole_name_exists() {
        let claims = object(
            &json!({"app": {"org": {"id": 7}}, "https://x.example/org": "acme", "a.b": "whole", "a": {"b": "stepped"}}),
        );
        assert_eq!(fact(&claims, "app.org.id"), Ok(Some("7".to_owned())));
        assert_eq!(fact(&claims, "https://x.example/org"), Ok(Some("acme".to_owned())));
        assert_eq!(fact(&claims, "a.b"), Ok(Some("whole".to_owned())));
        assert_eq!(fact(&claims, "app.none"), Ok(None));
        assert_eq!(fact(&claims, "app.org.id.deeper"), Ok(None));
        assert_eq!(fact(&claims, ""), Ok(None));
    }

    #[test]
    fn empty_and_null_are_absent() {
        let claims = object(&json!({"e": "", "n": null}));
        assert_eq!((fact(&claims, "e"), fact(&claims, "n")), (Ok(None), Ok(None)));
        assert_eq!((text(&claims, "e"), text(&claims, "n")), (None, None));
    }

    #[test]
    fn what_cannot_name_somebody_is_an_error_not_an_absence() {
        let claims = object(
            &json!({"c": "a\r\nb", "s": " a", "b": true, "l": ["a"], "long": "x".repeat(257), "nul": "a\u{0}"}),
        );
        for name in ["c", "s", "b", "l", "long", "nul"] {
            assert_eq!(fact(&claims, name), Err(()), "{name}");
        }
    }

    #[test]
    fn other_claims_keep_their_differences() {
        let claims = object(&json!({"r": ["a", "b"], "q": ["a"], "t": true, "o": {"x": 1}, "f": 1.5}));
        let all: Vec<_> = ["r", "q", "t", "o", "f"].iter().filter_map(|name| text(&claims, name)).collect();
        assert_eq!(all, [r#"["a","b"]"#, r#"["a"]"#, "true", r#"{"x":1}"#, "1.5"]);
    }

    #[test]
    fn dates_are_whole_seconds() {
        let claims = object(
            &json!({"i": 1_700_000_000, "f": 1_700_000_000.9, "z": 0, "n": -1, "s": "1700000000", "huge": 1e40, "null": null}),
        );
        assert_eq!(numeric_date(&claims, "i"), Ok(Some(1_700_000_000)));
        assert_eq!(numeric_date(&claims, "f"), Ok(Some(1_700_000_000)));
        assert_eq!(numeric_date(&claims, "z"), Ok(Some(0)));
        assert_eq!((numeric_date(&claims, "none"), numeric_date(&claims, "null")), (Ok(None), Ok(None)));
        for name in ["n", "s", "huge"] {
            assert_eq!(numeric_date(&claims, name), Err(()), "{name}");
        }
    }
}
