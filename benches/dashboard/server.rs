//! A PostgreSQL of our own, as the tests start theirs.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "shared with the tests, which stop at the first surprise: without a server there is no bench"
)]

#[expect(dead_code, reason = "sessions and other users are for `tests/it`")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "children are only started and ended")]
#[path = "../../tests/it/support/process.rs"]
mod process;
#[expect(dead_code, reason = "time-outs are for the tests")]
#[path = "../../tests/it/support/wait.rs"]
mod wait;

pub(crate) use postgres::Postgres;
