//! How far a log is read, on stderr when that is a terminal.

use std::io::Read;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const OF_KNOWN_LENGTH: &str = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
const OF_UNKNOWN_LENGTH: &str = "{spinner} {bytes}, {bytes_per_sec}";

/// The bar; gone from the terminal when it is dropped.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar at 0. Nothing is written when stderr is no terminal.
    #[must_use]
    pub fn on_stderr() -> Self {
        Self(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
    }

    /// A bar that nobody sees.
    #[must_use]
    pub fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// The same source, with what is read from it shown. `length` is its bytes when they are known.
    pub fn follow<R: Read>(&self, source: R, length: Option<u64>) -> impl Read + use<R> {
        let template = if length.is_some() { OF_KNOWN_LENGTH } else { OF_UNKNOWN_LENGTH };
        // A template that indicatif cannot read leaves its own style.
        self.0.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_odd| ProgressStyle::default_bar()),
        );
        if let Some(length) = length {
            self.0.set_length(length);
        }
        self.0.wrap_read(source)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_understood() {
        assert!(
            [OF_KNOWN_LENGTH, OF_UNKNOWN_LENGTH].map(ProgressStyle::with_template).iter().all(Result::is_ok)
        );
    }

    #[test]
    fn what_is_followed_is_read_unchanged() {
        let mut text = String::new();
        Progress::hidden().follow(&b"one line\n"[..], Some(9)).read_to_string(&mut text).expect("memory");
        assert_eq!(text, "one line\n");
    }
}
