//! The key: two requests share an answer only if everything that is keyed is equal.

use super::{Target, fields_of, lines, text};
use http::{HeaderMap, Method};
use tidegate::base::Digest;
use tidegate::cache::{Bypass, Cookies, KeyInput, Namespace, QueryKey, Scope, key, owner, parts};
use tidegate::identity::Caller;

pub(crate) const TARGET: Target = Target {
    name: "key",
    holds,
    words: &[
        "\n\n",
        "\n",
        "acme",
        "globex",
        "/a",
        "?",
        "&",
        "=",
        "a=1",
        "b",
        ";",
        "%26",
        "a%3d",
        "[]",
        "A=1",
        "a.example",
        ":80",
        ":443",
        "http",
        "https",
        "\nX-Plan: ",
        "\nCookie: lang=",
        "; lang=en",
        "lang",
        "\nCache-Control: no-store",
        "\nUpgrade: x",
        " ",
        ",",
        "only",
        "user",
        "public",
    ],
    seeds: &[],
};

/// One request, owned.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    namespace: Namespace,
    caller: Caller,
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

/// Lines: rule, namespace, tenant, user, scheme, authority, path, query, then fields.
fn asked(part: &[u8]) -> Asked {
    let mut rest = lines(part);
    let mut line = || text(rest.next().unwrap_or_default()).into_owned();
    let (rule, name) = (line(), line());
    let mut namespace = Namespace::named(&name);
    namespace.headers = vec!["x-plan".to_owned()];
    if rule.contains("only") {
        namespace.query = QueryKey::Only(vec!["a".to_owned(), "b".to_owned()]);
        namespace.cookies = Cookies::Key(vec!["lang".to_owned()]);
    }
    namespace.scope = match &rule {
        user if user.contains("user") => Scope::User,
        public if public.contains("public") => Scope::Public,
        _ => Scope::Tenant,
    };
    let caller = Caller { tenant: Some(line().into()), user: Some(line().into()), ..Caller::default() };
    let (scheme, authority, path) = (line(), line(), line());
    let query = Some(line()).filter(|query| !query.is_empty());
    Asked { namespace, caller, scheme, authority, path, query, headers: fields_of(rest) }
}

impl Asked {
    fn input(&self) -> KeyInput<'_> {
        KeyInput {
            namespace: &self.namespace,
            caller: &self.caller,
            method: &Method::GET,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            has_body: false,
        }
    }

    fn key(&self) -> Result<Digest, Bypass> {
        key(&self.input())
    }

    /// Everything that a backend may answer by, where nothing is left out of the key.
    fn essence(&self) -> impl PartialEq + use<'_> {
        let plan: Vec<_> = self.headers.get_all("x-plan").iter().collect();
        let of_user = (self.namespace.scope == Scope::User).then_some(self.caller.user.as_deref());
        let of_tenant = (self.namespace.scope != Scope::Public).then_some(self.caller.tenant.as_deref());
        let place = (&self.scheme, &self.path, self.query.as_deref());
        (self.namespace.scope, self.namespace.name.clone(), of_tenant, of_user, place, plan)
    }
}

fn holds(input: &[u8]) {
    let at = input.windows(2).position(|two| two == b"\n\n");
    let (left, right) = at.map_or((input, &[][..]), |at| (&input[..at], &input[at + 2..]));
    let (left, right) = (asked(left), asked(right));
    let (one, other) = (left.key(), right.key());
    if let (Ok(one), Ok(other)) = (&one, &other) {
        assert_eq!(one == other, parts(&left.input()) == parts(&right.input()), "key and parts differ");
        let everything = [&left, &right].iter().all(|asked| asked.namespace.query == QueryKey::All);
        if one == other && everything {
            assert!(left.essence() == right.essence(), "{left:?}\n{right:?} share a key");
        }
        if one == other {
            let of = |asked: &Asked| owner(&asked.namespace, &asked.caller);
            assert_eq!(of(&left), of(&right), "an answer of another owner");
        }
    }
    for asked in [&left, &right] {
        let is_named =
            |name: &Option<std::sync::Arc<str>>| name.as_deref().is_some_and(|name| !name.is_empty());
        if asked.namespace.scope == Scope::Tenant && !is_named(&asked.caller.tenant) {
            assert!(asked.key().is_err(), "a key of scope tenant without a tenant");
        }
        // The same request always has the same key, and HEAD shares that of GET.
        let head = KeyInput { method: &Method::HEAD, ..asked.input() };
        assert_eq!(key(&head), asked.key());
    }
}
