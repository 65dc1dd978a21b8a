//! Renewed certificates: in force without a signal and without a failed request, and never half.

use crate::support::{Authority, Files, Gate, Origin, Pair, TlsClient, eventually};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

const SUCCESS: &str = "tidegate_config_last_reload_success";

/// A listener with this certificate.
async fn gate(origin: &Origin, tls: &str) -> Gate {
    let address = origin.address();
    let text = format!(
        "server: {{listen: {{address: \"127.0.0.1:0\", tls: {{{tls}}}}}}}\n\
         admin: {{listen: \"127.0.0.1:0\"}}\nupstreams: {{backend: \"{address}\"}}\nroutes: [{{path: /}}]\n"
    );
    Gate::start_with(&text).await
}

/// Is this the certificate that a new connection gets?
async fn has(gate: &Gate, pair: &Pair) -> bool {
    let met = TlsClient::new().ask(gate.http, "a.example", "").await.expect("a handshake");
    assert!(met.answer.starts_with("HTTP/1.1 200"), "{met:?}");
    met.certificate == pair.der()
}

/// Asks on new connections until `goes_on` is false; every request must be answered with 200.
async fn ask_on(gate: &Gate, goes_on: &AtomicBool) -> u64 {
    let (client, mut answers) = (TlsClient::new(), 0);
    while goes_on.load(Ordering::Relaxed) {
        let met = client.ask(gate.http, "a.example", "").await.expect("an answer");
        assert!(met.answer.starts_with("HTTP/1.1 200"), "{met:?}");
        answers += 1;
    }
    answers
}

#[tokio::test]
async fn an_overwritten_pair_is_taken_under_load_and_no_request_fails() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let pairs: Vec<Pair> = (0..3).map(|_| authority.issue(&["a.example"])).collect();
    let gate = gate(&origin, &files.pair("a", &pairs[0])).await;
    let goes_on = AtomicBool::new(true);
    let renewals = async {
        for pair in &pairs[1..] {
            files.pair("a", pair);
            eventually("the new certificate is in force", async || has(&gate, pair).await).await;
        }
        goes_on.store(false, Ordering::Relaxed);
    };
    let (one, two, ()) = futures_util::join!(ask_on(&gate, &goes_on), ask_on(&gate, &goes_on), renewals);
    assert!(one > 0 && two > 0);
    assert_eq!(gate.metric(SUCCESS, &[]).await, 1.0);
}

/// C4: the kubelet makes a new folder and swaps the link to it.
#[tokio::test]
async fn a_swapped_link_is_taken_and_no_request_fails() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let [old, new] = [(); 2].map(|()| authority.issue(&["a.example"]));
    for (folder, pair) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(files.path(folder)).expect("a folder");
        files.pair(&format!("{folder}/tls"), pair);
    }
    symlink("..1", files.path("..data")).expect("a link");
    let shown = |name: &str| files.path(name).to_string_lossy().into_owned();
    symlink("..data/tls.pem", files.path("tls.pem")).expect("a link");
    symlink("..data/tls.key", files.path("tls.key")).expect("a link");
    let gate =
        gate(&origin, &format!("certificate: \"{}\", key: \"{}\"", shown("tls.pem"), shown("tls.key"))).await;
    assert!(has(&gate, &old).await);
    let goes_on = AtomicBool::new(true);
    let swap = async {
        symlink("..2", files.path("..new")).expect("a link");
        fs::rename(files.path("..new"), files.path("..data")).expect("one step");
        eventually("the new certificate is in force", async || has(&gate, &new).await).await;
        goes_on.store(false, Ordering::Relaxed);
    };
    let (answers, ()) = futures_util::join!(ask_on(&gate, &goes_on), swap);
    assert!(answers > 0);
    assert_eq!(gate.metric("tidegate_config_reloads_total", &[("result", "failure")]).await, 0.0);
}

#[tokio::test]
async fn a_broken_pair_is_refused_until_it_is_whole_and_the_old_one_stays() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let [old, new] = [(); 2].map(|()| authority.issue(&["a.example"]));
    let gate = gate(&origin, &files.pair("a", &old)).await;
    // Certificate without its key, a key half written, nothing at all.
    let half = new.key.get(..new.key.len() / 2).expect("ASCII");
    for (round, (certificate, key)) in
        (1_i32..).zip([(&*new.certificate, &*old.key), (&new.certificate, half), ("", &new.key)])
    {
        files.write("a.pem", certificate);
        files.write("a.key", key);
        eventually("it is refused", async || {
            gate.metric("tidegate_config_reloads_total", &[("result", "failure")]).await >= f64::from(round)
        })
        .await;
        assert_eq!(gate.metric(SUCCESS, &[]).await, 0.0);
        assert!(has(&gate, &old).await, "{round}");
    }
    assert!(
        gate.process.stderr().contains("the key belongs to another certificate"),
        "{}",
        gate.process.stderr()
    );
    fs::remove_file(files.path("a.pem")).expect("ours");
    files.pair("a", &new);
    eventually("the new certificate is in force", async || has(&gate, &new).await).await;
    assert_eq!(gate.metric(SUCCESS, &[]).await, 1.0);
    assert!(!gate.process.stderr().contains("PRIVATE"), "a key is never shown");
}

#[tokio::test]
async fn certificates_change_by_reload_and_sockets_do_not() {
    let (authority, files, origin) = (Authority::new(), Files::new(), Origin::counting().await);
    let [first, second] = [(); 2].map(|()| authority.issue(&["a.example"]));
    let gate = gate(&origin, &files.pair("first", &first)).await;
    let text = fs::read_to_string(gate.file()).expect("ours");
    files.pair("second", &second);
    fs::write(gate.file(), text.replace("/first.", "/second.")).expect("ours");
    eventually("other files are taken", async || has(&gate, &second).await).await;
    // Without TLS, and with another address: both are for the next start, and the certificate stays.
    for listen in ["\"127.0.0.1:0\"", "{address: \"127.0.0.1:1\", tls: null}"] {
        let before = gate.metric("tidegate_config_reloads_total", &[("result", "success")]).await;
        let rest = text.split_once('\n').expect("several lines").1;
        fs::write(gate.file(), format!("server: {{listen: {listen}}}\n{rest}")).expect("ours");
        eventually("it is loaded", async || {
            gate.metric("tidegate_config_reloads_total", &[("result", "success")]).await > before
        })
        .await;
        assert!(has(&gate, &second).await, "{listen}");
    }
    assert!(gate.process.stderr().contains("`server.listen` has changed"), "{}", gate.process.stderr());
}
