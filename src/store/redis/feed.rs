//! The feed: short messages from each instance to all, over Redis Pub/Sub. A message may be lost; that one may have been
//! is always told.
//!
//! The subscription has a socket of its own. It counts as live only while a message that this instance sends to itself
//! comes back: an open socket proves nothing about a server that is cut off from the others, hung, or not the primary any
//! more. The first echo also proves that Redis has taken the subscription, which fred does not wait for. A socket that
//! fails is given up, and the next one goes to another node or asks another sentinel.

use crate::store::StoreFailure;
use crate::store::redis::Connection;
use crate::store::redis::dial::{Event as Change, Line};
use crate::store::redis::link::CONNECT_LOOK;
use fred::clients::Client;
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Message;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Between two echoes, and how long each may take.
const ECHO_EVERY: Duration = Duration::from_secs(1);

/// How long a socket may take until its first echo: connecting, TLS, a sentinel that hangs.
const BEGIN_MAX: Duration = Duration::from_secs(3);

/// Between two sockets.
const PAUSE: Duration = Duration::from_millis(200);

/// What the feed has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody has published this; it may have been this instance.
    Message(String),
    /// From now on messages arrive. Any number of them may have been missed before.
    Live,
    /// From now on messages are missed.
    Lost,
}

/// The channel on which instances under `prefix` tell each other.
pub(super) fn channel(prefix: &str) -> String {
    format!("{prefix}feed")
}

/// The feed of one store. Clones share it.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    /// Everybody's.
    channel: String,
    /// Only this instance listens there.
    own: String,
    is_live: AtomicBool,
    turn: AtomicUsize,
}

impl Feed {
    /// Subscribes to `{prefix}feed` at the Redis of `connection`, and keeps at it until its tasks are told to stop;
    /// returns at once. `handler` is called in order, from one task: it must neither block nor take long.
    #[must_use]
    pub fn open(connection: Connection, handler: impl Fn(Event) + Send + Sync + 'static) -> Self {
        let prefix = &connection.around().prefix;
        let (channel, own) = (channel(prefix), format!("{prefix}feed:{:032x}", rand::random::<u128>()));
        let (is_live, turn) = (AtomicBool::new(false), AtomicUsize::new(0));
        let feed = Self { inner: Arc::new(Inner { connection, channel, own, is_live, turn }) };
        let inner = Arc::clone(&feed.inner);
        let tasks = feed.inner.connection.around().tasks.clone();
        tasks.spawn_until_stop("feed", async move { inner.keep(&handler).await });
        feed
    }

    /// Do messages arrive now, as far as is known? Turns false at once when the connection is lost, and within two
    /// seconds when it fell silent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.inner.is_live.load(Ordering::Acquire)
    }

    /// Tells all instances, this one included. That the call succeeds does not say that anybody heard it.
    ///
    /// # Errors
    /// [`StoreFailure`].
    pub async fn publish(&self, message: &str) -> Result<(), StoreFailure> {
        self.inner.publish(&self.inner.channel, message).await
    }
}

impl Inner {
    async fn publish(&self, channel: &str, message: &str) -> Result<(), StoreFailure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let publish = async |client: Client| client.publish::<i64, _, _>(channel, message).await;
        self.connection.call_anyone("publish", turn, publish).await.map(|_heard_by| ())
    }

    /// One socket after the other; never ends.
    async fn keep(&self, handler: &impl Fn(Event)) {
        let mut turn = 0_usize;
        loop {
            match self.connection.dial(turn) {
                Ok((client, line)) => self.follow(&client, line, handler).await,
                Err(error) => tracing::debug!(reason = error.details(), "feed not dialled"),
            }
            self.tell(false, handler);
            turn = turn.wrapping_add(1);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Says that the feed is live or not, if that is news.
    fn tell(&self, is_live: bool, handler: &impl Fn(Event)) {
        if self.is_live.swap(is_live, Ordering::AcqRel) != is_live {
            handler(if is_live { Event::Live } else { Event::Lost });
        }
    }

    /// Hands on what arrives at one socket, until it fails.
    async fn follow(&self, client: &Client, mut line: Line, handler: &impl Fn(Event)) {
        let mut messages = client.message_rx();
        let subscribe = async {
            if let Change::Failed(error) = line.next().await {
                tracing::debug!(reason = error.details(), "feed not connected");
                return false;
            }
            // fred tells of the socket a moment before it takes commands.
            while !client.is_connected() {
                tokio::time::sleep(CONNECT_LOOK).await;
            }
            client.subscribe(vec![self.channel.as_str(), self.own.as_str()]).await.is_ok()
        };
        if !matches!(tokio::time::timeout(BEGIN_MAX, subscribe).await, Ok(true)) {
            return;
        }
        let listen = self.listen(&mut messages, handler);
        tokio::select! {
            () = listen => {}
            // Connected or failed: in both cases the subscription of before is no more.
            _ = line.next() => {}
        }
    }

    /// Until an echo is missing.
    async fn listen(&self, messages: &mut Receiver<Message>, handler: &impl Fn(Event)) {
        let mut number = 0_u64;
        loop {
            number = number.saturating_add(1);
            let echo = number.to_string();
            let sent = pin!(self.publish(&self.own, &echo));
            let round = self.hear(messages, handler, &echo, sent);
            if !tokio::time::timeout(ECHO_EVERY, round).await.unwrap_or(false) {
                return;
            }
            self.tell(true, handler);
            // Waits for the next round and goes on listening meanwhile.
            let nothing = pin!(std::future::pending());
            let pause = self.hear(messages, handler, "", nothing);
            if let Ok(false) = tokio::time::timeout(ECHO_EVERY, pause).await {
                return;
            }
        }
    }

    /// Hands on messages until `echo` has come back; `false`: it could not be `sent`, or nothing comes any more.
    async fn hear(
        &self,
        messages: &mut Receiver<Message>,
        handler: &impl Fn(Event),
        echo: &str,
        mut sent: Pin<&mut impl Future<Output = Result<(), StoreFailure>>>,
    ) -> bool {
        let mut is_sent = false;
        loop {
            let message = tokio::select! {
                biased;
                message = messages.recv() => message,
                result = sent.as_mut(), if !is_sent => match result {
                    Ok(()) => {
                        is_sent = true;
                        continue;
                    }
                    Err(_failure) => return false,
                },
            };
            match message {
                Ok(message) if *message.channel == *self.own => {
                    if message.value.as_str().as_deref() == Some(echo) {
                        return true;
                    }
                }
                Ok(message) => {
                    if let Some(text) = message.value.as_string() {
                        handler(Event::Message(text));
                    }
                }
                Err(RecvError::Lagged(_)) => {
                    self.tell(false, handler);
                    self.tell(true, handler);
                }
                Err(RecvError::Closed) => return false,
            }
        }
    }
}

#[cfg(test)]
#[path = "feed_tests.rs"]
mod tests;
