//! What one instance of several does, and how far it has come: rows that outlive whoever wrote them.

use crate::companion::data::database::Database;
use crate::companion::data::fault::DatabaseFault;
use crate::companion::data::row::{Arg, Ask, dialects};
use std::time::Duration;

impl Database {
    /// Takes the work `name` for `ttl`, or keeps it for that long. `false` while another holder has it. Whoever is killed
    /// loses it when that time is over, by the database's clock; so take it again before it is.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    ///
    /// Cancel safety: a dropped call may have taken it all the same.
    pub async fn take_lease(&self, name: &str, holder: &str, ttl: Duration) -> Result<bool, DatabaseFault> {
        Ok(!self.rows(&lease(name, holder, ttl)).await?.is_empty())
    }

    /// The day up to which the work `name` is done, as `YYYY-MM-DD`; `None` before its first.
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn mark(&self, name: &str) -> Result<Option<String>, DatabaseFault> {
        self.rows(&mark(name)).await?.first().map_or(Ok(None), |row| row.maybe_text("day"))
    }

    /// The work `name` is done up to `day` (`YYYY-MM-DD`).
    ///
    /// # Errors
    /// [`DatabaseFault`].
    pub async fn set_mark(&self, name: &str, day: &str) -> Result<(), DatabaseFault> {
        self.change(&[mark_set(name, day)]).await
    }
}

/// Every question, by the name of its text.
pub(super) fn asks(day: &str) -> Vec<(&'static str, Ask)> {
    let lease = lease("questions", "nobody", Duration::ZERO);
    vec![("lease", lease), ("mark", mark("questions")), ("mark_set", mark_set("questions", day))]
}

fn lease(name: &str, holder: &str, ttl: Duration) -> Ask {
    let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX / 2_000);
    let args = vec![Arg::Text(name.to_owned()), Arg::Text(holder.to_owned()), Arg::Integer(ttl_ms)];
    Ask::new("taking a lease", dialects!("lease"), args)
}

fn mark(name: &str) -> Ask {
    Ask::new("reading a mark", dialects!("mark"), vec![Arg::Text(name.to_owned())])
}

fn mark_set(name: &str, day: &str) -> Ask {
    let args = vec![Arg::Text(name.to_owned()), Arg::Text(day.to_owned())];
    Ask::new("setting a mark", dialects!("mark_set"), args)
}
