//! The environment, read once. Everything else takes it as an argument.

use std::collections::BTreeMap;

/// Variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<String, String>);

impl Env {
    /// The process's environment; variables that are not UTF-8 do not exist for us.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// These variables and no others.
    #[must_use]
    pub fn of(list: &[(&str, &str)]) -> Self {
        Self(list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// A variable's value; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Expands `${NAME}`, `${NAME:-default}` and `$$`. A variable that is set but empty takes the default too.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub fn expand(&self, text: &str) -> Result<String, (String, String)> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some(after) = after.strip_prefix('{') {
                let Some((inner, after)) = after.split_once('}') else {
                    return Err((
                        "`${` without `}`".to_owned(),
                        "close it, or write `$$` for a dollar sign".to_owned(),
                    ));
                };
                expanded.push_str(&self.value(inner)?);
                rest = after;
            } else {
                expanded.push('$');
                rest = after;
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    fn value(&self, inner: &str) -> Result<String, (String, String)> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err((
                format!("`${{{inner}}}` names no variable"),
                "write `${NAME}` or `${NAME:-default}`".to_owned(),
            ));
        }
        match (self.get(name), default) {
            (Some(value), _) => Ok(value.to_owned()),
            (None, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err((
                format!("the environment variable `{name}` is not set"),
                format!("set it, or write `${{{name}:-default}}`"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_and_missing_ones_named() {
        let env = Env::of(&[("A", "1"), ("EMPTY", "")]);
        assert_eq!(env.expand("x${A}y${B:-2}$$z$").as_deref(), Ok("x1y2$z$"));
        assert_eq!(env.expand("${EMPTY:-d}").as_deref(), Ok("d"));
        assert!(env.expand("${EMPTY}").expect_err("empty").0.contains("`EMPTY` is not set"));
        assert!(env.expand("${A").is_err() && env.expand("${a b}").is_err());
    }
}
