//! The webhook: who may purge, and what a purge's body selects.

use super::{Target, fields_of, lines};
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;
use tidegate::admin::{believed, selected};
use tidegate::base::Secret;
use tidegate::cache::{Mode, Purge, What};
use tidegate::config::{Env, Snapshot, Source, WebhookSettings, load};
use tidegate::route::{EncodedSlash, canonical_path};

pub(crate) const TARGET: Target = Target {
    name: "webhook",
    holds,
    words: &[
        "\n\n",
        "\nX-Tidegate-Timestamp: ",
        "\nX-Tidegate-Delivery: ",
        "\nX-Tidegate-Signature: sha256=",
        "1767225600",
        ".",
        "{\"tenant\":\"a\"}",
        "\"tags\":[\"x\"]",
        "\"paths\":[\"/a\"]",
        "\"prefix\":\"/a/\"",
        "\"glob\":\"/a*\"",
        "\"namespace\":\"content\"",
        "\"mode\":\"soft\"",
        "\"dry_run\":true",
        "/../",
        "%2e",
        "https://a.example/x?y",
        "#",
        "?",
        "*",
        "\\u0000",
        ",",
        "null",
    ],
    seeds: &[],
};

const SECRET: &str = "a secret of the webhook";
const NOW_S: u64 = 1_767_225_600;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = "upstreams: {backend: 127.0.0.1:9}\ncache: {namespaces: {content: {ttl: 1m}}}\nroutes: [{path: /, cache: content}]\n";
    let source = Source::Text { name: "f.yaml".to_owned(), text: text.to_owned() };
    load(&source, &Env::of(&[]), 1).expect("a sound configuration").snapshot
});

fn settings() -> WebhookSettings {
    WebhookSettings { secret: Secret::new(SECRET), tolerance: Duration::from_secs(300), mode: Mode::Soft }
}

/// Fields, an empty line, the body.
fn holds(input: &[u8]) {
    let at = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = at.map_or((&[][..], input), |at| (&input[..at], &input[at + 2..]));
    let mut headers = fields_of(lines(head));
    if let Some(delivery) = believed(&settings(), &headers, body, NOW_S) {
        let given = headers.get("x-tidegate-signature").map(HeaderValue::as_bytes).unwrap_or_default();
        let right = signature(&headers, body).expect("a message that is believed has time and id");
        assert!(right.as_bytes().eq_ignore_ascii_case(given), "not signed: {delivery}");
    }
    // Signed rightly it is believed if its time is: and not with another body.
    if let Some(signature) = signature(&headers, body) {
        headers.insert("x-tidegate-signature", signature);
        let mut longer = body.to_vec();
        longer.push(b' ');
        assert_eq!(believed(&settings(), &headers, &longer, NOW_S), None, "another body");
        let is_of = |now_s| believed(&settings(), &headers, body, now_s).is_some();
        assert!(!(is_of(NOW_S) && is_of(NOW_S + 1_000)), "a message of any time");
    }
    for purge in selected(&SNAPSHOT, body).unwrap_or_default() {
        assert_eq!(Purge::parse(&purge.text()).as_ref(), Some(&purge), "told otherwise than meant");
        let (What::Path(target) | What::Prefix(target)) = &purge.what else { continue };
        let path = target.split('?').next().unwrap_or_default();
        assert_eq!(
            canonical_path(path, EncodedSlash::Reject).as_deref(),
            Ok(path),
            "no request has that path"
        );
    }
}

fn signature(headers: &HeaderMap, body: &[u8]) -> Option<HeaderValue> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key of any length");
    mac.update(headers.get("x-tidegate-timestamp")?.as_bytes());
    mac.update(b".");
    mac.update(headers.get("x-tidegate-delivery")?.as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(text, "{byte:02x}").expect("text");
    }
    HeaderValue::try_from(text).ok()
}
