//! `tidegate dashboard`: the companion's database from the command line, on a real PostgreSQL and on SQLite.

use crate::support::{Gate, Postgres, eventually};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// Runs the binary with `DATABASE_URL` set: its exit code, stdout and stderr.
async fn dashboard(url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let words: Vec<&str> = ["dashboard"].iter().chain(arguments).copied().collect();
    Gate::run_under(&words, &[("DATABASE_URL", url)]).await
}

/// The same, which must succeed, with `--json`.
async fn told(url: &str, arguments: &[&str]) -> Value {
    let words: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
    let (code, stdout, stderr) = dashboard(url, &words).await;
    assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

fn steps(told: &Value) -> Vec<(String, String)> {
    let word = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let steps = told["steps"].as_array().expect("steps");
    steps.iter().map(|step| (word(step, "name"), word(step, "why"))).collect()
}

fn due(name: &str, why: &str) -> (String, String) {
    (name.to_owned(), why.to_owned())
}

#[tokio::test]
async fn migrating_sqlite_makes_everything_once_and_looking_makes_nothing() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("a.db");
    let url = format!("sqlite:{}", file.display());
    let planned = told(&url, &["migrate", "--dry-run"]).await;
    assert!(!file.exists(), "a look makes no file");
    let migrated = told(&url, &["migrate"]).await;
    assert_eq!(steps(&planned), steps(&migrated));
    assert!(steps(&migrated).len() > 40, "{migrated}");
    let mode = std::fs::metadata(&file).expect("it is made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "people's names are in it");
    let again = told(&url, &["migrate"]).await;
    assert_eq!(steps(&again), []);
    assert_eq!(again["in_place"].as_u64(), Some(steps(&migrated).len() as u64));
}

#[tokio::test]
async fn migrating_postgres_repairs_what_a_broken_off_run_left_behind() {
    let server = Postgres::start().await;
    let url = server.database("app");
    let migrated = told(&url, &["migrate"]).await;
    assert!(steps(&migrated).len() > 50, "{migrated}");
    // Those of keys come with their tables.
    let indexes = "SELECT count(*) FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid WHERE t.relnamespace = 'public'::regnamespace \
                   AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)";
    assert_eq!(server.ask("app", indexes), "51");
    assert_eq!(steps(&told(&url, &["migrate"]).await), []);
    // What a build leaves that was ended in its midst; one that was dropped; one that was built, but not noted.
    server.ask("app", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'activity_feed'::regclass");
    server.ask("app", "DROP INDEX users_invited");
    server.ask("app", "DELETE FROM tidegate_migrations WHERE name = 'content_author'");
    let expected =
        [due("activity_feed", "repair"), due("users_invited", "missing"), due("content_author", "adopt")];
    let mut planned = steps(&told(&url, &["migrate", "--dry-run"]).await);
    planned.sort();
    let mut sorted = expected.to_vec();
    sorted.sort();
    assert_eq!(planned, sorted);
    assert_eq!(steps(&told(&url, &["migrate"]).await).len(), 3);
    assert_eq!(server.ask("app", indexes), "51");
    assert_eq!(server.ask("app", "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
    assert_eq!(steps(&told(&url, &["migrate"]).await), []);
}

#[tokio::test]
async fn a_migration_that_was_applied_in_another_form_is_refused() {
    let server = Postgres::start().await;
    let url = server.database("app");
    told(&url, &["migrate"]).await;
    server.ask("app", "UPDATE tidegate_migrations SET checksum = 'x' WHERE name = 'people'");
    let (code, _, stderr) = dashboard(&url, &["migrate"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("migration 2 (people) was applied in another form"), "{stderr}");
    server.ask("app", "DELETE FROM tidegate_migrations WHERE name = 'people'");
    assert_eq!(steps(&told(&url, &["migrate"]).await), [due("people", "new")]);
}

#[tokio::test]
async fn a_failed_index_leaves_nothing_invalid_and_keeps_no_other_from_being_built() {
    let server = Postgres::start().await;
    let url = server.database("app");
    // An application's own table, with what the index for e-mail addresses must refuse.
    told(&url, &["migrate"]).await;
    server.ask("app", "DROP INDEX uq_users_email; DROP INDEX activity_feed");
    let rows = "INSERT INTO organizations (id, name, slug) VALUES ('00000000-0000-4000-8000-000000000001', 'A', 'a');
        INSERT INTO users (organization_id, email, username, first_name, last_name, role)
        SELECT '00000000-0000-4000-8000-000000000001', e, e, 'Ada', 'L', 'admin' FROM unnest(ARRAY['a@x', 'A@x', 'b@x']) e
        ON CONFLICT DO NOTHING";
    server.ask("app", "DROP INDEX uq_users_org_username");
    server.ask("app", rows);
    let (code, stdout, stderr) = dashboard(&url, &["migrate"]).await;
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stderr.contains("index uq_users_email") && stderr.contains("Duplicates"), "{stderr}");
    assert!(stdout.contains("activity_feed") && stdout.contains("done"), "{stdout}");
    assert_eq!(server.ask("app", "SELECT count(*) FROM pg_index WHERE NOT indisvalid"), "0");
    server.ask("app", "DELETE FROM users WHERE email = 'A@x'");
    assert_eq!(dashboard(&url, &["migrate"]).await.0, Some(0));
}

#[tokio::test]
async fn one_instance_migrates_and_others_wait_for_it() {
    let server = Postgres::start().await;
    let url = server.database("app");
    let all = tokio::join!(told(&url, &["migrate"]), told(&url, &["migrate"]), told(&url, &["migrate"]));
    let mut made: Vec<usize> = [all.0, all.1, all.2].iter().map(|told| steps(told).len()).collect();
    made.sort_unstable();
    assert!(made[2] > 50 && made[..2] == [0, 0], "{made:?}");
}

#[tokio::test]
async fn an_index_is_built_while_others_write() {
    let server = Postgres::start().await;
    let url = server.database("app");
    told(&url, &["migrate"]).await;
    server.ask("app", "DROP INDEX users_invited");
    // A transaction that has read the table: the build waits for its end, and nobody waits for the build.
    let held = server.session("app", "BEGIN; SELECT count(*) FROM users; SELECT pg_sleep(60);");
    eventually("the transaction is open", async || {
        server.ask("app", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"
    })
    .await;
    let writing = async {
        eventually("the index is being built", async || {
            server.ask("app", "SELECT count(*) FROM pg_stat_progress_create_index") == "1"
        })
        .await;
        server.ask("app", "INSERT INTO organizations (name, slug) VALUES ('A', 'a')");
        let row = "INSERT INTO users (organization_id, email, username, first_name, last_name, role)
            SELECT id, 'a@x', 'a', 'Ada', 'L', 'admin' FROM organizations";
        server.ask("app", row);
        drop(held);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        server.ask("app", end);
    };
    let (migrated, ()) = tokio::join!(told(&url, &["migrate"]), writing);
    assert_eq!(steps(&migrated), [due("users_invited", "missing")]);
}

#[tokio::test]
async fn what_is_wrong_with_a_database_is_said_without_its_password() {
    let server = Postgres::start().await;
    let socket = server.url_as("nobody_here:hunter2", "postgres");
    let missing = server.url_as("tidegate:hunter2", "nowhere");
    for (url, says, remedy) in [
        ("postgres://ada:hunter2@127.0.0.1:1/app", "refused", "is it running"),
        (socket.as_str(), "nobody_here", "check the user"),
        (missing.as_str(), "\"nowhere\" does not exist", "createdb"),
        ("mysql://ada:hunter2@127.0.0.1/app", "no URL of a database", "sqlite:FILE"),
        ("sqlite:no/such/folder/a.db", "unable to open", "the folder must exist"),
    ] {
        let (code, _, stderr) = dashboard(url, &["migrate"]).await;
        assert_ne!(code, Some(0), "{url}");
        assert!(stderr.contains(says) && stderr.contains(remedy), "{url}: {stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
    }
}

fn index<'t>(told: &'t Value, name: &str) -> &'t Value {
    let indexes = told["indexes"].as_array().expect("indexes");
    indexes.iter().find(|index| index["name"] == name).unwrap_or_else(|| panic!("{name}: {told}"))
}

#[tokio::test]
async fn indexes_are_told_as_used_unused_invalid_or_missing() {
    let server = Postgres::start().await;
    let url = server.database("app");
    let (code, _, stderr) = dashboard(&url, &["seed"]).await;
    assert!(code == Some(1) && stderr.contains("tidegate dashboard migrate"), "{stderr}");
    told(&url, &["migrate"]).await;
    let seeded = told(&url, &["seed", "--tenants", "3", "--users-per-tenant", "40", "--days", "30"]).await;
    assert_eq!(seeded["tables"]["users"], 120, "{seeded}");
    server.ask(
        "app",
        "SET enable_seqscan = off; SELECT count(*) FROM activity_log WHERE user_id = gen_random_uuid()",
    );
    server.ask("app", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'activity_feed'::regclass");
    server.ask("app", "DROP INDEX users_invited; CREATE INDEX of_mine ON users (username)");
    let mut told_now = Value::Null;
    eventually("the statistics have arrived", async || {
        told_now = told(&url, &["indexes"]).await;
        index(&told_now, "activity_user")["state"] == "used"
    })
    .await;
    let state = |name| index(&told_now, name)["state"].as_str().expect("a state").to_owned();
    assert_eq!(
        ["activity_feed", "users_invited", "classes_deleted"].map(state),
        ["invalid", "missing", "unused"]
    );
    assert_eq!(index(&told_now, "of_mine")["category"], Value::Null);
    assert!(index(&told_now, "activity_feed_type")["bytes"].as_u64() > Some(8_000), "{told_now}");
    assert_eq!(index(&told_now, "users_invited")["bytes"], Value::Null);
    let (code, text, _) = dashboard(&url, &["indexes"]).await;
    assert!(code == Some(0) && text.contains("1 invalid, 1 missing") && text.contains("migrate"), "{text}");
}

#[tokio::test]
async fn a_seeded_file_is_not_seeded_again_and_its_indexes_have_sizes_but_no_counts() {
    let folder = TempDir::new().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("a.db").display());
    let (code, _, stderr) = dashboard(&url, &["indexes"]).await;
    assert!(code == Some(1) && stderr.contains("no such file"), "{stderr}");
    told(&url, &["migrate"]).await;
    told(&url, &["seed", "--tenants", "2", "--users-per-tenant", "30", "--days", "20"]).await;
    let (code, _, stderr) = dashboard(&url, &["seed"]).await;
    assert!(code == Some(1) && stderr.contains("--append"), "{stderr}");
    let (code, _, stderr) = dashboard(&url, &["seed", "--append"]).await;
    assert!(code == Some(1) && stderr.contains("--seed"), "{stderr}");
    told(&url, &["seed", "--append", "--seed", "2", "--tenants", "1"]).await;
    let indexes = told(&url, &["indexes"]).await;
    let feed = index(&indexes, "activity_feed");
    assert_eq!((&feed["state"], &feed["scans"]), (&Value::from("unknown"), &Value::Null));
    assert!(feed["bytes"].as_u64() > Some(4_000), "{feed}");
}

#[tokio::test]
async fn a_read_only_database_is_looked_at_and_never_changed() {
    let server = Postgres::start().await;
    let url = server.database("app");
    told(&url, &["migrate"]).await;
    server.ask("app", "CREATE ROLE reader LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader");
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("a.yaml");
    let config = "upstreams: {b: 127.0.0.1:1}\nroutes: [{path: /}]\ndashboard: {read_only: true}\n";
    std::fs::write(&file, config).expect("written");
    let file = file.to_string_lossy();
    for action in ["migrate", "seed"] {
        let (code, _, stderr) = dashboard(&url, &[action, "--config", &file]).await;
        assert!(code == Some(1) && stderr.contains("read_only"), "{action}: {stderr}");
    }
    let url = server.url_as("reader", "app");
    assert_eq!(
        told(&url, &["migrate", "--dry-run", "--config", &file]).await["steps"],
        Value::from(Vec::<Value>::new())
    );
    assert!(told(&url, &["indexes", "--config", &file]).await["indexes"].as_array().is_some());
    let (code, _, stderr) = dashboard(&url, &["migrate"]).await;
    assert!(code == Some(1) && stderr.contains("permission denied"), "{stderr}");
}
