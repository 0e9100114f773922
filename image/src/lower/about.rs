//! What lies beside a kept tree, and whether the tree is still what it says.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Facts;
use super::entry::TREE;
use crate::error::Error;

const ABOUT: &str = "about.json";
const LEDGER: &str = "ledger";
/// After that long the kernel has written to disk what a file system was given.
const WRITTEN_AFTER: Duration = Duration::from_mins(2);

/// What lies beside a kept tree.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct About {
    /// Seconds since 1970.
    made: u64,
    pub(super) bytes: u64,
    /// Inode number of its root directory: the ledger's numbers mean nothing in a copy.
    root: u64,
    /// Of the ledger.
    sha256: String,
    /// The boot of the machine in which it may not have got to the disk yet.
    unwritten_in: Option<String>,
}

impl About {
    /// Of a tree that was made just now.
    pub(super) fn of(facts: &Facts, tree: &Path) -> Result<Self, Error> {
        let root = fs::metadata(tree).map_err(Error::io("reading", tree))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            made: now.unwrap_or_default().as_secs(),
            bytes: facts.bytes,
            root: root.ino(),
            sha256: hash(&facts.ledger),
            unwritten_in: Some(boot()),
        })
    }

    /// What lies beside a tree, and its ledger; nothing if the tree is not to be trusted.
    pub(super) fn read(folder: &Path) -> Option<(Self, String)> {
        let about: Self = serde_json::from_slice(&fs::read(folder.join(ABOUT)).ok()?).ok()?;
        let ledger = fs::read_to_string(folder.join(LEDGER)).ok()?;
        let root = fs::symlink_metadata(folder.join(TREE)).ok()?;
        let is_same = root.is_dir() && root.ino() == about.root;
        let is_whole = is_same && about.sha256 == hash(&ledger);
        let is_on_disk = about.unwritten_in.as_ref().is_none_or(|in_| *in_ == boot());
        (is_whole && is_on_disk).then_some((about, ledger))
    }

    pub(super) fn write(&self, folder: &Path, ledger: &str) -> Result<(), Error> {
        fs::write(folder.join(LEDGER), ledger).map_err(Error::io("writing", folder))?;
        self.write_alone(folder)
    }

    /// Remembers that the tree is used, and that it is on disk by now.
    pub(super) fn mark_used(&self, folder: &Path) -> Result<(), Error> {
        if self.unwritten_in.is_some() && self.age() > WRITTEN_AFTER {
            let unwritten_in = None;
            return Self {
                unwritten_in,
                ..self.clone()
            }
            .write_alone(folder);
        }
        let marked = File::open(folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        marked.map_err(Error::io("marking", folder))
    }

    fn write_alone(&self, folder: &Path) -> Result<(), Error> {
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&mut file, self)?;
            file.persist(folder.join(ABOUT))?;
            Ok(())
        };
        write().map_err(Error::io("writing", folder))
    }

    pub(super) fn made(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.made)
    }

    /// What was made in the future, by a clock that was wrong, is older than everything.
    pub(super) fn age(&self) -> Duration {
        self.made().elapsed().unwrap_or(Duration::MAX)
    }
}

fn hash(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// Another text after every start of the machine.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Damage = fn(&Path);

    fn keep(folder: &Path) {
        fs::create_dir_all(folder.join(TREE)).unwrap();
        let facts = Facts {
            ledger: "{\"path\":\"a\"}\n".to_owned(),
            bytes: 7,
        };
        let about = About::of(&facts, &folder.join(TREE)).unwrap();
        about.write(folder, &facts.ledger).unwrap();
    }

    /// Puts other text into a file beside the tree.
    fn change(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    #[test]
    fn a_tree_is_not_trusted_when_anything_beside_it_is_damaged() {
        let damages: [(&str, Damage); 6] = [
            ("ledger changed", |folder| {
                change(&folder.join(LEDGER), "a", "b");
            }),
            ("ledger cut", |folder| {
                change(&folder.join(LEDGER), "\n", "");
            }),
            ("about cut", |folder| change(&folder.join(ABOUT), "}", "")),
            ("no about", |folder| {
                fs::remove_file(folder.join(ABOUT)).unwrap();
            }),
            ("another tree", |folder| {
                let tree = folder.join(TREE);
                // The old one stays, so that its number is not given again.
                fs::rename(&tree, folder.join("old")).unwrap();
                fs::create_dir(tree).unwrap();
            }),
            ("not written before the machine went down", |folder| {
                change(&folder.join(ABOUT), boot().trim(), "another boot");
            }),
        ];

        for (name, damage) in damages {
            let folder = tempfile::tempdir().unwrap();
            keep(folder.path());
            let (about, ledger) = About::read(folder.path()).expect(name);
            assert_eq!((about.bytes, ledger.lines().count()), (7, 1), "{name}");
            damage(folder.path());
            assert!(About::read(folder.path()).is_none(), "{name}");
        }
    }
}
