//! Exports on both engines: rows at one moment, and jobs that several workers take from each other.

use crate::base::calendar::DAY_US;
use crate::companion::data::activity::FeedPosition;
use crate::companion::data::row::{Arg, Ask};
use crate::companion::data::testing::{NOW_US, Place, Postgres, SEED, filled, sqlite};
use crate::companion::data::{
    Activity, Database, ExportBounds, ExportFile, ExportJob, ExportStatus, Inserted, NewExport, RowsAsked,
    UserRow, UsersPosition,
};
use std::time::Duration;

const ALL: RowsAsked = RowsAsked { since_us: 0, until_us: NOW_US + 1 };
/// Bytes of a tenant's files, where they are not what it is about.
const ROOM: u64 = 1 << 30;
const SILENT: Duration = Duration::from_secs(10);

/// The same test on both engines.
async fn on_both(test: impl AsyncFn(&Database)) {
    let server = Postgres::start().await;
    let postgres = filled(&server.database("app"), &SEED).await;
    test(&postgres).await;
    postgres.close().await;
    let Place { database, folder } = sqlite(&SEED).await;
    test(&database).await;
    drop(folder);
}

async fn texts(database: &Database, sql: &'static str, args: Vec<Arg>) -> Vec<String> {
    let rows = database.rows(&Ask::new("a test", (sql, sql), args)).await.expect("an answer");
    rows.iter().map(|row| row.text("it").expect("a text")).collect()
}

async fn tenants(database: &Database) -> Vec<String> {
    texts(database, "SELECT CAST(id AS text) AS it FROM organizations ORDER BY slug", vec![]).await
}

async fn users(database: &Database, tenant: &str, asked: RowsAsked, chunk: usize) -> Vec<UserRow> {
    let mut moment = database.moment().await.expect("a moment");
    let mut all: Vec<UserRow> = Vec::new();
    loop {
        let after =
            all.last().map(|user| UsersPosition { created_at_us: user.created_at_us, id: user.id.clone() });
        let rows = moment.users(tenant, asked, after.as_ref()).await.expect("users");
        // As if a chunk had so many rows: every place among them is one to go on from.
        let some: Vec<UserRow> = rows.into_iter().take(chunk).collect();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

async fn activity(database: &Database, tenant: &str, chunk: usize) -> Vec<Activity> {
    let mut moment = database.moment().await.expect("a moment");
    let mut all: Vec<Activity> = Vec::new();
    loop {
        let after = all.last().map(|item| FeedPosition { occurred_at_us: item.occurred_at_us, id: item.id });
        let rows = moment.activity(tenant, ALL, after).await.expect("activity");
        let some: Vec<Activity> = rows.into_iter().take(chunk).collect();
        if some.is_empty() {
            return all;
        }
        all.extend(some);
    }
}

#[tokio::test]
async fn chunks_give_every_row_of_the_tenant_once_and_of_nobody_else() {
    on_both(async |database| {
        for tenant in tenants(database).await {
            let ids = |sql| texts(database, sql, vec![Arg::Text(tenant.clone())]);
            let mut expected = ids("SELECT CAST(id AS text) AS it FROM users \
                WHERE CAST(organization_id AS text) = $1 AND deleted_at IS NULL")
            .await;
            let rows = users(database, &tenant, ALL, 7).await;
            assert!(rows.is_sorted_by_key(|user| std::cmp::Reverse(user.created_at_us)));
            let count = database.count_users(&tenant, ALL, 1_000).await.expect("a count");
            assert_eq!(usize::try_from(count), Ok(rows.len()));
            assert_eq!(
                database.count_users(&tenant, ALL, 3).await.expect("a count"),
                3,
                "no more than asked for"
            );
            let mut told: Vec<String> = rows.into_iter().map(|user| user.id).collect();
            told.sort();
            expected.sort();
            assert_eq!(told, expected);
            let mut expected = ids(
                "SELECT CAST(id AS text) AS it FROM activity_log WHERE CAST(organization_id AS text) = $1",
            )
            .await;
            let rows = activity(database, &tenant, 29).await;
            let count = database.count_activity(&tenant, ALL, 100_000).await.expect("a count");
            assert_eq!(usize::try_from(count), Ok(rows.len()));
            let mut told: Vec<String> = rows.into_iter().map(|item| item.id.to_string()).collect();
            told.sort();
            expected.sort();
            assert_eq!(told, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn users_of_the_same_moment_and_a_span_are_told_in_the_same_order() {
    let server = Postgres::start().await;
    let postgres = filled(&server.database("app"), &SEED).await;
    let sqlite = sqlite(&SEED).await;
    let all = tenants(&postgres).await;
    let same =
        ("UPDATE users SET created_at = to_timestamp($1 / 1000000.0)", "UPDATE users SET created_at = ?1");
    let mut told = Vec::new();
    for database in [&postgres, &sqlite.database] {
        let span = RowsAsked { since_us: NOW_US - 20 * DAY_US, until_us: NOW_US - DAY_US };
        let before = users(database, &all[0], span, 3).await;
        assert!(before.iter().all(|user| (span.since_us..span.until_us).contains(&user.created_at_us)));
        let at_once = Ask::new("a test", same, vec![Arg::Integer(NOW_US)]);
        database.change(&[at_once]).await.expect("changed");
        let until = RowsAsked { since_us: NOW_US, until_us: NOW_US };
        assert_eq!(users(database, &all[0], until, 3).await, Vec::new(), "the end is no part of it");
        told.push((before, users(database, &all[0], ALL, 3).await));
    }
    assert!(!told[0].0.is_empty() && told[0].1.len() > 3 && told[0] == told[1]);
    postgres.close().await;
}

#[tokio::test]
async fn a_moment_sees_nothing_of_what_is_written_meanwhile() {
    on_both(async |database| {
        let tenant = tenants(database).await.swap_remove(0);
        let mut moment = database.moment().await.expect("a moment");
        let before = moment.activity(&tenant, ALL, None).await.expect("activity");
        let insert = (
            "INSERT INTO activity_log (organization_id, activity_type, summary, created_at) \
                VALUES ($1::uuid, 'login', 'new', to_timestamp($2 / 1000000.0))",
            "INSERT INTO activity_log (organization_id, activity_type, summary, created_at) VALUES (?1, 'login', 'new', ?2)",
        );
        let args = vec![Arg::Text(tenant.clone()), Arg::Integer(NOW_US)];
        database.change(&[Ask::new("a test", insert, args)]).await.expect("it is written");
        assert_eq!(moment.activity(&tenant, ALL, None).await.expect("activity"), before);
        drop(moment);
        let mut moment = database.moment().await.expect("a moment");
        let after = moment.activity(&tenant, ALL, None).await.expect("activity");
        assert_eq!(after.len(), before.len() + 1);
    })
    .await;
}

/// So many under way, and no want of room.
fn at_once(under_way: u32) -> ExportBounds {
    ExportBounds { under_way, files: 100, bytes: ROOM }
}

fn new(id: &str, tenant: &str) -> NewExport {
    NewExport {
        id: id.to_owned(),
        tenant: tenant.to_owned(),
        user: "ada".to_owned(),
        format: "csv",
        request: "{}".to_owned(),
        request_digest: "d".to_owned(),
        once: None,
        rows: 5,
        worker: None,
    }
}

async fn inserted(database: &Database, new: &NewExport) -> ExportJob {
    match database.insert_export(new, at_once(100)).await.expect("it is kept") {
        Inserted::New(job) => job,
        other => panic!("{other:?}"),
    }
}

fn file(job: &ExportJob) -> ExportFile {
    ExportFile { name: format!("{}.csv", job.id), rows: 5, bytes: 50, sha256: "ab".to_owned() }
}

#[tokio::test]
async fn a_job_is_taken_by_one_worker_in_the_order_of_asking_and_goes_its_way() {
    on_both(async |database| {
        let ids = ["a", "b", "c"];
        for id in ids {
            inserted(database, &new(id, "acme")).await;
        }
        let claim = |worker: &'static str| database.claim_export(worker, 3, SILENT);
        let (one, two, three, four) = tokio::join!(claim("x"), claim("y"), claim("z"), claim("w"));
        let mut taken: Vec<String> = [one, two, three, four]
            .into_iter()
            .filter_map(|job| job.expect("an answer"))
            .map(|job| job.id)
            .collect();
        taken.sort();
        assert_eq!(taken, ids, "each once, and the fourth worker none");
        let job = database.export("acme", "a").await.expect("an answer").expect("there");
        assert_eq!((job.status, job.tries, job.progress), (ExportStatus::Running, 1, 0));
        for (told, expected) in [(40, 40), (10, 40), (100, 99)] {
            let beaten = database.beat_export(&job, told).await.expect("an answer").expect("ours");
            assert_eq!(beaten.progress, expected, "never less, and all of it only with the file");
        }
        let done = database.finish_export(&job, &file(&job), (Duration::from_secs(60), ROOM)).await;
        let done = done.expect("an answer").expect("ours");
        assert_eq!((done.status, done.progress, done.rows), (ExportStatus::Done, 100, Some(5)));
        assert!(done.expires_at_us.is_some_and(|at| at > done.created_at_us + 59_000_000));
        assert_eq!(database.beat_export(&job, 50).await.expect("an answer"), None, "it is over");
        assert_eq!(database.export("other", "a").await.expect("an answer"), None, "of another tenant");
    })
    .await;
}

#[tokio::test]
async fn a_silent_workers_job_is_taken_up_by_another_and_given_up_in_the_end() {
    on_both(async |database| {
        inserted(database, &new("a", "acme")).await;
        let claim = async |silent| database.claim_export("w", 3, silent).await.expect("an answer");
        let first = claim(SILENT).await.expect("the job");
        assert_eq!(claim(SILENT).await, None, "its worker was just heard of");
        let none = Duration::ZERO;
        let second = claim(none).await.expect("the job");
        assert_eq!((second.id.as_str(), second.tries), ("a", 2));
        assert_eq!(
            database.beat_export(&first, 90).await.expect("an answer"),
            None,
            "the first is told to stop"
        );
        let late = database.finish_export(&first, &file(&first), (SILENT, ROOM)).await.expect("an answer");
        assert_eq!(late, None, "what it has made counts no longer");
        assert!(database.beat_export(&second, 10).await.expect("an answer").is_some());
        let third = claim(none).await.expect("the job");
        assert_eq!((third.tries, claim(none).await), (3, None), "not for ever");
        let ended = database.end_exports(3, SILENT, (SILENT, "given up")).await.expect("an answer");
        assert_eq!(ended.iter().filter(|job| job.tenant == "acme").count(), 0);
        let job = database.export("acme", "a").await.expect("an answer").expect("there");
        assert_eq!(job.status, ExportStatus::Running, "the third may still be at it");
        database.end_exports(3, none, (SILENT, "given up")).await.expect("an answer");
        let job = database.export("acme", "a").await.expect("an answer").expect("there");
        assert_eq!((job.status, job.error.as_deref()), (ExportStatus::Failed, Some("given up")));
    })
    .await;
}

#[tokio::test]
async fn a_tenant_has_no_more_under_way_than_it_may_however_many_ask_at_once() {
    on_both(async |database| {
        let ask = async |id: &'static str, tenant: &'static str| {
            database.insert_export(&new(id, tenant), at_once(2)).await.expect("an answer")
        };
        let (a, b, c, d, e) = tokio::join!(
            ask("a", "acme"),
            ask("b", "acme"),
            ask("c", "acme"),
            ask("d", "acme"),
            ask("e", "other")
        );
        let is_new = |inserted: &Inserted| matches!(inserted, Inserted::New(_));
        assert_eq!([&a, &b, &c, &d].into_iter().filter(|one| is_new(one)).count(), 2);
        assert!(is_new(&e), "another tenant has places of its own");
        let job = database.claim_export("w", 3, SILENT).await.expect("an answer").expect("a job");
        assert_eq!(
            database.insert_export(&new("f", "acme"), at_once(2)).await.expect("an answer"),
            Inserted::Full
        );
        database.leave_export(&job, ExportStatus::Failed, Some("why")).await.expect("left");
        let place =
            database.insert_export(&new("g", job.tenant.as_str()), at_once(2)).await.expect("an answer");
        assert!(is_new(&place), "one that is over makes room: {place:?}");
    })
    .await;
}

#[tokio::test]
async fn the_same_key_finds_the_same_export_until_it_is_over() {
    on_both(async |database| {
        let with_key = |id: &str| NewExport { once: Some("key".to_owned()), ..new(id, "acme") };
        let (b, c) = (with_key("b"), with_key("c"));
        let (one, two) =
            tokio::join!(database.insert_export(&b, at_once(1)), database.insert_export(&c, at_once(1)));
        let (one, two) = (one.expect("an answer"), two.expect("an answer"));
        let (new, known) = if matches!(one, Inserted::New(_)) { (one, two) } else { (two, one) };
        let (Inserted::New(new), Inserted::Known(known)) = (new, known) else { panic!("one of each") };
        assert_eq!(new.id, known.id);
        let job = database.claim_export("w", 3, SILENT).await.expect("an answer").expect("a job");
        database.finish_export(&job, &file(&job), (Duration::from_millis(1), ROOM)).await.expect("done");
        // Nobody has come by to say that it is expired, and still the key is free.
        while matches!(
            database.insert_export(&with_key("d"), at_once(1)).await.expect("an answer"),
            Inserted::Known(job) if job.id == new.id
        ) {}
        let job = database.export("acme", "d").await.expect("an answer").expect("a new one");
        assert_eq!(job.status, ExportStatus::Queued);
    })
    .await;
}

#[tokio::test]
async fn what_nobody_wants_any_longer_ends_and_files_go_when_their_time_is_over() {
    on_both(async |database| {
        inserted(database, &new("waits", "acme")).await;
        let cancelled = database.cancel_export("other", "waits").await.expect("an answer");
        assert_eq!(cancelled, None, "not by another tenant");
        let cancelled = database.cancel_export("acme", "waits").await.expect("an answer").expect("there");
        assert_eq!(cancelled.status, ExportStatus::Cancelled);
        assert_eq!(database.claim_export("w", 3, SILENT).await.expect("an answer"), None);
        assert_eq!(database.cancel_export("acme", "waits").await.expect("an answer"), None, "it is over");

        inserted(database, &NewExport { worker: Some("w".to_owned()), ..new("runs", "acme") }).await;
        let running = database.cancel_export("acme", "runs").await.expect("an answer").expect("there");
        assert_eq!((running.status, running.tries), (ExportStatus::Running, 1));
        let beaten = database.beat_export(&running, 5).await.expect("an answer").expect("ours");
        assert!(beaten.is_cancelled, "the worker is told");
        let done =
            database.finish_export(&running, &file(&running), (SILENT, ROOM)).await.expect("an answer");
        assert_eq!(done, None, "too late for a file");
        let left = database.leave_export(&running, ExportStatus::Cancelled, None).await.expect("an answer");
        assert_eq!(left.map(|job| job.status), Some(ExportStatus::Cancelled));

        inserted(database, &new("kept", "acme")).await;
        let job = database.claim_export("w", 3, SILENT).await.expect("an answer").expect("a job");
        database.finish_export(&job, &file(&job), (Duration::ZERO, ROOM)).await.expect("done");
        let ended = database.end_exports(3, SILENT, (SILENT, "")).await.expect("an answer");
        assert!(ended.iter().any(|job| job.file.as_deref() == Some("kept.csv")), "{ended:?}");
        let ids = ["kept", "waits", "nobody"].map(str::to_owned).to_vec();
        let known = database.exports_among(ids.clone()).await.expect("an answer");
        assert_eq!(known.len(), 2);
        assert!(known.iter().any(|job| job.status == ExportStatus::Expired));
        database.end_exports(3, SILENT, (Duration::ZERO, "")).await.expect("an answer");
        assert_eq!(database.exports_among(ids).await.expect("an answer"), Vec::new(), "forgotten");
    })
    .await;
}

#[tokio::test]
async fn a_key_and_a_full_house_are_known_before_anything_is_counted() {
    on_both(async |database| {
        let place = async |once: Option<&str>, most| {
            database.export_place("acme", once, at_once(most)).await.expect("an answer")
        };
        assert_eq!(place(Some("key"), 1).await, None);
        let job = inserted(database, &NewExport { once: Some("key".to_owned()), ..new("a", "acme") }).await;
        assert_eq!(place(Some("key"), 1).await, Some(Inserted::Known(job)));
        assert_eq!(place(Some("another"), 1).await, Some(Inserted::Full));
        assert_eq!((place(None, 1).await, place(None, 2).await), (Some(Inserted::Full), None));
        let other = database.export_place("other", Some("key"), at_once(1)).await.expect("an answer");
        assert_eq!(other, None, "of another tenant");
        let job = database.claim_export("w", 3, SILENT).await.expect("an answer").expect("a job");
        database.finish_export(&job, &file(&job), (Duration::from_secs(60), ROOM)).await.expect("done");
        assert!(matches!(place(Some("key"), 1).await, Some(Inserted::Known(_))), "its file is there");
        assert_eq!(place(None, 1).await, None, "what is over takes no place");
        database.cancel_export("acme", "a").await.expect("an answer");
        assert_eq!(place(Some("key"), 1).await, None, "nor a key");
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_was_given_back_counts_for_nothing_and_the_next_begins_at_once() {
    on_both(async |database| {
        inserted(database, &new("a", "acme")).await;
        let claim = async || database.claim_export("w", 3, SILENT).await.expect("an answer");
        for _restart in 0..5 {
            let job = claim().await.expect("the job");
            assert_eq!(job.tries, 1);
            let back = database.give_export_back(&job).await.expect("an answer").expect("ours");
            assert_eq!((back.status, back.tries), (ExportStatus::Queued, 0));
            assert_eq!(database.give_export_back(&job).await.expect("an answer"), None, "once only");
        }
        let job = claim().await.expect("the job");
        let another = ExportJob { tries: 2, ..job.clone() };
        assert_eq!(database.give_export_back(&another).await.expect("an answer"), None, "not another's");
        database.cancel_export("acme", "a").await.expect("an answer").expect("there");
        let back = database.give_export_back(&job).await.expect("an answer").expect("ours");
        assert_eq!(back.status, ExportStatus::Cancelled, "nobody wants it any longer");
    })
    .await;
}

#[tokio::test]
async fn finished_files_of_a_tenant_are_so_many_and_take_so_much() {
    on_both(async |database| {
        let most = ExportBounds { under_way: 9, files: 3, bytes: 100 };
        let hour = Duration::from_secs(3_600);
        let running = async |id: &str, tenant: &str| {
            let new = NewExport { worker: Some("w".to_owned()), ..new(id, tenant) };
            match database.insert_export(&new, most).await.expect("an answer") {
                Inserted::New(job) => job,
                other => panic!("{id}: {other:?}"),
            }
        };
        let done = async |job: &ExportJob, bytes: i64, lifetime: Duration| {
            let file = ExportFile { bytes, ..file(job) };
            database.finish_export(job, &file, (lifetime, most.bytes)).await.expect("an answer")
        };
        let place = async |tenant: &str| database.export_place(tenant, None, most).await.expect("an answer");
        let refused = async |tenant: &str| {
            let inserted = database.insert_export(&new("late", tenant), most).await.expect("an answer");
            match (inserted, place(tenant).await) {
                (Inserted::NoSpace { frees_in }, Some(Inserted::NoSpace { .. })) => frees_in,
                other => panic!("{other:?}"),
            }
        };
        let (a, b) = (running("a", "acme").await, running("b", "acme").await);
        // Each fits, and both do not: one of two that end at once does.
        let (one, two) = tokio::join!(done(&a, 60, hour), done(&b, 60, hour));
        assert_eq!([one, two].iter().filter(|job| job.is_some()).count(), 1, "one of two");
        let under_way = if database.export("acme", "a").await.expect("an answer").expect("there").status
            == ExportStatus::Running
        {
            a
        } else {
            b
        };
        assert_eq!(place("acme").await, None, "some is left");
        assert_eq!(done(&under_way, 41, hour).await, None);
        assert!(done(&under_way, 40, hour).await.is_some(), "what is left is taken to its end");
        assert!(refused("acme").await > Duration::from_secs(3_500));
        assert_eq!(place("other").await, None, "another tenant has room of its own");
        database.cancel_export("acme", "a").await.expect("an answer").expect("its file goes");
        running("c", "acme").await;

        for id in ["x", "y", "z"] {
            let job = running(id, "many").await;
            let lifetime = if id == "z" { Duration::from_secs(60) } else { hour };
            done(&job, 1, lifetime).await.expect("it fits");
        }
        assert!(refused("many").await <= Duration::from_secs(60), "the oldest goes first");
        let space = database.export_space("many").await.expect("an answer");
        assert_eq!((space.files, space.bytes), (3, 3));
    })
    .await;
}
