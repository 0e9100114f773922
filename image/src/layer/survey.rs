//! What a finished tree needs of a file system, and what of it only the ledger knows.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Statx};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::ledger::{Ledger, Record, status};

/// What file systems give to files, in bytes.
const BLOCK: u64 = 4096;

/// What a tree needs of a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Files of all kinds; one with several names counts once.
    pub files: u64,
    /// Bytes of content, in whole blocks.
    pub bytes: u64,
}

/// What a file should be that the file system could not represent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Its path from the root directory.
    pub path: Vec<u8>,
    /// Its kind and permissions as they are.
    pub mode: u32,
    /// What it should be.
    pub record: Record,
}

/// Goes through the tree below `root`.
pub fn survey(
    root: &Path,
    ledger: &Ledger,
    correct: &mut dyn FnMut(Correction) -> io::Result<()>,
) -> Result<Needs, Error> {
    let mut survey = Survey {
        root,
        ledger,
        correct,
        seen: HashSet::new(),
        needs: Needs::default(),
    };
    let device = survey.status(b"")?.stx_dev_minor;
    survey.folder(b"", device)?;
    Ok(survey.needs)
}

struct Survey<'a> {
    root: &'a Path,
    ledger: &'a Ledger,
    correct: &'a mut dyn FnMut(Correction) -> io::Result<()>,
    /// Files with several names that were counted.
    seen: HashSet<u64>,
    needs: Needs,
}

impl Survey<'_> {
    fn folder(&mut self, path: &[u8], device: u32) -> Result<(), Error> {
        let folder = self.root.join(OsStr::from_bytes(path));
        for entry in fs::read_dir(folder).map_err(Error::io("listing", path))? {
            let entry = entry.map_err(Error::io("listing", path))?;
            let child = super::tree::join(path, entry.file_name().as_bytes());
            let status = self.status(&child)?;
            let is_new = status.stx_nlink < 2 || self.seen.insert(status.stx_ino);
            if is_new || is_folder(&status) {
                self.count(&child, &status)?;
            }
            if is_folder(&status) && status.stx_dev_minor == device {
                self.folder(&child, device)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, path: &[u8], status: &Statx) -> Result<(), Error> {
        self.needs.files += 1;
        // Holes take no space; what the machine's file system compresses does.
        let taken = status
            .stx_size
            .min(status.stx_blocks.saturating_mul(512).max(BLOCK));
        self.needs.bytes += taken
            .max(u64::from(is_folder(status)))
            .next_multiple_of(BLOCK);
        let Some(record) = self.ledger.find(status) else {
            return Ok(());
        };
        let correction = Correction {
            path: path.to_vec(),
            mode: status.stx_mode.into(),
            record: record.clone(),
        };
        (self.correct)(correction).map_err(Error::io("telling of", path))
    }

    fn status(&self, path: &[u8]) -> Result<Statx, Error> {
        let file = self.root.join(OsStr::from_bytes(path));
        status(CWD, file).map_err(Error::io("looking at", path))
    }
}

fn is_folder(status: &Statx) -> bool {
    FileType::from_raw_mode(status.stx_mode.into()) == FileType::Directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_holes_take_no_space() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        fs::write(file("a"), [1; 5000]).unwrap();
        fs::hard_link(file("a"), file("b")).unwrap();
        fs::File::create(file("holes"))
            .unwrap()
            .set_len(1 << 30)
            .unwrap();
        fs::create_dir(file("folder")).unwrap();

        let needs = survey(folder.path(), &Ledger::default(), &mut |_| Ok(())).unwrap();

        assert_eq!(needs.files, 3);
        assert_eq!(needs.bytes, 4 * BLOCK);
    }
}
