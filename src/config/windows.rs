//! Windows, and the places where they stand: a policy, its tiers, its overrides.

use crate::base::units::parse_duration;
use crate::config::reader::{Reader, Taken};
use crate::limit::{LIMIT_MAX, WINDOWS_MAX, Window, Windows};
use std::collections::BTreeMap;

/// Reads a mapping from length to limit.
pub(super) fn windows(reader: &mut Reader<'_>, taken: &Taken) -> Option<Windows> {
    let faults = reader.faults.len();
    let mut section = reader.section(&taken.node, &taken.path);
    let mut list = Vec::new();
    for (key, limit) in section.take_all() {
        let Some(length_ms) = length_ms(&key.name) else {
            let says = format!("`{}` is no length of a window", key.name);
            reader.fault(key.at, &limit.path, says, "write one such as 10s, 1m, 1h, 1d, or whole seconds");
            continue;
        };
        if let Some(limit) = reader.number(&limit, 0, u64::from(LIMIT_MAX)) {
            list.push(Window { length_ms, limit: u32::try_from(limit).unwrap_or(LIMIT_MAX) });
        }
    }
    if reader.faults.len() > faults {
        return None;
    }
    match Windows::new(list) {
        Ok(windows) => {
            warn_of_order(reader, taken, &windows);
            Some(windows)
        }
        Err(fault) => {
            let remedy = format!("give 1 to {WINDOWS_MAX} different lengths from 1ms to 31d");
            reader.fault(taken.node.at, &taken.path, fault.to_string(), remedy);
            None
        }
    }
}

/// A window's length in milliseconds as it is written: `1m`, or whole seconds. Whether it is not too long is for
/// [`Windows::new`] to say.
#[must_use]
pub fn length_ms(text: &str) -> Option<u32> {
    let seconds = text.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000));
    let ms = seconds.or_else(|| parse_duration(text).ok().map(crate::base::clock::millis))?;
    Some(u32::try_from(ms).unwrap_or(u32::MAX))
}

/// A longer window with a smaller limit makes the shorter one idle.
fn warn_of_order(reader: &mut Reader<'_>, taken: &Taken, windows: &Windows) {
    let list = windows.as_slice();
    if list.iter().zip(list.iter().skip(1)).any(|(short, long)| long.limit < short.limit) {
        let says = "a longer window has a smaller limit than a shorter one, which can never be reached";
        reader.warn(taken.node.at, &taken.path, says, "check the numbers");
    }
}

/// A tier states only what differs: its windows are merged with the policy's by length.
pub(super) fn tiers(
    reader: &mut Reader<'_>,
    taken: &Taken,
    base: Option<&Windows>,
) -> BTreeMap<String, Windows> {
    let mut section = reader.section(&taken.node, &taken.path);
    let mut tiers = BTreeMap::new();
    for (key, of_tier) in section.take_all() {
        let (Some(own), Some(base)) = (windows(reader, &of_tier), base) else { continue };
        match own.over(base) {
            Ok(merged) => drop(tiers.insert(key.name, merged)),
            Err(fault) => {
                reader.fault(of_tier.node.at, &of_tier.path, fault.to_string(), "use fewer windows");
            }
        }
    }
    tiers
}
