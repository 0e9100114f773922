//! Trees that are kept for builds to lay their overlays over: unpacked bases, and what scripts
//! made of them.
//!
//! Each lies in a folder of its own below the cache, named by a key that says all it depends on.
//! It is made under another name and renamed when it is complete; who uses it holds a lock on it.
//! Its files have owners of the namespace, and beside it lies the ledger of what the file system
//! could not represent.

mod about;
mod entry;
mod key;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

pub(crate) use self::entry::{Partial, remove};
pub(crate) use self::key::{Key, KeyOf};

use self::about::About;
use crate::apart::keep_apart;
use crate::engine::Cancel;
use crate::error::Error;
use crate::layer::Ledger;
use crate::sandbox::{Namespace, own_folder};

/// What a tree is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Bases, which only depend on what is unpacked.
    Base,
    /// What the scripts of a definition changed in one.
    Step,
}

impl Role {
    /// Its folder in the cache.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Base => "lowers",
            Self::Step => "steps",
        }
    }
}

/// Where trees are kept, and whose they are.
#[derive(Clone, Copy)]
pub(crate) struct Store<'a> {
    pub(crate) cache: &'a Path,
    pub(crate) namespace: &'a Namespace,
    pub(crate) cancel: &'a Cancel,
}

/// What is known of a tree besides its files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// What the file system cannot represent of it, and of those below it, in JSON lines.
    pub(crate) ledger: String,
    /// Bytes that it takes on disk, about.
    pub(crate) bytes: u64,
}

/// A tree that is kept. It stays as long as this is there.
pub(crate) struct Lower {
    /// Its root directory.
    pub(crate) tree: PathBuf,
    /// What it depends on.
    pub(crate) key: Key,
    pub(crate) facts: Facts,
    made: SystemTime,
    held: Held,
}

/// What keeps a tree where it is.
enum Held {
    /// A lock.
    Locked { _folder: File },
    /// Nobody else knows of it.
    Own { partial: Partial },
}

impl Lower {
    /// Whether later builds find it.
    pub(crate) fn is_kept(&self) -> bool {
        match &self.held {
            Held::Locked { .. } => true,
            Held::Own { partial } => partial.is_complete(),
        }
    }

    /// All that is kept of it.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.tree.ancestors().nth(2)
    }

    /// How long ago it was made, in words.
    pub(crate) fn age(&self) -> String {
        const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3600, "h"), (60, "min")];
        let seconds = self.made.elapsed().unwrap_or_default().as_secs();
        let unit = UNITS.iter().find(|(length, _)| seconds >= 2 * length);
        let (length, name) = unit.unwrap_or(&(1, "s"));
        format!("{} {name}", seconds / length)
    }
}

impl Store<'_> {
    /// A tree by its key, if it was made no longer ago than `age`. One that is damaged is removed.
    pub(crate) fn find(
        &self,
        role: Role,
        key: &Key,
        age: Option<Duration>,
    ) -> Result<Option<Lower>, Error> {
        let folder = self.cache.join(role.folder()).join(key.as_str());
        let Some(held) = entry::hold(&folder)? else {
            return Ok(None);
        };
        let found = About::read(&folder);
        let is_old = |about: &About| age.is_some_and(|age| about.age() > age);
        match found {
            Some((about, ledger)) if !is_old(&about) => {
                about.mark_used(&folder)?;
                Ok(Some(Lower {
                    tree: folder.join(entry::TREE),
                    key: key.clone(),
                    made: about.made(),
                    facts: Facts {
                        ledger,
                        bytes: about.bytes,
                    },
                    held: Held::Locked { _folder: held },
                }))
            }
            _ => {
                drop(held);
                remove(&folder, self.namespace)?;
                Ok(None)
            }
        }
    }

    /// A tree by its key. If there is none, `fill` makes one in an empty folder; others who want
    /// the same wait for it.
    pub(crate) fn find_or_make(
        &self,
        key: &Key,
        fill: &mut dyn FnMut(&Path) -> Result<Facts, Error>,
    ) -> Result<Lower, Error> {
        let place = self.place(Role::Base)?;
        if let Some(lower) = self.find(Role::Base, key, None)? {
            return Ok(lower);
        }
        let _turn = self.wait_for_turn(&place.join(format!("{}.lock", key.as_str())))?;
        if let Some(lower) = self.find(Role::Base, key, None)? {
            return Ok(lower);
        }
        let partial = Partial::make(&place, self.namespace)?;
        let facts = fill(&partial.tree())?;
        self.put(partial, (Role::Base, key), &facts)
    }

    /// Gives a tree that is complete its name. Where another has it, that one stays, and this is the
    /// caller's alone.
    pub(crate) fn put(
        &self,
        mut partial: Partial,
        (role, key): (Role, &Key),
        facts: &Facts,
    ) -> Result<Lower, Error> {
        let facts = Facts {
            ledger: seal(&partial.tree(), &facts.ledger)?,
            bytes: facts.bytes,
        };
        let about = About::of(&facts, &partial.tree())?;
        about.write(partial.folder(), &facts.ledger)?;
        partial.rename(&self.cache.join(role.folder()).join(key.as_str()))?;
        Ok(Lower {
            tree: partial.tree(),
            key: key.clone(),
            facts,
            made: about.made(),
            held: Held::Own { partial },
        })
    }

    /// The folder of a role, without what those left in it that were killed.
    pub(crate) fn place(&self, role: Role) -> Result<PathBuf, Error> {
        let folder = self.cache.join(role.folder());
        own_folder(&folder).map_err(Error::io("using", &folder))?;
        // Programs in there are run as the user they belong to by nobody but builds.
        let closed = fs::set_permissions(&folder, Permissions::from_mode(0o700));
        closed.map_err(Error::io("changing the mode of", &folder))?;
        keep_apart(&folder);
        entry::sweep(&folder, self.namespace)?;
        Ok(folder)
    }

    /// Waits until nobody else makes the same.
    pub(crate) fn wait_for_turn(&self, path: &Path) -> Result<File, Error> {
        const TICK: Duration = Duration::from_millis(50);
        let lock = File::create(path).map_err(Error::io("creating", path))?;
        while lock.try_lock().is_err() {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            thread::sleep(TICK);
        }
        Ok(lock)
    }
}

/// The ledger of a tree that is a folder below overlays from now on.
fn seal(tree: &Path, ledger: &str) -> Result<String, Error> {
    let root = fs::metadata(tree).map_err(Error::io("reading", tree))?;
    let broken = || Error::io("reading", "ledger");
    let ledger = Ledger::read(ledger.as_bytes()).map_err(broken())?;
    let mut sealed = Vec::new();
    let written = ledger.below_overlays(root.ino()).write(&mut sealed);
    written.map_err(broken())?;
    String::from_utf8(sealed).map_err(|error| Error::Internal(error.to_string()))
}
