//! The folder of exports. Nobody but this user reads there; a file has its name only once it is whole and on the disk.
//!
//! Names are `ID-ATTEMPT-RANDOM.FORMAT`, and `.part` behind that while somebody writes: what belongs to no living attempt
//! can be told by its name and is taken away. An attempt that was given back leaves its number to the next, whose file must
//! not be the one that a thread of the first may still take away.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PART: &str = ".part";

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
}

/// A file that is being written. It goes when it is dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    kept_as: PathBuf,
    is_kept: bool,
}

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The export.
    pub id: String,
    /// The number of its attempt.
    pub tries: i64,
    /// Is it still written, or was left so?
    pub is_part: bool,
}

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its name.
    pub name: String,
    /// What that says.
    pub named: Named,
    /// When it was last written to, in seconds since 1970.
    pub changed_s: u64,
}

/// A name for an attempt's file, another each time.
pub(super) fn name(id: &str, tries: i64, format: &str) -> String {
    format!("{id}-{tries}-{:08x}.{format}", rand::random::<u32>())
}

/// What a name of ours says; `None`: it is not ours.
pub(super) fn named(name: &str) -> Option<Named> {
    let whole = name.strip_suffix(PART);
    let (stem, format) = whole.unwrap_or(name).split_once('.')?;
    let (id, attempt) = stem.split_once('-')?;
    // Files of an older version have no random part.
    let (tries, random) =
        attempt.split_once('-').map_or((attempt, None), |(tries, random)| (tries, Some(random)));
    let is_hexadecimal =
        |random: &str| random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_id = id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_ours = is_id && random.is_none_or(is_hexadecimal) && matches!(format, "csv" | "json" | "xlsx");
    is_ours.then_some(())?;
    Some(Named { id: id.to_owned(), tries: tries.parse().ok()?, is_part: whole.is_some() })
}

impl Files {
    /// Makes the folder if need be, for this user alone. One that is there stays as it is: it may be shared with other
    /// instances, under another user's name.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder of this user where nothing else is configured, among the system's temporary files. Anybody may make one
    /// of its name there: it must be this user's, and nobody else's to write to.
    ///
    /// # Errors
    /// What the system says, and where it is not.
    pub(super) fn open_own(temporary: &Path) -> io::Result<Self> {
        let user = nix::unistd::geteuid().as_raw();
        let files = Self::open(&temporary.join(format!("tidegate-exports-{user}")))?;
        let there = fs::symlink_metadata(&files.folder)?;
        if there.is_dir() && there.uid() == user && there.permissions().mode() & 0o077 == 0 {
            return Ok(files);
        }
        let says = format!(
            "{} is not a folder of this user alone: remove it, or set `dashboard.export_dir`",
            files.folder.display()
        );
        Err(io::Error::new(io::ErrorKind::PermissionDenied, says))
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins a file.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn begin(&self, name: &str) -> io::Result<Draft> {
        let path = self.folder.join(format!("{name}{PART}"));
        let draft = Draft { path, kept_as: self.folder.join(name), is_kept: false };
        // What an attempt of the same number has left belongs to nobody.
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft.path)?;
        Ok(draft)
    }

    /// A whole file, to read.
    ///
    /// # Errors
    /// What the system says; `NotFound` where another instance has it.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        // The name comes from our own table; even so it never leads out of the folder.
        match named(name) {
            Some(named) if !named.is_part => File::open(self.folder.join(name)),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Takes a file away. One that is not there is gone.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Our files. Others' are left alone.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // One that goes in this moment is no fault.
            if let (Some(named), Ok(about)) = (named(&name), entry.metadata()) {
                let changed_s = u64::try_from(about.mtime()).unwrap_or(0);
                all.push(Listed { name, named, changed_s });
            }
        }
        Ok(all)
    }
}

impl Draft {
    /// To write to.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn file(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(&self.path)
    }

    /// It is whole: brings it to the disk and gives it its name. Returns its bytes and their SHA-256.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn keep(mut self) -> io::Result<(u64, String)> {
        let mut file = File::open(&self.path)?;
        let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = file.read(&mut buffer)?;
            let Some(some) = buffer.get(..read).filter(|some| !some.is_empty()) else { break };
            hash.update(some);
            bytes += u64::try_from(read).unwrap_or(u64::MAX);
        }
        file.sync_all()?;
        fs::rename(&self.path, &self.kept_as)?;
        self.is_kept = true;
        if let Some(folder) = self.kept_as.parent() {
            // The name, too, must be there after a power cut.
            File::open(folder)?.sync_all()?;
        }
        let digits = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok((bytes, digits))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_kept {
            // If it cannot be taken away now, the next look at the folder does.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const ID: &str = "0123456789abcdefGHIJKL";

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole_and_nobody_else_reads_it() {
        let place = tempfile::tempdir().expect("a folder");
        let files = Files::open(&place.path().join("a/b")).expect("it is made");
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(files.folder()), 0o700);
        let name = name(ID, 1, "csv");
        let draft = files.begin(&name).expect("it begins");
        draft.file().expect("open").write_all(b"abc").expect("written");
        assert!(files.read(&name).is_err());
        let (bytes, sha256) = draft.keep().expect("kept");
        assert_eq!(bytes, 3);
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(mode(&files.folder().join(&name)), 0o600);
        drop(files.begin(&super::name(ID, 2, "csv")).expect("it begins"));
        let left: Vec<String> = files.list().expect("a list").into_iter().map(|file| file.name).collect();
        assert_eq!(left, [&*name], "what was broken off is gone");
        files.remove(&name).expect("gone");
        files.remove(&name).expect("still gone");
    }

    #[test]
    fn only_names_of_ours_are_looked_at() {
        let part = named(&format!("{ID}-3.xlsx.part")).expect("ours");
        assert_eq!(part, Named { id: ID.to_owned(), tries: 3, is_part: true });
        let (one, two) = (name(ID, 3, "csv"), name(ID, 3, "csv"));
        assert_ne!(one, two, "an attempt of the same number has a file of its own");
        assert_eq!(named(&one), Some(Named { id: ID.to_owned(), tries: 3, is_part: false }));
        for odd in [
            "notes.txt",
            "a-1.csv",
            "../../etc/passwd",
            &format!("{ID}-x.csv"),
            &format!("{ID}-1.exe"),
            &format!("{ID}-1-x.csv"),
            ID,
        ] {
            assert_eq!(named(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_folder_among_temporary_files_must_be_this_users_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let files = Files::open_own(place.path()).expect("it is made");
        Files::open_own(place.path()).expect("and is there the next time");
        fs::set_permissions(files.folder(), fs::Permissions::from_mode(0o770)).expect("changed");
        let says = Files::open_own(place.path()).expect_err("others may write").to_string();
        assert!(says.contains("export_dir"), "{says}");
    }
}
