//! `tidegate demo`: the proxy in front of a sample backend and the companion, in memory, with tokens to try it.

pub mod backend;
#[cfg(feature = "companion")]
mod dashboard;
pub mod guide;
pub mod token;

use std::net::{Ipv4Addr, SocketAddr};

use crate::app::cli::DemoArgs;
use crate::app::origin::Origin;
use crate::app::output::data;
use crate::app::run::{Listening, run as run_proxy};
use crate::app::signals::{Order, Signals};
use crate::base::{Clock, SystemClock};
use crate::telemetry::Logging;

/// Runs backend, companion and proxy until a signal says stop. Needs no file, no environment and no Redis.
///
/// # Errors
/// As the proxy's and the companion's; and when the backend finds no port.
pub async fn run(args: &DemoArgs, logging: &Logging) -> anyhow::Result<()> {
    let secret = token::random_secret();
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let backend = listener.local_addr()?;
    // From here on no signal ends it before what it has made is gone again.
    let mut signals = Signals::install()?;
    let dashboard = tokio::select! {
        opened = Dashboard::open(&secret, logging) => opened?,
        () = stop(&mut signals) => return Ok(()),
    };
    let tokens = guide::Tokens::issue(&secret, dashboard.tenants(), SystemClock::new().wall_ms() / 1_000);
    let places = guide::Places {
        listen: args.listen,
        admin: args.admin,
        backend,
        dashboard: dashboard.address().unwrap_or(backend),
        secret: &secret,
    };
    let origin = Origin::text("demo.yaml", guide::configuration(places));
    let has_dashboard = dashboard.address().is_some();
    let (gateway, admin) = tokio::sync::oneshot::channel();
    let show = |at: &Listening| {
        // Where the admin listener is, is known only now.
        gateway.send(at.admin).ok();
        let http = at.http.first().copied().unwrap_or(args.listen);
        let at = guide::Addresses { http, admin: at.admin, backend, has_dashboard };
        // A closed stdout is no reason not to serve.
        drop(data(&if args.json { guide::json(at, &tokens) } else { guide::text(at, &tokens) }));
    };
    tokio::select! {
        ended = run_proxy(origin, logging, show) => Ok(ended?),
        failed = backend::serve(listener) => Ok(failed?),
        () = dashboard.serve(admin) => anyhow::bail!("the dashboard ended by itself"),
    }
}

async fn stop(signals: &mut Signals) {
    while signals.next().await != Order::Stop {}
}

#[cfg(feature = "companion")]
use dashboard::Dashboard;

/// Stands where the companion would be.
#[cfg(not(feature = "companion"))]
struct Dashboard;

#[cfg(not(feature = "companion"))]
impl Dashboard {
    #[expect(clippy::unused_async, reason = "the same face as with the companion")]
    async fn open(_: &crate::base::Secret, _: &Logging) -> anyhow::Result<Self> {
        Ok(Self)
    }

    fn tenants(&self) -> [&str; 2] {
        guide::TENANTS
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    async fn serve(self, _: tokio::sync::oneshot::Receiver<SocketAddr>) {
        std::future::pending::<()>().await;
    }
}
