//! Where a configuration comes from: a file, a text or an upstream alone, the environment, and what the command line
//! says in its place. Loading again asks all of them again, but for the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::app::cli::{CONFIG_VARIABLE, DEFAULT_CONFIG};
use crate::base::DatabaseUrl;
use crate::config::{Env, Fault, Faults, Listen, Loaded, Position, Purpose, Snapshot, Source, load_for};

/// Why no configuration is to be had from an origin.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No file is named, and none stands where it is looked for.
    #[error(
        "there is no configuration: {DEFAULT_CONFIG} does not exist\n  \
         name a file:         tidegate run --config FILE    (or set {CONFIG_VARIABLE})\n  \
         or run without one:  tidegate run --upstream HOST:PORT"
    )]
    Nothing,
    /// The configuration is at fault.
    #[error("{0}")]
    Faults(#[from] Faults),
    /// The command line opens the admin listener to others, and nothing protects it.
    #[error(
        "--admin {0}: the admin listener could be reached from outside and asks for no token; \
         set `admin.token`, or listen on 127.0.0.1"
    )]
    OpenAdmin(SocketAddr),
    /// A variable of the environment names no database of ours. What it holds may be a password: it is not repeated.
    #[error("{0}: this is no URL of a database; {forms}", forms = DatabaseUrl::FORMS)]
    Database(&'static str),
}

impl Refused {
    /// The same as a list of faults; what is no fault of a file has no place in one.
    #[must_use]
    pub fn into_faults(self) -> Faults {
        match self {
            Self::Faults(faults) => faults,
            Self::Nothing | Self::OpenAdmin(_) | Self::Database(_) => {
                let at = Position::START;
                let fault = Fault::new(at, "", self.to_string(), "see `tidegate run --help`");
                Faults { file: String::new(), text: String::new(), list: vec![fault], files: Vec::new() }
            }
        }
    }
}

/// What the command line says in place of the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides {
    /// The data listener; plain HTTP/1.1.
    pub listen: Option<SocketAddr>,
    /// The admin listener.
    pub admin: Option<SocketAddr>,
}

impl Overrides {
    /// Puts them into a configuration.
    ///
    /// # Errors
    /// [`Refused::OpenAdmin`]: the rule of `admin.listen` holds for `--admin` too.
    fn apply(self, snapshot: &mut Snapshot) -> Result<(), Refused> {
        if let Some(address) = self.listen {
            snapshot.server.listen = vec![Listen { address, tls: None, http2: false, proxy_protocol: false }];
        }
        if let Some(address) = self.admin {
            snapshot.admin.listen = address;
        }
        if snapshot.admin.is_open() { Err(Refused::OpenAdmin(snapshot.admin.listen)) } else { Ok(()) }
    }
}

/// Everything that plays a part in a configuration.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file or text.
    pub source: Source,
    /// The environment.
    pub env: Env,
    /// The command line.
    pub overrides: Overrides,
}

impl Origin {
    /// The file that is named on the command line or by `TIDEGATE_CONFIG`, or the one that is looked for.
    ///
    /// # Errors
    /// [`Refused::Nothing`] when none is named and the usual one does not exist.
    pub fn file(named: Option<PathBuf>, env: Env) -> Result<Self, Refused> {
        let of_env = || env.get(CONFIG_VARIABLE).map(PathBuf::from);
        let usual = || Some(PathBuf::from(DEFAULT_CONFIG)).filter(|path| path.exists());
        let path = named.or_else(of_env).or_else(usual).ok_or(Refused::Nothing)?;
        Ok(Self { source: Source::File(path), env, overrides: Overrides::default() })
    }

    /// A built-in text; the environment has no say.
    #[must_use]
    pub fn text(name: &str, text: String) -> Self {
        let source = Source::Text { name: name.to_owned(), text };
        Self { source, env: Env::default(), overrides: Overrides::default() }
    }

    /// The file that may change while the process runs.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Text { .. } | Source::Upstream(_) => None,
        }
    }

    /// Loads the configuration as generation `generation`.
    ///
    /// # Errors
    /// [`Refused`], with every fault.
    pub fn load(&self, generation: u64) -> Result<Loaded, Refused> {
        self.load_for(Purpose::Proxy, generation)
    }

    /// Loads it for somebody.
    ///
    /// # Errors
    /// [`Refused`], with every fault.
    pub fn load_for(&self, purpose: Purpose, generation: u64) -> Result<Loaded, Refused> {
        let mut loaded = load_for(purpose, &self.source, &self.env, generation)?;
        self.overrides.apply(&mut loaded.snapshot)?;
        Ok(loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(overrides: Overrides) -> Origin {
        Origin { source: Source::Upstream("127.0.0.1:9".to_owned()), env: Env::default(), overrides }
    }

    #[test]
    fn without_a_file_both_ways_out_are_shown() {
        // The tests run in the package's directory, where the usual file may stand.
        if Path::new(DEFAULT_CONFIG).exists() {
            return;
        }
        let says = Origin::file(None, Env::default()).expect_err("no file").to_string();
        assert!(says.contains("--config FILE") && says.contains("--upstream HOST:PORT"), "{says}");
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let env = || Env::of(&[(CONFIG_VARIABLE, "env.yaml")]);
        let path = |named: Option<&str>| {
            let origin = Origin::file(named.map(PathBuf::from), env()).expect("one is named");
            origin.path().map(Path::to_path_buf)
        };
        assert_eq!(path(Some("named.yaml")), Some(PathBuf::from("named.yaml")));
        assert_eq!(path(None), Some(PathBuf::from("env.yaml")));
    }

    #[test]
    fn an_admin_listener_for_everybody_needs_a_token_on_the_command_line_too() {
        let admin = "0.0.0.0:0".parse().ok();
        let refused = upstream(Overrides { listen: None, admin }).load(1).expect_err("is open");
        assert!(matches!(refused, Refused::OpenAdmin(_)), "{refused}");
        let admin = "127.0.0.1:0".parse().ok();
        let loaded = upstream(Overrides { listen: admin, admin }).load(1).expect("is closed");
        assert_eq!(Some(loaded.snapshot.admin.listen), admin);
        assert_eq!(loaded.snapshot.server.listen.len(), 1);
        let told = crate::config::effective(&loaded.snapshot);
        assert_eq!(
            (&told["admin"]["listen"], &told["server"]["listen"][0]["address"]),
            (&"127.0.0.1:0".into(), &"127.0.0.1:0".into())
        );
    }

    /// The YAML blocks of a page, each made whole.
    fn examples(page: &str) -> Vec<String> {
        let whole = |block: &str| match block.contains("upstreams:") {
            true => block.to_owned(),
            false => format!("upstreams: {{backend: 127.0.0.1:9}}\nroutes: [{{path: /}}]\n{block}"),
        };
        let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        blocks.map(whole).collect()
    }

    #[test]
    fn every_configuration_that_the_documentation_shows_is_valid() {
        let pages = [include_str!("../../README.md"), include_str!("../../docs/quickstart.md")];
        let examples: Vec<String> = pages.into_iter().flat_map(examples).collect();
        assert!(examples.len() >= 4, "the pages show some");
        for example in examples {
            let mut origin = Origin::text("example", example.clone());
            origin.env = Env::of(&[("JWT_SECRET", "a-secret-of-the-tests-0123456789ab")]);
            let loaded = origin.load(1).unwrap_or_else(|refused| panic!("{refused}\n{example}"));
            assert_eq!(loaded.warnings, Vec::<String>::new(), "{example}");
        }
    }

    #[test]
    fn the_shipped_configurations_are_valid_without_any_variable() {
        for file in ["config/tidegate.yaml", "config/minimal.yaml"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let origin = Origin::file(Some(path), Env::default()).expect("is named");
            origin.load(1).unwrap_or_else(|refused| panic!("{refused}"));
        }
    }
}
