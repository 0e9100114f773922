//! Files that are in a tree only while a script runs.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use serde::{Deserialize, Serialize};

use crate::sandbox::Failure;

/// A larger file is none that we lent or replaced.
const LARGEST: u64 = 1 << 20;

/// A file to lend, or one that was lent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loan {
    path: PathBuf,
    content: Vec<u8>,
    before: Before,
}

/// What is to be at the place of a loan beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Before {
    /// A regular file; without one nothing is lent.
    AnyFile,
    /// Nothing.
    Nothing,
    /// This content, last changed at this time.
    Content(Vec<u8>, std::time::SystemTime),
}

impl Loan {
    /// A file that takes the place of the tree's own; nothing happens where there is none.
    pub fn replace<P: Into<PathBuf>>(path: P, content: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            content,
            before: Before::AnyFile,
        }
    }

    /// A file in a folder that may exist, at a place where nothing is.
    pub fn add<P: Into<PathBuf>>(path: P, content: Vec<u8>) -> Self {
        Self {
            path: path.into(),
            content,
            before: Before::Nothing,
        }
    }
}

/// Lends what can be lent, and tells what it was.
pub(super) fn lend(loans: Vec<Loan>) -> Result<Vec<Loan>, Failure> {
    let mut lent = Vec::new();
    for mut loan in loans {
        let is_file = fs::symlink_metadata(&loan.path).is_ok_and(|metadata| metadata.is_file());
        match loan.before {
            Before::AnyFile if is_file => {
                let (content, changed) = read(&loan.path)?;
                loan.before = Before::Content(content, changed);
                rewrite(&loan.path, &loan.content)?;
            }
            Before::Nothing if has_folder(&loan.path) && !is_file => create(&loan)?,
            _ => continue,
        }
        lent.push(loan);
    }
    Ok(lent)
}

/// What a script replaced meanwhile stays as the script left it.
pub(super) fn take_back(loans: &[Loan]) -> Result<(), Failure> {
    for loan in loans {
        let is_file = fs::symlink_metadata(&loan.path).is_ok_and(|metadata| metadata.is_file());
        if !is_file || read(&loan.path)?.0 != loan.content {
            continue;
        }
        match &loan.before {
            Before::Content(content, changed) => {
                let file = rewrite(&loan.path, content)?;
                file.set_times(FileTimes::new().set_modified(*changed))
                    .map_err(Failure::io("changing the times of", &loan.path))?;
            }
            Before::Nothing | Before::AnyFile => {
                fs::remove_file(&loan.path).map_err(Failure::io("removing", &loan.path))?;
            }
        }
    }
    Ok(())
}

fn has_folder(path: &Path) -> bool {
    path.parent().is_some_and(Path::is_dir)
}

fn read(path: &Path) -> Result<(Vec<u8>, std::time::SystemTime), Failure> {
    let read = || -> io::Result<_> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NOFOLLOW)
            .open(path)?;
        let changed = file.metadata()?.modified()?;
        let mut content = Vec::new();
        file.take(LARGEST).read_to_end(&mut content)?;
        Ok((content, changed))
    };
    read().map_err(Failure::io("reading", path))
}

fn rewrite(path: &Path, content: &[u8]) -> Result<File, Failure> {
    let write = || -> io::Result<_> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .truncate(true)
            .custom_flags(O_NOFOLLOW)
            .open(path)?;
        file.write_all(content)?;
        Ok(file)
    };
    write().map_err(Failure::io("writing", path))
}

fn create(loan: &Loan) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&loan.path);
    file.and_then(|mut file| file.write_all(&loan.content))
        .map_err(Failure::io("writing", &loan.path))
}
