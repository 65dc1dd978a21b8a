//! `tidegate cache warm`: fills the cache of a running instance before clients ask, through its admin listener.

use std::time::Duration;

use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::client::{AskFailure, Client, segment};
use crate::app::output::complain;
use crate::app::table::table;

/// Between two looks at a job that is followed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Options of `cache warm`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WarmArgs {
    /// A job of the configuration
    #[arg(long, value_name = "NAME", conflicts_with_all = ["identities", "concurrency", "paths"], required_unless_present = "paths")]
    pub job: Option<String>,
    /// On whose behalf, by a name of `cache.warm.identities`; may be repeated. Without it all of them
    #[arg(long = "identity", value_name = "NAME")]
    pub identities: Vec<String>,
    /// Requests under way at once
    #[arg(long, value_name = "COUNT")]
    pub concurrency: Option<usize>,
    /// Paths, with ?query
    pub paths: Vec<String>,
    /// Wait until it is done, and say what came of it; exit code 1 when something failed
    #[arg(long)]
    pub follow: bool,
}

/// Why the cache was not warmed.
#[derive(Debug, thiserror::Error)]
pub enum WarmFailure {
    /// The instance did not answer, or refused.
    #[error(transparent)]
    Ask(#[from] AskFailure),
    /// Its answer has another shape than this version knows.
    #[error("the answer is not understood: {0}; is the instance of another version?")]
    Shape(#[from] serde_json::Error),
    /// Some requests came to nothing.
    #[error("{failed} of {items} requests failed:\n{rows}")]
    Failed {
        /// How many.
        failed: usize,
        /// Of how many.
        items: usize,
        /// Which.
        rows: String,
    },
}

#[derive(Debug, Deserialize)]
struct Taken {
    id: String,
    items: usize,
}

#[derive(Debug, Deserialize)]
struct Job {
    state: String,
    items: usize,
    done: usize,
    stored: usize,
    fresh: usize,
    unstored: usize,
    failed: usize,
    pause_ms: u64,
    results: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    identity: Option<String>,
    path: String,
    result: Option<String>,
    status: Option<u16>,
    detail: Option<String>,
    ms: Option<u64>,
}

/// Orders it, follows it where that is asked for, and returns what to print.
///
/// # Errors
/// [`WarmFailure`].
pub async fn run(client: &Client, args: &WarmArgs, is_json: bool) -> Result<String, WarmFailure> {
    let answer = client.ask(Method::POST, "/api/v1/cache/warm", Some(&wanted(args))).await?;
    let taken: Taken = serde_json::from_value(answer.clone())?;
    if !args.follow {
        let Taken { id, items } = taken;
        let told = format!("{items} requests are made in the background, as {id}\n");
        return Ok(if is_json { format!("{answer:#}\n") } else { told });
    }
    let path = format!("/api/v1/cache/warm/{}", segment(&taken.id));
    let mut told = String::new();
    loop {
        let answer = client.ask(Method::GET, &path, None).await?;
        let job: Job = serde_json::from_value(answer.clone())?;
        if job.state == "done" {
            return ended(&job, is_json.then_some(&answer));
        }
        let now = progress(&job);
        if now != told {
            complain(&now);
            told = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn wanted(args: &WarmArgs) -> Value {
    if let Some(job) = &args.job {
        return json!({ "job": job });
    }
    let mut wanted = json!({ "paths": args.paths, "identities": "all" });
    if let Value::Object(members) = &mut wanted {
        if !args.identities.is_empty() {
            members.insert("identities".to_owned(), json!(args.identities));
        }
        if let Some(concurrency) = args.concurrency {
            members.insert("concurrency".to_owned(), json!(concurrency));
        }
    }
    wanted
}

fn progress(job: &Job) -> String {
    let slow =
        if job.pause_ms > 0 { format!(", slowed down to one in {} ms", job.pause_ms) } else { String::new() };
    format!("{} of {} requests made{slow}", job.done, job.items)
}

fn ended(job: &Job, json: Option<&Value>) -> Result<String, WarmFailure> {
    let Job { items, stored, fresh, unstored, failed, .. } = *job;
    if failed > 0 {
        return Err(WarmFailure::Failed { failed, items, rows: rows(job, &["failed"]) });
    }
    if let Some(json) = json {
        return Ok(format!("{json:#}\n"));
    }
    let told = format!("{items} requests: {stored} stored, {fresh} fresh already, {unstored} not stored\n");
    Ok(if unstored > 0 { format!("{told}{}", rows(job, &["unstored"])) } else { told })
}

fn rows(job: &Job, results: &[&str]) -> String {
    let shown =
        job.results.iter().filter(|row| row.result.as_deref().is_some_and(|word| results.contains(&word)));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |row: &Row| {
        vec![
            or_dash(row.identity.clone()),
            row.path.clone(),
            or_dash(row.status.map(|status| status.to_string())),
            or_dash(row.ms.map(|ms| ms.to_string())),
            or_dash(row.detail.clone()),
        ]
    };
    let rows: Vec<Vec<String>> = shown.map(row).collect();
    table(&["IDENTITY", "PATH", "STATUS", "MS", "WHY"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(rows: &Value, tally: [usize; 5]) -> Job {
        let [items, stored, fresh, unstored, failed] = tally;
        let job = json!({
            "state": "done", "items": items, "done": items, "stored": stored, "fresh": fresh,
            "unstored": unstored, "failed": failed, "pause_ms": 0, "results": rows,
        });
        serde_json::from_value(job).expect("the shape")
    }

    #[test]
    fn what_was_not_stored_is_listed_with_the_reason() {
        let rows = json!([
            {"identity": "acme", "path": "/a", "result": "stored", "status": 200, "cache": "MISS", "detail": null, "ms": 3},
            {"identity": null, "path": "/b", "result": "unstored", "status": 200, "cache": "MISS", "detail": "set-cookie", "ms": 4},
        ]);
        assert_eq!(
            ended(&job(&rows, [2, 1, 0, 1, 0]), None).expect("nothing failed"),
            "2 requests: 1 stored, 0 fresh already, 1 not stored\n\
             IDENTITY  PATH  STATUS  MS  WHY\n-         /b    200     4   set-cookie\n"
        );
    }

    #[test]
    fn failures_end_with_an_error_that_names_them() {
        let rows = json!([
            {"identity": "acme", "path": "/a", "result": "failed", "status": 502, "cache": null, "detail": null, "ms": 3},
            {"identity": "b", "path": "/a", "result": null, "status": null, "cache": null, "detail": null, "ms": null},
        ]);
        let failure = ended(&job(&rows, [2, 0, 0, 0, 1]), None).expect_err("one failed").to_string();
        assert!(failure.starts_with("1 of 2 requests failed:\n") && failure.contains("acme"), "{failure}");
    }

    #[test]
    fn a_list_is_for_everybody_unless_somebody_is_named() {
        let args = |identities: &[&str]| WarmArgs {
            job: None,
            identities: identities.iter().map(ToString::to_string).collect(),
            concurrency: Some(3),
            paths: vec!["/a".to_owned()],
            follow: false,
        };
        assert_eq!(wanted(&args(&[])), json!({"paths": ["/a"], "identities": "all", "concurrency": 3}));
        assert_eq!(wanted(&args(&["acme"]))["identities"], json!(["acme"]));
    }
}
