//! How far long work on the database has come, on stderr when that is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TEMPLATE: &str = "{bar:40} {pos} of {len} {msg}";

/// The bar; gone from the terminal when it is dropped.
pub(super) struct Steps(ProgressBar);

impl Steps {
    /// A bar at 0 of `length`.
    pub(super) fn new(length: usize) -> Self {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        // A template that indicatif cannot read leaves its own style.
        bar.set_style(
            ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_odd| ProgressStyle::default_bar()),
        );
        Self(bar)
    }

    /// What is done now, or was done last.
    pub(super) fn say(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// So much more is done.
    pub(super) fn advance(&self, by: usize) {
        self.0.inc(u64::try_from(by).unwrap_or(0));
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_understood() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
