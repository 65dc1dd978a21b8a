//! Starting, reloading and leaving.

use crate::support::{Fetch, Gate, Origin, Reply, Setup, eventually};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::Semaphore;

const ONE: &str = "limits: {default: {windows: {1m: 7}}}\nroutes: [{path: /}]";
const TWO: &str = "limits: {default: {windows: {1m: 9}}}\nroutes: [{path: /}]";

#[tokio::test]
async fn sigterm_finishes_what_is_under_way_and_exits_with_0() {
    let keeper = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&keeper);
    let origin = Origin::start(move |_| Reply::ok("finished").when(&waits)).await;
    let mut gate = Gate::start(&Setup::new(origin.address()).with(ONE)).await;
    let request = tokio::spawn(gate.get("/").fetch());
    eventually("the request is under way", async || origin.count() == 1).await;
    gate.process.signal("TERM");
    eventually("it says that it goes", async || gate.ask("/readyz").fetch().await.status == 503).await;
    eventually("it listens no more", async || tokio::net::TcpStream::connect(gate.http).await.is_err()).await;
    assert_eq!(gate.ask("/healthz").fetch().await.status, 200, "going is not dead");
    keeper.add_permits(1);
    let answer = request.await.expect("no panic");
    assert_eq!((answer.status, answer.text().as_str()), (200, "finished"));
    assert_eq!(gate.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_at_the_end_of_the_drain() {
    let origin = Origin::start(|_| Reply::never()).await;
    let mut gate = Gate::start(&Setup::new(origin.address()).server("drain: 300ms").with(ONE)).await;
    let request = tokio::spawn(gate.get("/").send());
    eventually("the request is under way", async || origin.count() == 1).await;
    gate.process.signal("TERM");
    assert_eq!(gate.process.exit().await.code(), Some(0));
    assert!(request.await.expect("no panic").is_err());
}

#[tokio::test]
async fn a_broken_configuration_never_replaces_a_good_one() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address());
    let gate = Gate::start(&setup.clone().with(ONE)).await;
    assert_eq!(gate.get("/").fetch().await.number("x-ratelimit-remaining-60s"), 6);
    fs::write(gate.file(), "routes: [{path: /, limit: nobody}]\nupstreams: {backend: nowhere}\n")
        .expect("ours");
    gate.process.signal("HUP");
    let failures = async || gate.metric("tidegate_config_reloads_total", &[("result", "failure")]).await;
    eventually("the new one is refused", async || failures().await > 0.0).await;
    eventually("every fault is logged", async || {
        let log = gate.process.stderr();
        log.contains("there is no policy `nobody`") && log.contains("`nowhere` is no server")
    })
    .await;
    assert_eq!(gate.metric("tidegate_config_last_reload_success", &[]).await, 0.0);
    assert_eq!(gate.get("/").fetch().await.number("x-ratelimit-remaining-60s"), 5, "the old one counts on");
    gate.reload(&setup.with(TWO)).await;
    assert_eq!(
        gate.get("/").fetch().await.number("x-ratelimit-remaining-60s"),
        6,
        "a reload forgets nothing"
    );
}

#[tokio::test]
async fn the_admin_api_reloads_and_names_every_fault() {
    let origin = Origin::counting().await;
    let setup = Setup::new(origin.address());
    let gate = Gate::start(&setup.clone().with(ONE)).await;
    let reload = async || {
        let url = format!("http://{}/api/v1/config/reload", gate.admin);
        crate::support::web::client().post(url).fetch().await
    };
    fs::write(gate.file(), "routes: 5").expect("ours");
    let refused = reload().await;
    assert_eq!(refused.status, 422);
    let fault = refused.json()["faults"][0].clone();
    assert!(
        fault["file"].as_str().expect("text").ends_with("tidegate.yaml") && fault["line"] == 1,
        "{fault}"
    );
    gate.write(&setup.with(TWO));
    assert_eq!(reload().await.json()["result"], "accepted");
    assert_eq!(gate.get("/").fetch().await.number("x-ratelimit-limit-60s"), 9);
}

#[tokio::test]
async fn a_link_that_is_swapped_is_a_change() {
    let (origin, folder) = (Origin::counting().await, TempDir::new().expect("a folder"));
    let of = |sections: &str| Setup::new(origin.address()).with(sections).text();
    for (name, text) in [("v1", of(ONE)), ("v2", of(TWO))] {
        fs::create_dir(folder.path().join(name)).expect("ours");
        fs::write(folder.path().join(name).join("tidegate.yaml"), text).expect("ours");
    }
    symlink("v1", folder.path().join("..data")).expect("ours");
    symlink("..data/tidegate.yaml", folder.path().join("tidegate.yaml")).expect("ours");
    let (path, root) = (folder.path().join("tidegate.yaml"), folder.path().to_owned());
    let gate = Gate::start_in(folder, &["run", "--config", &path.to_string_lossy()]).await;
    assert_eq!(gate.get("/").fetch().await.number("x-ratelimit-limit-60s"), 7);
    symlink("v2", root.join("..new")).expect("ours");
    fs::rename(root.join("..new"), root.join("..data")).expect("ours");
    eventually("the swap is seen", async || gate.get("/").fetch().await.number("x-ratelimit-limit-60s") == 9)
        .await;
}

#[tokio::test]
async fn without_a_file_it_runs_in_front_of_one_server() {
    let origin = Origin::counting().await;
    let address = origin.address().to_string();
    let arguments = ["run", "--upstream", &address, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gate = Gate::start_as(&arguments).await;
    let answer = gate.get("/anything").fetch().await;
    assert_eq!((answer.status, answer.number("x-ratelimit-remaining-60s")), (200, 59));
}

#[tokio::test]
async fn a_taken_port_and_a_missing_file_end_the_start_with_a_clear_word() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let arguments = ["run", "--upstream", "127.0.0.1:1", "--listen", &address, "--admin", "127.0.0.1:0"];
    let (code, _, stderr) = Gate::run(&arguments).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&address) && stderr.contains("choose another port"), "{stderr}");
    let (code, _, stderr) = Gate::run(&["run"]).await;
    assert_eq!(code, Some(2));
    assert!(stderr.contains("config/tidegate.yaml") && stderr.contains("--upstream HOST:PORT"), "{stderr}");
}

#[tokio::test]
async fn check_and_explain_tell_before_anything_runs() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("c.yaml");
    let path = file.to_string_lossy().into_owned();
    fs::write(&file, "upstreams: {b: \"127.0.0.1:1\"}\nlimits: {chat: {windows: {1m: 1}}}\nroutes: [{path: /chat/, limit: chat}, {path: /}]\n").expect("ours");
    let (code, stdout, _) = Gate::run(&["check", &path]).await;
    assert!(code == Some(0) && stdout.contains("/chat/") && stdout.contains("chat"), "{stdout}");
    let (code, stdout, _) = Gate::run(&["explain", "GET", "/chat//x", "--config", &path]).await;
    assert!(
        code == Some(0) && stdout.contains("/chat/x") && stdout.contains("chat counts ip:127.0.0.1"),
        "{stdout}"
    );
    let (code, stdout, _) = Gate::run(&["explain", "GET", "/", "--config", &path, "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((code, json["upstream"].as_str()), (Some(0), Some("b")));
    fs::write(&file, "upstreams: {b: \"127.0.0.1:1\"}\nroutes:\n  - {path: /, limt: chat}\n").expect("ours");
    let (code, _, stderr) = Gate::run(&["check", &path]).await;
    assert!(
        code == Some(2) && stderr.contains(":3:15: routes[0].limt: no such key, did you mean `limit`?"),
        "{stderr}"
    );
    let (code, stdout, _) = Gate::run(&["schema"]).await;
    assert!(code == Some(0) && serde_json::from_str::<serde_json::Value>(&stdout).is_ok());
}
