//! What the tests of several modules need.

use http::{HeaderMap, HeaderValue};

/// Fields from their names and values.
pub(crate) fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

// Child processes and waiting, as in `tests/it`; a file may be a module once.
#[expect(dead_code, reason = "the output of children is read by `tests/it` alone")]
#[path = "../../tests/it/support/process.rs"]
pub(crate) mod process;
#[path = "../../tests/it/support/wait.rs"]
pub(crate) mod wait;
