//! A Lua script on the server: named by its digest, sent when the server does not know it.

use bytes::Bytes;
use fred::bytes_utils::Str;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::LuaInterface;
use fred::types::{FromValue, Key, Value};
use fred::util::sha1_hash;

/// A script.
#[derive(Clone)]
pub(super) struct Script {
    text: &'static str,
    digest: Str,
}

impl Script {
    /// The script with this text.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, digest: sha1_hash(text).into() }
    }

    /// Runs it; a server that has forgotten it (restart, SCRIPT FLUSH, failover) is told again, once.
    ///
    /// It is loaded by a command of its own, never by EVAL: a Cluster node that is taking over a slot refuses EVAL
    /// without ASKING, and would stay without the script as long as the slot is on its way.
    ///
    /// # Errors
    /// The server's refusal, or the client's word for a lost connection.
    pub(super) async fn run<T: FromValue>(
        &self,
        client: Client,
        keys: Vec<Key>,
        arguments: Vec<Value>,
    ) -> Result<T, Error> {
        let run = |keys, arguments| client.evalsha::<T, _, _, _>(self.digest.clone(), keys, arguments);
        match run(keys.clone(), arguments.clone()).await {
            Err(error) if error.details().starts_with("NOSCRIPT") => {
                // Boxed: every call would carry the space for what happens once.
                let again = async {
                    drop(client.script_load::<Bytes, _>(self.text).await?);
                    run(keys, arguments).await
                };
                Box::pin(again).await
            }
            answer => answer,
        }
    }

    /// Runs it with its text: for what happens now and then whatever the traffic. `evalsha` in `INFO commandstats` then
    /// counts what requests cause, and nothing else.
    ///
    /// # Errors
    /// As [`Script::run`].
    pub(super) async fn run_text<T: FromValue>(
        &self,
        client: Client,
        keys: Vec<Key>,
        arguments: Vec<Value>,
    ) -> Result<T, Error> {
        client.eval(self.text, keys, arguments).await
    }
}
