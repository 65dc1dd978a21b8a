//! How much of the disk an export may take while it is written: what its tenant's finished files leave.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that may be taken, and that are.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: u64,
    taken: AtomicU64,
}

impl Room {
    /// Room for `bytes_max` bytes.
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, taken: AtomicU64::new(0) })
    }

    /// Takes so many bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::QuotaExceeded`] where there is no room for them.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.bytes_max {
            Err(io::ErrorKind::QuotaExceeded.into())
        } else {
            Ok(())
        }
    }

    fn give_back(&self, bytes: u64) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Was more asked for than there is? Libraries hand an error on in many forms; this says what it was.
    pub(super) fn is_exceeded(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.bytes_max
    }
}

/// Writes as long as there is room.
#[derive(Debug)]
pub(super) struct Within<W> {
    out: W,
    room: Arc<Room>,
}

impl<W> Within<W> {
    /// Every byte to `out` takes room.
    pub(super) fn new(out: W, room: &Arc<Room>) -> Self {
        Self { out, room: Arc::clone(room) }
    }
}

impl<W: Write> Write for Within<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let asked = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.room.take(asked)?;
        let written = self.out.write(bytes);
        let taken = written.as_ref().map_or(0, |written| u64::try_from(*written).unwrap_or(asked));
        self.room.give_back(asked.saturating_sub(taken));
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
