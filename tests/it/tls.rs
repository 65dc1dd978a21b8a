//! TLS of listeners: who gets which certificate, what is spoken, who must show one and what that proves.

use crate::support::{Authority, Fetch, Files, Gate, Origin, Pair, Reply, TlsClient, Wire, eventually};
use std::fs;

/// A listener with this inside of `tls`; everything goes to `origin`.
fn config(origin: &Origin, tls: &str, more: &str) -> String {
    format!(
        "server: {{listen: [{{address: \"127.0.0.1:0\", http2: true, tls: {{{tls}}}}}]}}\n\
         admin: {{listen: \"127.0.0.1:0\"}}\n\
         upstreams: {{backend: \"{}\"}}\n\
         routes: [{{path: /}}]\n{more}\n",
        origin.address()
    )
}

#[tokio::test]
async fn a_client_gets_the_certificate_for_the_name_that_it_asks_for() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let names = [&["default.example"][..], &["api.example"], &["*.example"]];
    let [default, exact, wild] = names.map(|names| authority.issue(names));
    let tls = format!(
        "{}, certificates: [{{{}}}, {{{}}}]",
        files.pair("default", &default),
        files.pair("exact", &exact),
        files.pair("wild", &wild)
    );
    let gate = Gate::start_with(&config(&origin, &tls, "")).await;
    let asked: [(&str, &Pair); 5] = [
        ("api.example", &exact),
        ("API.example", &exact),
        ("other.example", &wild),
        ("a.b.example", &default),
        ("elsewhere.test", &default),
    ];
    for (host, pair) in asked {
        let met = TlsClient::new().ask(gate.http, host, "").await.expect(host);
        assert!(met.certificate == pair.der(), "{host}");
        assert!(met.answer.starts_with("HTTP/1.1 200"), "{host}: {met:?}");
    }
    let nameless = TlsClient::new().nameless().ask(gate.http, "api.example", "").await.expect("the default");
    assert!(nameless.certificate == default.der());
    let expiry =
        gate.metric("tidegate_tls_certificate_expiry_timestamp_seconds", &[("name", "api.example")]).await;
    assert!(expiry > 4e9, "{expiry}");
}

#[tokio::test]
async fn http2_is_spoken_to_those_who_offer_it() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let tls = files.pair("a", &authority.issue(&["a.example"]));
    let gate = Gate::start_with(&config(&origin, &tls, "")).await;
    for (offered, chosen) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let met = TlsClient::new().offering(offered).ask(gate.http, "a.example", "").await.expect("TLS");
        assert_eq!(met.protocol.as_deref(), chosen, "{offered:?}");
    }
    let client = TlsClient::new().offering(&["h2"]).ordinary("a.example", gate.http);
    let answer =
        client.get(format!("https://a.example:{}/", gate.http.port())).send().await.expect("an answer");
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    assert_eq!(origin.last().header("x-forwarded-proto"), "https");
    let only_old = fs::read_to_string(gate.file()).expect("ours").replace("http2: true", "http2: false");
    let gate = Gate::start_with(&only_old).await;
    let client = TlsClient::new().offering(&["h2", "http/1.1"]);
    let met = client.ask(gate.http, "a.example", "").await.expect("TLS");
    assert_eq!(met.protocol.as_deref(), Some("http/1.1"));
}

/// A `ClientHello` of TLS 1.1 (RFC 4346 section 7.4.1.2) with one cipher suite and one signature algorithm.
fn old_hello() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    hello.extend([0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len()).expect("short");
    [vec![22, 3, 1, 0, length + 4, 1, 0, 0, length], hello].concat()
}

#[tokio::test]
async fn older_versions_and_plain_text_are_refused() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let tls = files.pair("a", &authority.issue(&["a.example"]));
    let gate = Gate::start_with(&config(&origin, &tls, "")).await;
    let mut wire = Wire::connect(gate.http).await;
    wire.send(old_hello()).await;
    // An alert (21), fatal (2), of protocol_version (70): RFC 5246 section 7.2.
    let alert = wire.until("\u{2}F").await.expect("an alert");
    assert_eq!(alert[0], 21, "{alert:?}");
    assert!(wire.is_closed().await);
    let plain = Wire::exchange(gate.http, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert!(plain.is_none(), "{plain:?}");
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn clients_show_a_certificate_of_the_right_authority_or_are_refused() {
    let (authority, others, files) = (Authority::new(), Authority::new(), Files::new());
    let origin = Origin::counting().await;
    let ca = files.write("ca.pem", &authority.pem);
    let tls = format!("{}, client_ca: \"{ca}\"", files.pair("a", &authority.issue(&["a.example"])));
    let (good, bad) = (authority.issue(&["me.example"]), others.issue(&["me.example"]));
    let required = Gate::start_with(&config(&origin, &tls, "")).await;
    let requested = Gate::start_with(&config(&origin, &format!("{tls}, client: request"), "")).await;
    for (gate, without) in [(&required, false), (&requested, true)] {
        let ask = async |client: TlsClient| client.ask(gate.http, "a.example", "").await.is_ok();
        assert!(ask(TlsClient::showing(&good)).await);
        assert!(!ask(TlsClient::showing(&bad)).await);
        assert_eq!(ask(TlsClient::new()).await, without);
    }
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn a_certificate_is_an_identity_that_is_counted_and_passed_on() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let ca = files.write("ca.pem", &authority.pem);
    let server = files.pair("a", &authority.issue(&["a.example"]));
    let tls = format!("{server}, client_ca: \"{ca}\", client: request");
    let more = "identity: {client_certificate: {user: uri, user_prefix: \"spiffe://example.org/\", tenant: organization}}\n\
                limits: {default: {per: [user, ip], windows: {1m: 2}}}";
    let gate = Gate::start_with(&config(&origin, &tls, more)).await;
    let client =
        |user: &str| TlsClient::showing(&authority.issue_to(&format!("spiffe://example.org/{user}"), "acme"));
    let spoofed = "X-User-Id: root\r\nX-Organization-Id: evil\r\nX-Forwarded-Client-Cert: Hash=1;URI=spiffe://x\r\n\
                   X-Client-Cert: a\r\nX-SSL-Client-S-DN: CN=root\r\nSSL-Client-Cert: b\r\nClient-Cert: :AA==:\r\n";
    let (ada, bob) = (client("ns/ada"), client("ns/bob"));
    for round in 0..3 {
        let met = ada.ask(gate.http, "a.example", spoofed).await.expect("an answer");
        let expected = if round < 2 { "HTTP/1.1 200" } else { "HTTP/1.1 429" };
        assert!(met.answer.starts_with(expected), "{round}: {met:?}");
    }
    assert_eq!(
        (origin.last().header("x-user-id"), origin.last().header("x-organization-id")),
        ("ns/ada", "acme")
    );
    assert!(!origin.wire().to_ascii_lowercase().contains("cert"), "{}", origin.wire());
    assert!(!origin.wire().contains("root"), "{}", origin.wire());
    let other = bob.ask(gate.http, "a.example", "").await.expect("an answer");
    assert!(other.answer.starts_with("HTTP/1.1 200"), "limits are by user: {other:?}");
    let nobody = TlsClient::new().ask(gate.http, "a.example", spoofed).await.expect("an answer");
    assert!(nobody.answer.starts_with("HTTP/1.1 200"), "{nobody:?}");
    assert_eq!((origin.last().header("x-user-id"), origin.last().header("x-organization-id")), ("", ""));
    let elsewhere = TlsClient::showing(&authority.issue_to("spiffe://example.com/ns/ada", "acme"));
    assert!(elsewhere.ask(gate.http, "a.example", "").await.is_ok());
    assert_eq!(origin.last().header("x-user-id"), "", "another trust domain");
}

#[tokio::test]
async fn answers_for_one_certificate_are_never_another_ones() {
    let (authority, files) = (Authority::new(), Files::new());
    let origin =
        Origin::start(|seen| Reply::ok(seen.header("x-user-id")).header("Cache-Control", "max-age=60")).await;
    let ca = files.write("ca.pem", &authority.pem);
    let server = files.pair("a", &authority.issue(&["a.example"]));
    let tls = format!("{server}, client_ca: \"{ca}\"");
    let more = "identity: {client_certificate: {user: uri, tenant: organization}}\n\
                cache: {namespaces: {own: {ttl: 1m, scope: user}}}";
    let text = config(&origin, &tls, more).replace("{path: /}", "{path: /, cache: own, limit: none}");
    let gate = Gate::start_with(&text).await;
    for (user, cache) in [("u:ada", "MISS"), ("u:bob", "MISS"), ("u:ada", "HIT"), ("u:bob", "HIT")] {
        let client = TlsClient::showing(&authority.issue_to(user, "acme"));
        let answer = client.ask(gate.http, "a.example", "").await.expect("an answer").answer;
        assert!(
            answer.contains(&format!("x-cache: {cache}")) || answer.contains(&format!("X-Cache: {cache}")),
            "{answer}"
        );
        assert!(answer.ends_with(user), "{answer}");
    }
}

#[tokio::test]
async fn a_stale_answer_is_refreshed_for_the_certificate_that_asked() {
    let (authority, files) = (Authority::new(), Files::new());
    let origin = Origin::start(|seen| Reply::ok(seen.header("x-user-id"))).await;
    let ca = files.write("ca.pem", &authority.pem);
    let server = files.pair("a", &authority.issue(&["a.example"]));
    let more = "identity: {client_certificate: {user: uri, tenant: organization}}\n\
                cache: {namespaces: {own: {scope: user, ttl: 1s, stale_while_revalidate: 60s}}}";
    let tls = format!("{server}, client_ca: \"{ca}\"");
    let text = config(&origin, &tls, more).replace("{path: /}", "{path: /, cache: own, limit: none}");
    let gate = Gate::start_with(&text).await;
    let client = TlsClient::showing(&authority.issue_to("u:ada", "acme"));
    let mut missed = 0;
    eventually("it is refreshed in the background", async || {
        let answer = client.ask(gate.http, "a.example", "").await.expect("an answer").answer;
        assert!(answer.ends_with("u:ada"), "{answer}");
        missed += usize::from(answer.to_ascii_lowercase().contains("x-cache: miss"));
        origin.count() > 2
    })
    .await;
    assert_eq!(missed, 1, "later ones are refreshes");
    assert!(origin.seen().iter().all(|seen| seen.header("x-user-id") == "u:ada"), "{:?}", origin.seen());
}

#[tokio::test]
async fn explain_shows_what_a_certificate_is_taken_for() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let ca = files.write("ca.pem", &authority.pem);
    let server = files.pair("a", &authority.issue(&["a.example"]));
    let more = "identity: {client_certificate: {user: uri, tenant: organization}}";
    let gate = Gate::start_with(&config(&origin, &format!("{server}, client_ca: \"{ca}\""), more)).await;
    let pair = authority.issue_to("u:ada", "acme");
    let shown = files.write("me.pem", &format!("{}{}", pair.key, pair.certificate));
    let file = gate.file().to_string_lossy().into_owned();
    let admin = gate.admin.to_string();
    let asked = ["explain", "GET", "http://a.example/", "--certificate", &shown, "--config", &file];
    for arguments in [asked.to_vec(), [&asked[..], &["--live", "--admin", &admin]].concat()] {
        let (code, out, err) = Gate::run(&arguments).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("taken as verified") && out.contains("u:ada") && out.contains("acme"), "{out}");
    }
}

#[tokio::test]
async fn check_shows_which_certificates_are_for_which_names() {
    let (authority, files) = (Authority::new(), Files::new());
    let ca = files.write("ca.pem", &authority.pem);
    let server = files.pair("a", &authority.issue(&["a.example", "*.a.example"]));
    let text = format!(
        "server: {{listen: {{address: \"127.0.0.1:8443\", tls: {{{server}, client_ca: \"{ca}\"}}}}}}\n\
         upstreams: {{backend: {{servers: [\"h:1\"], tls: {{verify: false}}}}}}\nroutes: [{{path: /}}]\n"
    );
    let file = files.write("t.yaml", &text);
    let (code, out, err) = Gate::run(&["check", &file]).await;
    assert_eq!(code, Some(0), "{err}");
    for word in ["127.0.0.1:8443", "a.example, *.a.example, any other name", "4096-01-01", "a certificate of"]
    {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
    assert!(format!("{out}{err}").contains("NOT VERIFIED"), "{out}{err}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_as_soon_as_the_list_says_so() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let (ca, crl) = (files.write("ca.pem", &authority.pem), files.write("crl.pem", &authority.revoke(&[])));
    let server = files.pair("a", &authority.issue(&["a.example"]));
    let tls = format!("{server}, client_ca: \"{ca}\", client_crl: [\"{crl}\"]");
    let gate = Gate::start_with(&config(&origin, &tls, "")).await;
    let (lost, kept) = (authority.issue(&["lost.example"]), authority.issue(&["kept.example"]));
    let ask = async |pair: &Pair| TlsClient::showing(pair).ask(gate.http, "a.example", "").await.is_ok();
    assert!(ask(&lost).await && ask(&kept).await);
    files.write("crl.pem", &authority.revoke(&[&lost]));
    eventually("the list is in force", async || !ask(&lost).await).await;
    assert!(ask(&kept).await);
    assert_eq!(gate.ask("/healthz").fetch().await.status, 200);
}
