//! The dashboard's page behind a gateway. What it does in a browser is `make browser`.

use crate::support::companion::{Companion, Seeded};
use crate::support::{Fetch, Gate, Setup};

#[tokio::test]
async fn the_page_and_its_policy_pass_a_gateway_unchanged() {
    let seeded = Seeded::sqlite(&["--tenants", "1", "--users-per-tenant", "1", "--days", "1"]).await;
    let companion = Companion::start(&seeded.url, "").await;
    let gate = Gate::start(&Setup::new(companion.at).with("routes: [{path: /}]")).await;
    for file in ["", "app.js", "style.css", "icon.svg", "vendor/uPlot.esm.js"] {
        let path = format!("/dashboard/{file}");
        let direct = companion.get(&path).fetch().await;
        let proxied = gate.get(&path).fetch().await;
        assert_eq!((direct.status, proxied.status), (200, 200), "{path}");
        assert!(direct.body == proxied.body && !direct.body.is_empty(), "{path}");
        for name in
            ["content-type", "content-security-policy", "cache-control", "etag", "x-content-type-options"]
        {
            assert_eq!(proxied.header(name), direct.header(name), "{path} {name}");
        }
        let tag = proxied.header("etag").to_owned();
        assert_eq!(gate.get(&path).header("If-None-Match", tag).fetch().await.status, 304, "{path}");
    }
    let policy = gate.get("/dashboard/").fetch().await.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(gate.get("/dashboard/nothing.js").fetch().await.status, 404);
}
