//! What the configuration says about the companion's service.

use crate::base::database_settings::DatabaseUrl;
use crate::base::secret::Secret;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The settings of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The time zone of tenants that have none, by its IANA name.
    pub timezone: String,
    /// Admin listeners of gateways, as `HOST:PORT`: what they tell is the system's health.
    pub gateways: Vec<String>,
    /// The bearer token that those ask for.
    pub gateway_token: Option<Secret>,
    /// Roles that may see figures.
    pub readers: Vec<String>,
    /// Roles that may export, and see figures.
    pub exporters: Vec<String>,
    /// What cursors and links to downloads are signed with; `None`: a key that follows from the tokens' secret.
    pub signing_secret: Option<Secret>,
    /// Where the companion keeps its own tables; `None`: with the application's, where those may be written to.
    pub own: Option<DatabaseUrl>,
    /// Exports.
    pub exports: ExportSettings,
    /// Figures by day.
    pub rollups: RollupSettings,
}

/// The settings of exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportSettings {
    /// Where their files are; `None`: in a folder of the system's for temporary files, named for the user.
    pub dir: Option<PathBuf>,
    /// How long a file is there.
    pub lifetime: Duration,
    /// Exports of a tenant that are under way at once.
    pub per_tenant: u32,
    /// Bytes of a tenant's finished files together.
    pub bytes_per_tenant: u64,
    /// Up to so many rows are written while the client waits.
    pub at_once_rows: u64,
    /// No export has more rows.
    pub rows_max: u64,
}

/// The settings of the roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollupSettings {
    /// How often.
    pub every: Duration,
    /// How many days are counted anew each time, today included.
    pub days: u32,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090),
            timezone: "UTC".to_owned(),
            gateways: words(&["127.0.0.1:9901"]),
            gateway_token: None,
            readers: words(&["admin", "teacher"]),
            exporters: words(&["admin"]),
            signing_secret: None,
            own: None,
            exports: ExportSettings {
                dir: None,
                lifetime: Duration::from_secs(900),
                per_tenant: 2,
                bytes_per_tenant: 1 << 30,
                at_once_rows: 5_000,
                rows_max: 1_000_000,
            },
            rollups: RollupSettings { every: Duration::from_secs(60), days: 2 },
        }
    }
}
