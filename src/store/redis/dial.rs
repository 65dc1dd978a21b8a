//! How a client of fred is made: from a URL, with our bounds, with what it has to tell of its connection.

use crate::base::Secret;
use crate::store::StoreFailure;
use crate::store::redis::keyspace::Node;
use fred::clients::Client;
use fred::error::Error;
use fred::interfaces::{ClientLike, EventInterface};
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy, Server, ServerConfig};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

/// Longest wait for a socket with TLS, and for each answer of the handshake.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// Longest pause between two attempts to connect, in milliseconds.
const RECONNECT_MS_MAX: u32 = 1_000;

/// Commands that may wait inside the client; more are refused at once.
const QUEUE_MAX: usize = 10_000;

/// Messages of a subscription that may wait; when full the oldest is lost, and the feed says so.
const MESSAGES_MAX: usize = 1_024;

/// Reads a URL.
///
/// # Errors
/// [`StoreFailure::Refused`] with what is wrong, never with the secret.
pub(super) fn config(url: &Secret) -> Result<Config, StoreFailure> {
    let url = url.expose();
    let is_sentinel = url.split_once("://").is_some_and(|(scheme, _)| scheme.ends_with("-sentinel"));
    if is_sentinel && !url.contains("sentinelServiceName=") {
        let reason = "a URL of sentinels needs `?sentinelServiceName=NAME`, the name under which they watch the primary";
        return Err(StoreFailure::Refused { reason: reason.to_owned() });
    }
    let mut config = Config::from_url(url)
        .map_err(|error| StoreFailure::Refused { reason: error.details().to_owned() })?;
    // Otherwise a server that is down at the start would never be tried again.
    config.fail_fast = false;
    Ok(config)
}

/// The same credentials and TLS for one node of a Cluster.
pub(super) fn config_of(node: &Node, cluster: &Config) -> Config {
    let server = Server::new(node.host.clone(), node.port);
    Config { server: ServerConfig::Centralized { server }, ..cluster.clone() }
}

/// A client that is not yet connected. `turn` says which sentinel is asked first.
///
/// # Errors
/// A configuration that fred refuses.
pub(super) fn client(config: &Config, turn: usize) -> Result<Client, Error> {
    let mut config = config.clone();
    if let ServerConfig::Sentinel { hosts, .. } = &mut config.server
        && !hosts.is_empty()
    {
        let count = hosts.len();
        hosts.rotate_left(turn % count);
    }
    Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 50, RECONNECT_MS_MAX, 2))
        .with_performance_config(|performance| performance.broadcast_channel_capacity = MESSAGES_MAX)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_MAX;
            connection.internal_command_timeout = CONNECT_MAX;
            connection.max_command_attempts = 1;
            connection.max_command_buffer_len = QUEUE_MAX;
            connection.reconnect_on_auth_error = true;
            connection.tcp.nodelay = Some(true);
        })
        .build()
}

/// What a connection has to tell.
pub(super) enum Event {
    /// It failed, or ended.
    Failed(Error),
    /// It is made, or made again.
    Connected,
}

/// The client's own task and what it has to tell; ends with this.
pub(super) struct Line {
    task: JoinHandle<Result<(), Error>>,
    errors: Receiver<(Error, Option<Server>)>,
    reconnects: Receiver<Server>,
}

impl Line {
    /// Begins to connect.
    pub(super) fn begin(client: &Client) -> Self {
        let (errors, reconnects) = (client.error_rx(), client.reconnect_rx());
        Self { task: client.connect(), errors, reconnects }
    }

    /// Has the client given up for good?
    pub(super) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// The next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let event = tokio::select! {
                error = self.errors.recv() => error.map(|(error, _)| Event::Failed(error)),
                server = self.reconnects.recv() => server.map(|_| Event::Connected),
            };
            match event {
                Ok(event) => return event,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}
