//! `tidegate demo`: the proxy in front of a sample backend, in memory, with tokens to try it.

pub mod backend;
pub mod guide;
pub mod token;

use std::net::{Ipv4Addr, SocketAddr};

use crate::app::cli::DemoArgs;
use crate::app::origin::Origin;
use crate::app::output::data;
use crate::app::run::{Listening, run as run_proxy};
use crate::base::{Clock, SystemClock};
use crate::telemetry::Logging;

/// Runs backend and proxy until a signal says stop. Needs no file, no environment and no Redis.
///
/// # Errors
/// As the proxy's; and when the backend finds no port.
pub async fn run(args: &DemoArgs, logging: &Logging) -> anyhow::Result<()> {
    let secret = token::random_secret();
    let tokens = guide::Tokens::issue(&secret, SystemClock::new().wall_ms() / 1_000);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let backend = listener.local_addr()?;
    let places = guide::Places { listen: args.listen, admin: args.admin, backend, secret: &secret };
    let origin = Origin::text("demo.yaml", guide::configuration(places));
    let show = |at: &Listening| {
        let http = at.http.first().copied().unwrap_or(args.listen);
        let at = guide::Addresses { http, admin: at.admin, backend };
        // A closed stdout is no reason not to serve.
        drop(data(&if args.json { guide::json(at, &tokens) } else { guide::text(at, &tokens) }));
    };
    tokio::select! {
        ended = run_proxy(origin, logging, show) => Ok(ended?),
        failed = backend::serve(listener) => Ok(failed?),
    }
}
