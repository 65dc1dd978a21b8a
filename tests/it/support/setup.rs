//! The configuration text of one test: the sections that every test needs, and its own.

use crate::support::Store;
use std::net::SocketAddr;

/// A configuration being put together. Both listeners take free ports.
#[derive(Clone)]
pub(crate) struct Setup {
    store: String,
    server: String,
    upstream: String,
    sections: String,
}

impl Setup {
    /// Everything goes to `backend`, nothing is limited or cached until a section says so.
    pub(crate) fn new(backend: SocketAddr) -> Self {
        Self {
            store: "url: \"memory:\"".to_owned(),
            server: String::new(),
            upstream: backend.to_string(),
            sections: String::new(),
        }
    }

    /// Counts and entries live in `store`. The time-out is long, because a test that checks exact counts must not
    /// fall back to the local limiter when the machine is busy; failure tests set their own with [`Self::store_text`].
    pub(crate) fn store(self, store: &Store) -> Self {
        let url = store.url();
        self.store_text(&format!("url: \"{url}\", timeout: 1s"))
    }

    /// The inside of the `store` section.
    pub(crate) fn store_text(mut self, inside: &str) -> Self {
        inside.clone_into(&mut self.store);
        self
    }

    /// More keys for the `server` section, such as `drain: 2s`.
    pub(crate) fn server(mut self, more: &str) -> Self {
        self.server.push_str(", ");
        self.server.push_str(more);
        self
    }

    /// The upstream's long form.
    pub(crate) fn upstream(mut self, text: &str) -> Self {
        text.clone_into(&mut self.upstream);
        self
    }

    /// Whole top-level sections.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        self.sections.push_str(sections);
        self.sections.push('\n');
        self
    }

    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let Self { store, server, upstream, sections } = self;
        format!(
            "server: {{listen: \"127.0.0.1:0\"{server}}}\n\
             admin: {{listen: \"127.0.0.1:0\"}}\n\
             store: {{{store}}}\n\
             upstreams: {{backend: {upstream}}}\n\
             {sections}"
        )
    }
}
