//! When it is too much: new requests are refused at once, so that those under way succeed and the process lives.

use crate::base::Tasks;
use crate::config::{Current, MemoryMark};
use crate::store::Stores;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How often the memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Memory must fall to this part of the mark before requests are taken again.
const RELIEF_PERCENT: u64 = 95;

/// The part of a control group's limit that is the mark when none is configured.
const AUTO_PERCENT: u64 = 90;

/// Where control groups say what they allow (version 2, version 1).
const GROUP_LIMITS: &[&str] = &["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The state of the whole instance.
#[derive(Debug, Default)]
pub(super) struct Overload {
    is_out_of_memory: AtomicBool,
    under_way: AtomicUsize,
}

/// A request under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Overload>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    /// A request begins; `None` when there are `most` already, or no memory for it.
    pub(super) fn begin(self: &Arc<Self>, most: Option<usize>) -> Option<UnderWay> {
        let begun = UnderWay(Arc::clone(self));
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let is_full = most.is_some_and(|most| before >= most);
        (!is_full && !self.is_out_of_memory.load(Ordering::Relaxed)).then_some(begun)
    }

    /// Takes a look at `used` bytes against the `mark`. Has it just become too much?
    fn judge(&self, used: u64, mark: Option<u64>) -> bool {
        let was = self.is_out_of_memory.load(Ordering::Relaxed);
        let Some(mark) = mark else {
            self.is_out_of_memory.store(false, Ordering::Relaxed);
            return false;
        };
        let relief = mark.saturating_mul(RELIEF_PERCENT) / 100;
        let is = used >= if was { relief } else { mark };
        if was != is {
            self.is_out_of_memory.store(is, Ordering::Relaxed);
            tracing::warn!(used, mark, refusing = is, "memory mark crossed");
        }
        is && !was
    }

    /// Looks at the memory until the end. When it is too much, stored answers are given up before requests are: `stores` may
    /// fill up to a size that the container does not have.
    pub(super) fn watch(self: &Arc<Self>, current: Current, stores: Arc<Stores>, tasks: &Tasks) {
        let this = Arc::clone(self);
        let group = GROUP_LIMITS.iter().find_map(|path| group_limit(&std::fs::read_to_string(path).ok()?));
        tasks.spawn_until_stop("overload", async move {
            let mut is_told = false;
            loop {
                let mark = match current.load().server.overload.memory {
                    MemoryMark::Off => None,
                    MemoryMark::Bytes(bytes) => Some(bytes),
                    MemoryMark::Auto => group.map(|bytes| bytes.saturating_mul(AUTO_PERCENT) / 100),
                };
                match resident() {
                    Some(used) if this.judge(used, mark) => stores.entries.shed(),
                    Some(_) => {}
                    None if !is_told && mark.is_some() => {
                        is_told = true;
                        tracing::warn!(
                            "the system does not tell how much memory is in use; the mark is not watched"
                        );
                    }
                    None => {}
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
    }
}

/// A number of bytes; `max` and numbers beyond any machine are no limit.
fn group_limit(text: &str) -> Option<u64> {
    text.trim().parse::<u64>().ok().filter(|bytes| *bytes < 1 << 50)
}

/// Resident memory of this process in bytes (proc(5), statm: the second number, in pages).
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages.saturating_mul(u64::try_from(page).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_and_given_back() {
        let overload = Arc::<Overload>::default();
        let first = overload.begin(Some(1)).expect("room");
        assert!(overload.begin(Some(1)).is_none());
        assert!(overload.begin(None).is_some(), "any number");
        drop(first);
        assert!(overload.begin(Some(1)).is_some());
    }

    #[test]
    fn memory_is_refused_at_the_mark_and_given_again_below_it() {
        let overload = Arc::<Overload>::default();
        let admits = || overload.begin(None).is_some();
        for (used, expected) in [(99, true), (100, false), (96, false), (94, true), (99, true), (200, false)]
        {
            let was = admits();
            assert_eq!(overload.judge(used, Some(100)), was && !expected, "{used}");
            assert_eq!(admits(), expected, "{used}");
        }
        assert!(!overload.judge(200, None));
        assert!(admits(), "the mark is gone");
    }

    #[test]
    fn the_system_tells_both_numbers() {
        assert!(resident().expect("this system does") > 1 << 20);
        assert_eq!((group_limit("max\n"), group_limit("1048576\n")), (None, Some(1 << 20)));
        assert_eq!(group_limit("9223372036854771712"), None);
    }
}
