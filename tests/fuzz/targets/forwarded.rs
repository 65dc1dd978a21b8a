//! `X-Forwarded-For` and `Forwarded`: only what a trusted peer wrote is believed.

use super::{Target, fields_of, lines, text};
use http::HeaderName;
use std::net::{IpAddr, Ipv4Addr};
use tidegate::identity::{CertificateFacts, Forward, Identifier, IdentitySettings, OnInvalid};

pub(crate) const TARGET: Target = Target {
    name: "forwarded",
    holds,
    words: &[
        "\nX-Forwarded-For: ",
        "\nForwarded: ",
        "for=",
        "FOR=",
        "by=",
        "proto=https",
        ";",
        ",",
        "\"",
        "\\",
        "[",
        "]",
        "\"[2001:db8::1]:80\"",
        "10.0.0.7",
        "203.0.113.7",
        "::ffff:10.0.0.1",
        "unknown",
        "_hidden",
        ":80",
        ":_p",
        "\nX-Forwarded-Proto: https",
        " ",
        "\t",
        "=",
    ],
    seeds: &[],
};

fn holds(input: &[u8]) {
    let headers = fields_of(lines(input));
    let identifier = Identifier::new(IdentitySettings {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        jwt: None,
        on_invalid: OnInvalid::Anonymous,
        api_keys: None,
        api_key_header: HeaderName::from_static("x-api-key"),
        tenant_header: None,
        certificate: CertificateFacts::default(),
        forward: Forward { user: None, tenant: None, client: HeaderName::from_static("x-forwarded-for") },
    });
    let stranger = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    assert_eq!(identifier.client_address(stranger, &headers), stranger, "a stranger is believed");
    assert_eq!(identifier.scheme(stranger, &headers, false), "http");
    let peer = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    let client = identifier.client_address(peer, &headers);
    let listed = addresses(&text(input));
    assert!(client == peer || listed.contains(&client), "{client} stands nowhere");
    // What a client behind the proxy invents stands to the left of what the proxy appends.
    let mut appended = input.to_vec();
    appended.extend_from_slice(b"\nX-Forwarded-For: 198.51.100.1");
    let client = identifier.client_address(peer, &fields_of(lines(&appended)));
    assert_eq!(
        client,
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)),
        "an invented entry goes before the proxy's"
    );
}

/// Every address that can be read anywhere in the text, with backslashes (of quoted pairs) and without.
fn addresses(text: &str) -> Vec<IpAddr> {
    let unescaped = text.replace('\\', "");
    let is_part = |letter: char| letter.is_ascii_hexdigit() || letter == '.' || letter == ':';
    let mut found = Vec::new();
    for text in [text, &unescaped] {
        for word in text.split(|letter| !is_part(letter)) {
            let mut ends: Vec<usize> = word.match_indices(':').map(|(at, _)| at).collect();
            let begins: Vec<usize> = ends.iter().map(|at| at + 1).chain([0]).collect();
            ends.push(word.len());
            for begin in begins {
                let words = ends.iter().filter_map(|end| word.get(begin..*end));
                found.extend(words.filter_map(|word| word.parse::<IpAddr>().ok()));
            }
        }
    }
    found.into_iter().map(|address| address.to_canonical()).collect()
}
