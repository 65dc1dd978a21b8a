//! Open files. Every connection is one, many shells and service managers allow 1,024 to begin with and far more to
//! who asks, and a proxy that runs out of them accepts nobody.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Beside connections: listeners, stores, log, watcher, runtime.
const OTHERS: u64 = 64;

/// Raises the number of files that this process may open to what the system lets it have. Returns the number in
/// force, 0 when it cannot be told.
pub fn raise_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_kept) => soft,
    }
}

/// What to tell the operator when `allowed` files are too few for `connections`, each with one to an upstream.
#[must_use]
pub fn shortage(allowed: u64, connections: usize) -> Option<String> {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OTHERS);
    (allowed < wanted).then(|| {
        format!(
            "{allowed} open files are allowed and `server.connections.max: {connections}` can need {wanted}; \
             raise the limit (ulimit -Hn, LimitNOFILE=) or lower `server.connections.max`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_the_system_gives_are_taken() {
        let allowed = raise_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("can be told");
        assert_eq!((allowed, soft), (hard, hard));
    }

    #[test]
    fn too_few_files_are_told_with_what_is_needed() {
        assert_eq!(shortage(20_064, 10_000), None);
        let says = shortage(4_096, 10_000).expect("too few");
        assert!(says.contains("can need 20064"), "{says}");
    }
}
