//! The embedded counts in a file, so that quotas of days and weeks survive a restart.
//!
//! Written whole on a graceful stop (beside, synced, renamed), read at the start. Time passes while nothing runs: units
//! age by the wall clock. A file that cannot be used never keeps the process from starting.
//!
//! ```text
//! "TGCOUNTS" | u32 version | u64 time of saving
//! for each log: u8 1 | 32 bytes identity | u16 length, policy | u32 longest window | u64 seen | u64 barred until
//!               | u64 base | u64 newest | u32 units | units × u32 after base
//! u8 0 | 32 bytes BLAKE3 of all before
//! ```
//!
//! Little-endian; times are milliseconds since 1970, as `MemoryLimits` has them.

use crate::base::Digest;
use crate::limit::{LIMIT_MAX, LimitKey, RingLog};
use crate::store::memory_limits::{Kept, MemoryLimits};
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"TGCOUNTS";

/// Raised by every change of the form; others are not read.
const VERSION: u32 = 1;

const CHECKSUM_BYTES: u64 = 32;

/// Digests, not names, but who was here and how often is nobody else's business.
const FILE_MODE: u32 = 0o600;

/// Why a file's counts are not used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFault {
    /// The system does not give it.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("it holds no counts")]
    Foreign,
    /// It was written by another version.
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u32),
    /// It is not as it was written.
    #[error("it is damaged")]
    Damaged,
}

impl MemoryLimits {
    /// Writes all logs that some window counts to `path`, in place of what is there. Returns how many. The file is the
    /// owner's only; a fault leaves the earlier one as it was.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self, path: &Path) -> io::Result<usize> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        // Left by a process that was killed; whatever else it may be, it is not written to.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let saved = self.write(&beside).and_then(|logs| {
            fs::rename(&beside, path)?;
            Ok(logs)
        });
        if saved.is_err() {
            drop(fs::remove_file(&beside));
        } else if let Ok(folder) = File::open(folder(path)) {
            // Without it a power cut may bring the earlier file back: still a true one, hence no fault.
            drop(folder.sync_all());
        }
        saved
    }

    /// Takes in what [`MemoryLimits::save`] wrote, as far as it still counts and there is room. Returns how many logs
    /// there are now; 0 when there is no file. Call it before the first decision.
    ///
    /// # Errors
    /// [`SnapshotFault`]; there are no logs then.
    pub fn load(&self, path: &Path) -> Result<usize, SnapshotFault> {
        match fs::metadata(path) {
            // The first start. Without the folder it could not be written in the end either.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder(path).is_dir() => return Ok(0),
            Err(error) => return Err(error.into()),
            Ok(found) if !found.is_file() => return Err(SnapshotFault::Foreign),
            Ok(_) => {}
        }
        let mut file = File::open(path)?;
        let length = verified(&mut file)?;
        file.rewind()?;
        let mut reader = Reader { from: BufReader::new(file).take(length), policies: HashSet::new() };
        let read = reader.header().and_then(|saved_ms| {
            self.not_before(saved_ms);
            self.take_in(&mut reader)
        });
        read.inspect_err(|_| self.clear())?;
        Ok(self.keys())
    }

    fn take_in(&self, reader: &mut Reader<impl Read>) -> Result<(), SnapshotFault> {
        let now_ms = self.now_ms();
        while let Some(kept) = reader.log(now_ms)? {
            if !kept.log.is_empty() && !kept.is_spent(now_ms) {
                self.restore(kept);
            }
        }
        if reader.from.limit() == 0 { Ok(()) } else { Err(SnapshotFault::Damaged) }
    }

    fn write(&self, path: &Path) -> io::Result<usize> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        let mut writer = Writer { to: BufWriter::new(file), hasher: blake3::Hasher::new() };
        let (now_ms, mut logs) = (self.now_ms(), 0_usize);
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_le_bytes())?;
        writer.put(&now_ms.to_le_bytes())?;
        self.each(|kept| {
            if kept.log.is_empty() || kept.is_spent(now_ms) {
                return Ok(());
            }
            logs = logs.saturating_add(1);
            writer.log(kept)
        })?;
        writer.put(&[0])?;
        writer.finish()?;
        Ok(logs)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Checks what the file is and that it is whole. Returns how many bytes stand in front of the checksum. Reads it all, so
/// that nothing is taken from a file that is damaged further on, and keeps none of it.
fn verified(file: &mut File) -> Result<u64, SnapshotFault> {
    let length = file.metadata()?.len().saturating_sub(CHECKSUM_BYTES);
    let mut from = BufReader::new(file);
    let (mut magic, mut version, mut checksum) = ([0; 8], [0; 4], [0; 32]);
    from.read_exact(&mut magic).map_err(|error| cut(error, SnapshotFault::Foreign))?;
    if magic != *MAGIC {
        return Err(SnapshotFault::Foreign);
    }
    from.read_exact(&mut version).map_err(damaged)?;
    if version != VERSION.to_le_bytes() {
        return Err(SnapshotFault::Version(u32::from_le_bytes(version)));
    }
    from.rewind()?;
    let mut hasher = blake3::Hasher::new();
    let mut body = from.take(length);
    io::copy(&mut body, &mut hasher)?;
    body.into_inner().read_exact(&mut checksum).map_err(damaged)?;
    if hasher.finalize() == checksum { Ok(length) } else { Err(SnapshotFault::Damaged) }
}

fn damaged(error: io::Error) -> SnapshotFault {
    cut(error, SnapshotFault::Damaged)
}

/// An end that comes too early is the file's fault, everything else the system's.
fn cut(error: io::Error, fault: SnapshotFault) -> SnapshotFault {
    if error.kind() == io::ErrorKind::UnexpectedEof { fault } else { error.into() }
}

struct Writer {
    to: BufWriter<File>,
    hasher: blake3::Hasher,
}

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }

    fn log(&mut self, kept: &Kept) -> io::Result<()> {
        let policy = kept.key.policy.as_bytes();
        let (base_ms, units) = kept.log.parts();
        let mut bytes = Vec::with_capacity(units.len().saturating_mul(4).saturating_add(policy.len() + 80));
        bytes.push(1);
        bytes.extend(kept.key.identity.0);
        bytes.extend(u16::try_from(policy.len()).map_err(io::Error::other)?.to_le_bytes());
        bytes.extend(policy);
        bytes.extend(kept.longest_ms.to_le_bytes());
        for time in [kept.seen_ms, kept.barred_until_ms, base_ms, kept.log.newest_ms()] {
            bytes.extend(time.to_le_bytes());
        }
        bytes.extend(u32::try_from(units.len()).map_err(io::Error::other)?.to_le_bytes());
        units.for_each(|unit| bytes.extend(unit.to_le_bytes()));
        self.put(&bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        self.to.write_all(self.hasher.finalize().as_bytes())?;
        self.to.into_inner()?.sync_all()
    }
}

struct Reader<R> {
    from: io::Take<R>,
    /// Names of policies, one for all their logs.
    policies: HashSet<Arc<str>>,
}

impl<R: Read> Reader<R> {
    /// The time of saving.
    fn header(&mut self) -> Result<u64, SnapshotFault> {
        let _magic_and_version: [u8; 12] = self.bytes()?;
        self.u64()
    }

    /// The next log, without the units that its longest window does not count at `now_ms`; `None` at the end.
    fn log(&mut self, now_ms: u64) -> Result<Option<Kept>, SnapshotFault> {
        match self.bytes()? {
            [0] => return Ok(None),
            [1] => {}
            [_] => return Err(SnapshotFault::Damaged),
        }
        let key = LimitKey { identity: Digest(self.bytes()?), policy: self.policy()? };
        let longest_ms = self.u32()?;
        let (seen_ms, barred_until_ms, base_ms, newest_ms) =
            (self.u64()?, self.u64()?, self.u64()?, self.u64()?);
        let count = self.u32()?;
        if count > LIMIT_MAX {
            return Err(SnapshotFault::Damaged);
        }
        let units = (0..count).map(|_| self.u32()).collect::<Result<Vec<u32>, _>>()?;
        let is_out = |unit: &u32| {
            base_ms.saturating_add(u64::from(*unit)).saturating_add(u64::from(longest_ms)) <= now_ms
        };
        let counted = units.get(units.partition_point(is_out)..).unwrap_or_default();
        let log = RingLog::from_parts(base_ms, newest_ms, counted).ok_or(SnapshotFault::Damaged)?;
        Ok(Some(Kept { key, log, longest_ms, seen_ms, barred_until_ms }))
    }

    fn policy(&mut self) -> Result<Arc<str>, SnapshotFault> {
        let mut name = vec![0; usize::from(u16::from_le_bytes(self.bytes()?))];
        self.from.read_exact(&mut name).map_err(damaged)?;
        let name = str::from_utf8(&name).map_err(|_not_text| SnapshotFault::Damaged)?;
        if let Some(known) = self.policies.get(name) {
            return Ok(Arc::clone(known));
        }
        let name = Arc::<str>::from(name);
        self.policies.insert(Arc::clone(&name));
        Ok(name)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SnapshotFault> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(damaged)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, SnapshotFault> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, SnapshotFault> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, ManualClock};
    use crate::limit::{Charge, Mode};
    use crate::store::testing::{T0, charge_of};
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;
    use tempfile::TempDir;

    const DAY: &[(u32, u32)] = &[(60, 3), (86_400, 5)];

    fn limits(clock: &Arc<ManualClock>) -> MemoryLimits {
        MemoryLimits::new(Arc::clone(clock) as _, 16 << 20)
    }

    fn remaining(limits: &MemoryLimits, charge: &Charge) -> Vec<u32> {
        let look = Charge { cost: 0, ..charge.clone() };
        limits.decide(&[look])[0].windows.iter().map(|window| window.remaining).collect()
    }

    /// A file with one log of three units, consumed at `T0`.
    fn saved(folder: &TempDir) -> (PathBuf, Charge) {
        let (path, charge) = (folder.path().join("counts"), charge_of("day", 1, DAY, Mode::Enforce));
        let before = limits(&Arc::new(ManualClock::at(T0)));
        for _ in 0..3 {
            assert!(before.decide(std::slice::from_ref(&charge))[0].admitted);
        }
        assert_eq!(before.save(&path).expect("a folder of ours"), 1);
        (path, charge)
    }

    #[test]
    fn units_age_while_nothing_runs_and_what_counts_no_more_is_not_loaded() {
        let folder = TempDir::new().expect("a folder");
        let (path, charge) = saved(&folder);
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for (later, logs, left) in
            [(0, 1, [0, 2]), (59_999, 1, [0, 2]), (60_000, 1, [3, 2]), (86_400_000, 0, [3, 5])]
        {
            let after = limits(&Arc::new(ManualClock::at(T0 + later)));
            assert_eq!(after.load(&path).expect("it is whole"), logs, "{later} ms later");
            assert_eq!(remaining(&after, &charge), left, "{later} ms later");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("ours").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_wall_clock_that_was_set_back_frees_nobody_and_bars_nobody_for_longer() {
        let folder = TempDir::new().expect("a folder");
        let (path, charge) = saved(&folder);
        let clock = Arc::new(ManualClock::at(T0 - 365 * 86_400_000));
        let after = limits(&clock);
        after.load(&path).expect("it is whole");
        assert_eq!(remaining(&after, &charge), [0, 2]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(remaining(&after, &charge), [3, 2]);
        clock.advance(Duration::from_secs(86_340));
        assert_eq!(remaining(&after, &charge), [3, 5]);
    }

    #[test]
    fn a_first_start_has_no_file_and_a_missing_folder_is_told() {
        let (folder, limits) = (TempDir::new().expect("a folder"), limits(&Arc::new(ManualClock::at(T0))));
        assert_eq!(limits.load(&folder.path().join("counts")).expect("no file is no fault"), 0);
        let nowhere = folder.path().join("no/counts");
        assert!(matches!(limits.load(&nowhere), Err(SnapshotFault::Unreadable(_))));
        assert!(limits.save(&nowhere).is_err());
        assert!(matches!(limits.load(folder.path()), Err(SnapshotFault::Foreign)));
    }

    #[test]
    fn a_file_that_was_touched_is_not_used() {
        let folder = TempDir::new().expect("a folder");
        let (path, charge) = saved(&folder);
        let whole = fs::read(&path).expect("ours");
        let limits = limits(&Arc::new(ManualClock::at(T0)));
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("ours");
            let fault = limits.load(&path).expect_err("it was touched");
            assert_eq!((limits.keys(), limits.bytes()), (0, 0));
            fault
        };
        for length in 0..whole.len() {
            let fault = refused(&whole[..length]);
            assert_eq!(matches!(fault, SnapshotFault::Foreign), length < 8, "{length}: {fault}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = refused(&flipped);
            let expected = match bit / 8 {
                0..8 => matches!(fault, SnapshotFault::Foreign),
                8..12 => matches!(fault, SnapshotFault::Version(_)),
                _ => matches!(fault, SnapshotFault::Damaged),
            };
            assert!(expected, "{bit}: {fault}");
        }
        let longer = [&whole[..], b"x"].concat();
        assert!(matches!(refused(&longer), SnapshotFault::Damaged));
        fs::write(&path, &whole).expect("ours");
        assert_eq!(limits.load(&path).expect("it is whole"), 1);
        assert_eq!(remaining(&limits, &charge), [0, 2]);
    }

    #[test]
    fn what_is_whole_but_makes_no_sense_is_not_used() {
        let folder = TempDir::new().expect("a folder");
        let (path, _) = saved(&folder);
        let whole = fs::read(&path).expect("ours");
        let limits = limits(&Arc::new(ManualClock::at(T0)));
        for at in 20..whole.len() - 32 {
            let mut bytes = whole[..whole.len() - 32].to_vec();
            bytes[at] = 0xff;
            bytes.extend(blake3::hash(&bytes).as_bytes());
            fs::write(&path, &bytes).expect("ours");
            // Another identity or time may be what it says; nothing may panic or be half loaded.
            if limits.load(&path).is_err() {
                assert_eq!(limits.keys(), 0, "{at}");
            }
        }
    }

    #[test]
    fn a_file_with_more_than_there_is_room_for_is_loaded_up_to_the_bound() {
        let folder = TempDir::new().expect("a folder");
        let (path, clock) = (folder.path().join("counts"), Arc::new(ManualClock::at(T0)));
        let large = limits(&clock);
        let offender = charge_of("p", 7, &[(60, 10)], Mode::Enforce);
        (0..20).for_each(|_| drop(large.decide(std::slice::from_ref(&offender))));
        for number in 0..20_000_u32 {
            let mut charge = charge_of("p", 0, &[(60, 10)], Mode::Enforce);
            charge.key.identity.0[..4].copy_from_slice(&number.to_le_bytes());
            large.decide(&[charge]);
        }
        assert_eq!(large.save(&path).expect("ours"), 20_001);
        let small = MemoryLimits::new(clock, 1 << 20);
        let loaded = small.load(&path).expect("it is whole");
        assert!((4_000..10_000).contains(&loaded), "{loaded}");
        assert!(small.bytes() <= (1 << 20) + 4_096, "{}", small.bytes());
        assert_eq!(remaining(&small, &offender), [0], "who is barred stays barred");
    }

    proptest! {
        /// The oracle is the process that never ended.
        #[test]
        fn a_restart_changes_no_decision(
            charges in prop::collection::vec((0_u8..6, 0_u64..40_000, 1_u32..4, any::<bool>()), 1..120),
            downtime in 0_u64..200_000,
            later in prop::collection::vec((0_u8..6, 0_u64..40_000), 1..40),
        ) {
            let folder = TempDir::new().expect("a folder");
            let (path, clock) = (folder.path().join("counts"), Arc::new(ManualClock::at(T0)));
            let of = |identity| charge_of("p", identity, &[(10, 4), (60, 9)], Mode::Enforce);
            let before = limits(&clock);
            for (identity, pause, cost, is_forced) in charges {
                clock.advance(Duration::from_millis(pause));
                let charge = Charge { cost, ..of(identity) };
                let decision = if is_forced { before.force(&charge) } else { before.decide(std::slice::from_ref(&charge)).remove(0) };
                if cost == 3 && decision.admitted {
                    before.refund(&Charge { cost: 2, ..charge }, Some(decision.stamp_ms));
                }
            }
            before.save(&path).expect("ours");
            clock.advance(Duration::from_millis(downtime));
            let after = limits(&clock);
            after.load(&path).expect("it is whole");
            prop_assert!(after.keys() <= before.keys());
            for (identity, pause) in later {
                clock.advance(Duration::from_millis(pause));
                prop_assert_eq!(before.decide(&[of(identity)]), after.decide(&[of(identity)]), "at {}", clock.wall_ms());
            }
        }
    }
}
