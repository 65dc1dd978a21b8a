//! A request's query, parameter by parameter: every fault of it at once, none overlooked.

use crate::companion::service::refusal::{FieldFault, Refusal};
use axum::extract::Query;
use http::Uri;
use std::collections::BTreeMap;

/// Of a name that is not known, so much is repeated.
const NAME_CHARACTERS_MAX: usize = 64;

/// The parameters of a request that have not been looked at yet, and what is wrong with the others.
#[derive(Debug)]
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
    /// Parameters that nobody knows, or that stand there twice.
    stray: Vec<FieldFault>,
    wrong: Vec<FieldFault>,
}

impl Parameters {
    /// Those of a request to somebody who knows these names.
    pub(super) fn of(uri: &Uri, known: &[&str]) -> Self {
        let mut parameters = Self { given: BTreeMap::new(), stray: Vec::new(), wrong: Vec::new() };
        let fault = |name: &str, message: String| FieldFault {
            field: name.chars().take(NAME_CHARACTERS_MAX).collect(),
            message,
        };
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            parameters.stray.push(fault("query", "it cannot be read".to_owned()));
            return parameters;
        };
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let message = format!("unknown; there are {}", known.join(", "));
                parameters.stray.push(fault(&name, message));
            } else if let Some(first) = parameters.given.insert(name.clone(), value) {
                parameters.stray.push(fault(&name, "given twice; once is enough".to_owned()));
                parameters.given.insert(name, first);
            }
        }
        parameters
    }

    /// What `read` makes of a parameter; nothing where there is none, or where it says what is wrong.
    pub(super) fn take<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.given.remove(name)?;
        read(&value).map_err(|message| self.fault(name, message)).ok()
    }

    /// Notes that a parameter is at fault.
    pub(super) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.wrong.push(FieldFault { field: name.to_owned(), message: message.into() });
    }

    /// Refuses the request if anything is wrong with it: as not understood where a parameter is not known.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        let refusal = match (self.stray.is_empty(), self.wrong.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => Refusal::new(400, "invalid-query", "The query is not understood", "see `errors`"),
            (true, false) => {
                Refusal::new(422, "unprocessable", "What is asked for cannot be", "see `errors`")
            }
        };
        Err(Refusal { errors: [self.stray, self.wrong].concat(), ..refusal })
    }
}

/// A list with commas between its items: one to `most`, each of them readable, sorted, none twice.
pub(super) fn list<T: Ord>(
    value: &str,
    most: usize,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut items = value.split(',').map(read).collect::<Result<Vec<T>, String>>()?;
    if items.len() > most {
        return Err(format!("more than {most}"));
    }
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

/// A word that a database may be asked for: 1 to `most` characters, none of them for control.
pub(super) fn word(value: &str, most: usize) -> Result<String, String> {
    if value.is_empty() || value.chars().count() > most || value.chars().any(char::is_control) {
        return Err(format!("write 1 to {most} characters, none of them for control"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        let uri = format!("/a?{query}").parse().expect("a target");
        Parameters::of(&uri, &["limit", "type"])
    }

    fn number(value: &str) -> Result<u16, String> {
        value.parse().map_err(|_no_number| "write a number".to_owned())
    }

    #[test]
    fn every_fault_is_told_at_once_and_a_stray_name_makes_it_not_understood() {
        let mut asked = parameters("limit=ten&organization_id=acme&type=a&type=b");
        assert_eq!(asked.take("limit", number), None);
        assert_eq!(asked.take("type", |value| word(value, 9)), Some("a".to_owned()));
        let refusal = asked.finish().expect_err("faults");
        let fields: Vec<&str> = refusal.errors.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!((refusal.status, fields), (400, vec!["organization_id", "type", "limit"]));
        let mut asked = parameters("limit=-1");
        asked.take("limit", number);
        assert_eq!(asked.finish().map_err(|refusal| refusal.status), Err(422));
        let mut asked = parameters("limit=%31%30&");
        assert_eq!(asked.take("limit", number), Some(10));
        assert_eq!(asked.finish(), Ok(()));
    }

    #[test]
    fn lists_have_items_and_words_are_printable() {
        let words = |value: &str| list(value, 2, |item| word(item, 5));
        assert_eq!(words("b,a"), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(["", "a,", "a,a,a", "abcdef", "a\0"].iter().all(|value| words(value).is_err()));
    }
}
