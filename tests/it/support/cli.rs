//! `redis-cli`, for one command at a time.

use std::process::Command;

/// The reply of the server on `port` to one command, as `redis-cli` prints it; empty when nobody listens.
pub(crate) fn ask(port: u16, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output();
    let output = output.expect("redis-cli comes with redis-server");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
