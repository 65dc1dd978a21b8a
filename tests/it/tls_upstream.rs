//! TLS towards backends: who is believed to be one, what is shown to it, and what is spoken.

use crate::support::{Authority, Fetch, Files, Gate, Origin, Reply, TlsFront, Wire, eventually};

/// A plain listener; the backend is reached by this inside of its `tls`.
fn config(front: &TlsFront, tls: &str, more: &str) -> String {
    format!(
        "server: {{listen: \"127.0.0.1:0\"}}\nadmin: {{listen: \"127.0.0.1:0\"}}\n\
         upstreams: {{backend: {{servers: [\"{}\"], tls: {{{tls}}}{more}}}}}\nroutes: [{{path: /}}]\n",
        front.address
    )
}

#[tokio::test]
async fn a_backend_is_believed_by_its_authority_and_its_name() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let front = TlsFront::start(origin.address(), &authority.issue(&["api.internal"]), None).await;
    let ca = files.write("ca.pem", &authority.pem);
    let other = files.write("other.pem", &Authority::new().pem);
    for (tls, status) in [
        ("server_name: api.internal".to_owned(), 502),
        (format!("server_name: api.internal, ca_file: \"{other}\""), 502),
        (format!("server_name: other.internal, ca_file: \"{ca}\""), 502),
        // The host of the server is an address, for which the certificate is not.
        (format!("ca_file: \"{ca}\""), 502),
        (format!("server_name: api.internal, ca_file: \"{ca}\""), 200),
        ("verify: false".to_owned(), 200),
        (format!("verify: false, server_name: other.internal, ca_file: \"{other}\""), 200),
    ] {
        let gate = Gate::start_with(&config(&front, &tls, "")).await;
        let (before, answer) = (origin.count(), gate.get("/").fetch().await);
        assert_eq!(answer.status, status, "{tls}: {answer:?}");
        assert_eq!(origin.count() > before, status == 200, "{tls}");
        let errors = gate.metric("tidegate_upstream_errors_total", &[("kind", "tls")]).await;
        assert_eq!(errors > 0.0, status == 502, "{tls}");
        assert_eq!(gate.process.stderr().contains("NOT VERIFIED"), tls.contains("verify: false"), "{tls}");
    }
}

#[tokio::test]
async fn without_an_authority_of_its_own_a_backend_is_believed_by_those_of_the_system() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let front = TlsFront::start(origin.address(), &authority.issue(&["api.internal"]), None).await;
    let ca = files.write("ca.pem", &authority.pem);
    let with = config(&front, "server_name: api.internal", "");
    let gate = Gate::start_under(&with, &[("SSL_CERT_FILE", &ca)]).await;
    assert_eq!(gate.get("/").fetch().await.status, 200);
    let wrong = Gate::start_under(&with.replace("api.", "b."), &[("SSL_CERT_FILE", &ca)]).await;
    assert_eq!(wrong.get("/").fetch().await.status, 502);
}

#[tokio::test]
async fn a_certificate_of_ours_is_shown_with_requests_and_health_checks() {
    let (authority, clients, files) = (Authority::new(), Authority::new(), Files::new());
    let origin = Origin::counting().await;
    let front = TlsFront::start(origin.address(), &authority.issue(&["api.internal"]), Some(&clients)).await;
    let ca = files.write("ca.pem", &authority.pem);
    let own = clients.issue(&["gate.internal"]);
    let believing = format!("server_name: api.internal, ca_file: \"{ca}\"");
    let gate = Gate::start_with(&config(&front, &believing, "")).await;
    assert_eq!(gate.get("/").fetch().await.status, 502, "nothing is shown");
    let health = ", health: {path: /healthz, every: 100ms}";
    let tls = format!("{believing}, {}", files.pair("own", &own));
    let gate = Gate::start_with(&config(&front, &tls, health)).await;
    assert_eq!(gate.get("/").fetch().await.status, 200);
    eventually("it is asked whether it is well", async || {
        origin.seen().iter().filter(|seen| seen.target == "/healthz").count() > 3
    })
    .await;
    assert_eq!(gate.metric("tidegate_upstream_healthy", &[("upstream", "backend")]).await, 1.0);
    assert!(
        front.shown().iter().all(|shown| shown.as_ref() == Some(&own.der())),
        "{:?}",
        front.shown().len()
    );
    let renewed = clients.issue(&["gate.internal"]);
    files.pair("own", &renewed);
    eventually("the renewed certificate is shown", async || {
        assert_eq!(gate.get("/").fetch().await.status, 200);
        front.shown().last() == Some(&Some(renewed.der()))
    })
    .await;
}

#[tokio::test]
async fn a_renewed_authority_is_believed_without_a_signal_and_the_old_one_no_more() {
    let (old, new, files) = (Authority::new(), Authority::new(), Files::new());
    let origin = Origin::start(|_| Reply::ok("").close()).await;
    let front = TlsFront::start(origin.address(), &old.issue(&["api.internal"]), None).await;
    let ca = files.write("ca.pem", &old.pem);
    let tls = format!("server_name: api.internal, ca_file: \"{ca}\"");
    let gate = Gate::start_with(&config(&front, &tls, ", breaker: {failures: 1000000}")).await;
    assert_eq!(gate.get("/").fetch().await.status, 200);
    front.renew(&new.issue(&["api.internal"]));
    eventually("the old authority has not issued it", async || gate.get("/").fetch().await.status == 502)
        .await;
    files.write("ca.pem", &new.pem);
    eventually("the new one has", async || gate.get("/").fetch().await.status == 200).await;
    front.renew(&old.issue(&["api.internal"]));
    eventually("the old one is forgotten", async || gate.get("/").fetch().await.status == 502).await;
}

/// A backend that speaks HTTP/2 and HTTP/1.1 with this certificate: another instance.
async fn both(origin: &Origin, pair: &str) -> Gate {
    Gate::start_with(&format!(
        "server: {{listen: {{address: \"127.0.0.1:0\", http2: true, tls: {{{pair}}}}}}}\n\
         admin: {{listen: \"127.0.0.1:0\"}}\nupstreams: {{backend: \"{}\"}}\nroutes: [{{path: /}}]\n",
        origin.address()
    ))
    .await
}

#[tokio::test]
async fn a_websocket_goes_over_http1_where_requests_go_over_http2() {
    let (authority, files) = (Authority::new(), Files::new());
    let origin = Origin::start(|seen| match seen.header("upgrade") {
        "" => Reply::ok("plain"),
        _ => Reply::raw(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        ),
    })
    .await;
    let second = both(&origin, &files.pair("a", &authority.issue(&["api.internal"]))).await;
    let front = TlsFront::start(origin.address(), &authority.issue(&["api.internal"]), None).await;
    let tls = format!("server_name: api.internal, ca_file: \"{}\"", files.write("ca.pem", &authority.pem));
    let text =
        config(&front, &tls, ", http2: true").replace(&front.address.to_string(), &second.http.to_string());
    let gate = Gate::start_with(&text).await;
    assert_eq!(gate.get("/").fetch().await.text(), "plain");
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = Wire::exchange(gate.http, upgrade).await.expect("an answer");
    assert_eq!(answer.status, 101, "{answer:?}");
    assert_eq!(gate.get("/").fetch().await.text(), "plain");
}

#[tokio::test]
async fn http2_is_spoken_to_backends_that_choose_it_and_http1_to_others() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let pair = authority.issue(&["api.internal"]);
    let ca = files.write("ca.pem", &authority.pem);
    let tls = format!("server_name: api.internal, ca_file: \"{ca}\"");
    let second = both(&origin, &files.pair("a", &pair)).await;
    let front = TlsFront::start(origin.address(), &pair, None).await;
    let health = "health: {path: /healthz, every: 100ms}";
    for (more, via) in [(format!(", http2: true, {health}"), "2"), (format!(", {health}"), "1.1")] {
        let text = config(&front, &tls, &more).replace(&front.address.to_string(), &second.http.to_string());
        let gate = Gate::start_with(&text).await;
        for _ in 0..3 {
            assert_eq!(gate.get("/").fetch().await.status, 200);
        }
        let asked = origin.last();
        let hops: Vec<&str> =
            asked.headers.get_all("via").iter().filter_map(|hop| hop.to_str().ok()).collect();
        let second_hop = hops.iter().flat_map(|line| line.split(", ")).nth(1).unwrap_or_default();
        assert!(second_hop.starts_with(&format!("{via} ")), "{more}: {hops:?}");
        let probed = origin.count();
        eventually("health checks go the same way", async || {
            origin.seen().iter().skip(probed).filter(|seen| seen.target == "/healthz").count() > 2
        })
        .await;
        assert_eq!(gate.metric("tidegate_upstream_healthy", &[("upstream", "backend")]).await, 1.0);
    }
    let gate = Gate::start_with(&config(&front, &tls, ", http2: true")).await;
    for _ in 0..3 {
        assert_eq!(gate.get("/").fetch().await.status, 200, "a backend without HTTP/2");
    }
    assert!(origin.last().head.windows(8).any(|eight| eight == b"HTTP/1.1"));
}
