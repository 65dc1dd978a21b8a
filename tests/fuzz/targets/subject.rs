//! Who is counted: two callers share a log only if they are the same.

use super::{Target, fields_of, lines, text};
use http::HeaderMap;
use std::net::IpAddr;
use tidegate::identity::Caller;
use tidegate::limit::{Per, Subject, subject};

pub(crate) const TARGET: Target = Target {
    name: "subject",
    holds,
    words: &[
        "+",
        "%",
        "%2B",
        ":",
        "user",
        "tenant",
        "api_key",
        "ip",
        "header:x-shop",
        "global",
        "\n",
        "ada",
        "\nX-Shop: ",
        "203.0.113.7",
    ],
    seeds: &[],
};

/// Lines: what is counted, user, tenant, API key of one; user, tenant, API key of the other; fields.
fn holds(input: &[u8]) {
    let mut rest = lines(input);
    let mut line = || text(rest.next().unwrap_or_default()).into_owned();
    let rule = line();
    let mut caller = || {
        let mut fact = || Some(line()).filter(|fact| !fact.is_empty()).map(Into::into);
        let (user, tenant, api_key) = (fact(), fact(), fact());
        Caller { user, tenant, api_key, ..Caller::anonymous(IpAddr::from([203, 0, 113, 7])) }
    };
    let (one, other) = (caller(), caller());
    let headers = fields_of(rest);
    let per = Per::parse_together(&rule).unwrap_or(Per::User);
    read_back(&rule);
    let of = |caller: &Caller, headers: &HeaderMap| subject(std::slice::from_ref(&per), caller, headers);
    let (left, right) = (of(&one, &headers), of(&other, &headers));
    assert_eq!(left == right, left.digest() == right.digest(), "{left} {right}");
    if left == right && left.per == per {
        for (part, fact) in [("user", [&one.user, &other.user]), ("tenant", [&one.tenant, &other.tenant])] {
            let is_counted = per.to_string().split('+').any(|word| word == part);
            assert!(!is_counted || fact[0] == fact[1], "{left} is both {fact:?}");
        }
    }
    for subject in [&left, &right] {
        assert_eq!(
            Subject::parse(&subject.to_string()).as_ref(),
            Some(subject),
            "{subject} is read otherwise"
        );
    }
}

fn read_back(written: &str) {
    let Some(subject) = Subject::parse(written) else { return };
    assert_eq!(Subject::parse(&subject.to_string()), Some(subject));
}
