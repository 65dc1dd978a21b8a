//! The files beside the configuration: which were read and what was in them, to see whether one has changed.

use crate::base::{Digest, Digester};
use std::io;
use std::path::{Path, PathBuf};

/// The configuration, and secrets and keys in files, are at most this long.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that was read, and what was in it. Goes by content, so that a swapped link counts as a change and a
/// touched file does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    path: PathBuf,
    /// `None`: it could not be read.
    content: Option<Digest>,
}

impl FileSeen {
    /// Reads a file of at most 1 MiB, and what to know it by.
    pub(super) fn read(path: PathBuf) -> (io::Result<Vec<u8>>, Self) {
        let read = read(&path);
        let content = read.as_ref().ok().map(|bytes| digest(bytes));
        (read, Self { path, content })
    }

    /// The same file as it is now. What is no file, such as a pipe, can be read once: it stays as it was.
    #[must_use]
    pub fn again(&self) -> Self {
        if std::fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return self.clone();
        }
        Self::read(self.path.clone()).1
    }

    /// Which file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads a file that is not too long.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    check_length(path)?;
    std::fs::read(path)
}

/// Is the file short enough to be read?
pub(super) fn check_length(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> Digest {
    Digester::new("tidegate file 1").part(bytes).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_known_by_its_content_through_links_and_while_it_is_away() {
        let dir = tempfile::tempdir().expect("a folder");
        let (link, one, two) = (dir.path().join("link"), dir.path().join("1"), dir.path().join("2"));
        let (_, seen) = FileSeen::read(link.clone());
        assert_eq!(seen.again(), seen, "away before and after");
        std::fs::write(&one, "a").expect("written");
        std::fs::write(&two, "b").expect("written");
        symlink(&one, &link).expect("linked");
        let first = seen.again();
        assert_ne!(first, seen);
        std::fs::write(&one, "a").expect("touched");
        assert_eq!(first.again(), first);
        std::fs::remove_file(&link).expect("ours");
        symlink(&two, &link).expect("linked");
        assert_ne!(first.again(), first);
    }

    #[test]
    fn a_pipe_is_not_read_a_second_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        // Reading it would wait for a writer for ever.
        let seen = FileSeen { path: pipe, content: Some(digest(b"a secret")) };
        assert_eq!(seen.again(), seen);
    }
}
