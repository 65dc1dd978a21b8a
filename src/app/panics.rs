//! A panic costs one request, is logged and counted; the process lives. Critical tasks are watched by whoever
//! started them.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use crate::telemetry::Metrics;

/// From here on every panic of the process is one log line and one count.
pub fn install_hook(metrics: Arc<Metrics>) {
    std::panic::set_hook(Box::new(move |info| {
        metrics.panic_caught();
        report(info);
    }));
}

fn report(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let trace =
        if backtrace.status() == BacktraceStatus::Captured { backtrace.to_string() } else { String::new() };
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(
        place,
        thread,
        trace,
        message = words(info.payload()),
        "panic: this is a bug, please report it"
    );
}

/// What the panic said, when it said it in text.
fn words(payload: &dyn Any) -> &str {
    let fixed = payload.downcast_ref::<&'static str>().copied();
    fixed.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_message_are_read() {
        assert_eq!(words(&"fixed"), "fixed");
        assert_eq!(words(&"made up".to_owned()), "made up");
        assert_eq!(words(&7), "not text");
    }
}
