//! Where in a tree a name of a layer lies, whatever links earlier entries made.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, chmodat, fstat, mkdirat,
    open, openat, readlinkat, statat, unlinkat, utimensat,
};
use rustix::io::Errno;

use super::error::Error;
use super::ledger::Ledger;
use crate::rooted;

const MOST_LINKS: u32 = 40;
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A tree that a layer is applied to.
pub(super) struct Tree<'a> {
    root: OwnedFd,
    /// What could not be represented.
    pub(super) ledger: &'a mut Ledger,
    /// Names that this layer made, as inode of the folder and name: its whiteouts spare them.
    made: HashSet<(u64, Vec<u8>)>,
    /// Times that folders get at the end, by inode, with a path that leads there.
    times: HashMap<u64, (Vec<u8>, Timespec)>,
}

/// A name in an opened folder of the tree.
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) folder_inode: u64,
    pub(super) name: Vec<u8>,
    /// The cleaned path, for messages.
    pub(super) path: Vec<u8>,
}

impl Place {
    /// The name as the system calls take it.
    pub(super) fn name(&self) -> &OsStr {
        OsStr::from_bytes(&self.name)
    }

    /// What lies at the place, if anything.
    pub(super) fn status(&self) -> Result<Option<Stat>, Error> {
        match statat(&self.folder, self.name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::io("looking at", &self.path)(error)),
        }
    }
}

impl<'a> Tree<'a> {
    /// Opens the tree below `root`.
    pub(super) fn open(root: &Path, ledger: &'a mut Ledger) -> Result<Self, Error> {
        let opened = open(root, FOLDER, Mode::empty());
        let root = opened.map_err(Error::io("opening", root.as_os_str().as_bytes()))?;
        Ok(Self {
            root,
            ledger,
            made: HashSet::new(),
            times: HashMap::new(),
        })
    }

    /// Finds the place of a cleaned path whose folder need not exist. `None` is the root itself.
    pub(super) fn place(&mut self, path: &[u8]) -> Result<Option<Place>, Error> {
        let (parent, name) = split(path);
        if name.is_empty() {
            return Ok(None);
        }
        let folder = match self.open_folder(parent) {
            Err(Errno::NOENT) => self.make_folders(parent, 0)?,
            opened => opened.map_err(Error::io("opening the folder of", path))?,
        };
        let status = fstat(&folder).map_err(Error::io("looking at the folder of", path))?;
        self.note_time(status.st_ino, parent, mtime_of(&status));
        let (name, path) = (name.to_vec(), path.to_vec());
        Ok(Some(Place {
            folder,
            folder_inode: status.st_ino,
            name,
            path,
        }))
    }

    /// Finds the place of a path that should exist already, and changes nothing.
    pub(super) fn existing(&self, path: &[u8]) -> Result<Option<Place>, Error> {
        let (parent, name) = split(path);
        let folder = match self.open_folder(parent) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            opened => opened.map_err(Error::io("opening the folder of", path))?,
        };
        let folder_inode = fstat(&folder)
            .map_err(Error::io("looking at", path))?
            .st_ino;
        Ok(Some(Place {
            folder,
            folder_inode,
            name: name.to_vec(),
            path: path.to_vec(),
        }))
    }

    /// Remembers a folder so that its time is the same afterwards, whatever is made in it.
    pub(super) fn keep_time(&mut self, path: &[u8], folder: &OwnedFd) -> Result<(), Error> {
        let status = fstat(folder).map_err(Error::io("looking at", path))?;
        self.note_time(status.st_ino, path, mtime_of(&status));
        Ok(())
    }

    /// The time that the folder at a place gets at the end.
    pub(super) fn set_time(&mut self, place: &Place, inode: u64, time: Timespec) {
        let noted = self.times.get(&place.folder_inode);
        let path = match noted {
            Some((folder, _)) => join(folder, &place.name),
            None => self.without_links(&place.path),
        };
        self.times.insert(inode, (path, time));
    }

    /// The time that the root folder gets at the end.
    pub(super) fn set_root_time(&mut self, inode: u64, time: Timespec) {
        self.times.insert(inode, (Vec::new(), time));
    }

    /// Notes a time for a folder that has none yet.
    fn note_time(&mut self, inode: u64, path: &[u8], time: Timespec) {
        if !self.times.contains_key(&inode) {
            let path = self.without_links(path);
            self.times.insert(inode, (path, time));
        }
    }

    /// A path of the same folder that still holds when links on the way are replaced; the path
    /// itself where there is none.
    fn without_links(&self, path: &[u8]) -> Vec<u8> {
        let mut found = path.to_vec();
        for _ in 0..MOST_LINKS {
            match self.behind_first_link(&found) {
                Some(behind) => found = behind,
                None => return found,
            }
        }
        path.to_vec()
    }

    /// A path with its first link resolved; nothing if it has none.
    fn behind_first_link(&self, path: &[u8]) -> Option<Vec<u8>> {
        let whole = OsStr::from_bytes(path);
        if path.is_empty() || rooted::open_without_links(&self.root, whole, FOLDER).is_ok() {
            return None;
        }
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = slashes.map(|(at, _)| at).chain([path.len()]);
        ends.find_map(|end| {
            let (head, rest) = path.split_at(end);
            let target = readlinkat(&self.root, OsStr::from_bytes(head), Vec::new()).ok()?;
            let target = resolve_text(split(head).0, target.as_bytes());
            Some(clean(&join(&target, rest)))
        })
    }

    /// Sets the times of all folders in which something changed.
    pub(super) fn finish(self) -> Result<(), Error> {
        for (inode, (path, time)) in &self.times {
            // A folder that was replaced since is not this folder.
            let Ok(folder) = self.open_folder(path) else {
                continue;
            };
            let status = fstat(&folder).map_err(Error::io("looking at", path))?;
            if status.st_ino != *inode {
                continue;
            }
            let times = Timestamps {
                last_access: *time,
                last_modification: *time,
            };
            utimensat(&folder, ".", &times, AtFlags::empty())
                .map_err(Error::io("setting the time of", path))?;
        }
        Ok(())
    }

    /// The root folder itself.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Remembers that this layer made what lies at a place.
    pub(super) fn mark_made(&mut self, place: &Place) {
        self.made.insert((place.folder_inode, place.name.clone()));
    }

    /// Removes what lies at a place, with everything below.
    pub(super) fn remove(&mut self, place: &Place) -> Result<(), Error> {
        self.remove_below(place, Spare::Nothing).map(drop)
    }

    /// Removes what lower layers put at a place; what this layer made stays.
    pub(super) fn remove_lower(&mut self, place: &Place) -> Result<(), Error> {
        self.remove_below(place, Spare::MadeByThisLayer).map(drop)
    }

    /// Removes what lower layers put into the folder at a place; the folder stays.
    pub(super) fn empty_lower(&mut self, place: &Place) -> Result<(), Error> {
        self.remove_content(place, Spare::MadeByThisLayer).map(drop)
    }

    /// Returns whether nothing is left there.
    fn remove_below(&mut self, place: &Place, spare: Spare) -> Result<bool, Error> {
        let Some(status) = place.status()? else {
            return Ok(true);
        };
        let key = (place.folder_inode, place.name.clone());
        let spared = spare == Spare::MadeByThisLayer && self.made.contains(&key);
        let is_folder = FileType::from_raw_mode(status.st_mode) == FileType::Directory;
        if is_folder && !self.remove_content(place, spare)? || spared {
            return Ok(false);
        }
        let flags = if is_folder {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        unlinkat(&place.folder, place.name(), flags).map_err(Error::io("removing", &place.path))?;
        self.made.remove(&key);
        if is_folder {
            // Another folder may be given its inode.
            self.times.remove(&status.st_ino);
        }
        if is_folder || status.st_nlink == 1 {
            self.ledger.forget(status.st_ino);
        }
        Ok(true)
    }

    /// Returns whether the folder is empty afterwards.
    fn remove_content(&mut self, place: &Place, spare: Spare) -> Result<bool, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&place.folder, place.name(), flags, Mode::empty())
            .map_err(Error::io("opening", &place.path))?;
        self.keep_time(&place.path, &folder)?;
        let mut all_gone = true;
        for name in names_in(&folder).map_err(Error::io("listing", &place.path))? {
            let child = Place {
                folder_inode: fstat(&folder)
                    .map_err(Error::io("looking at", &place.path))?
                    .st_ino,
                folder: folder
                    .try_clone()
                    .map_err(Error::io("opening", &place.path))?,
                path: join(&place.path, &name),
                name,
            };
            all_gone &= self.remove_below(&child, spare)?;
        }
        Ok(all_gone)
    }

    fn open_folder(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        rooted::open(&self.root, OsStr::from_bytes(path), FOLDER)
    }

    /// Makes the missing folders of a path, following dangling links inside the tree.
    fn make_folders(&mut self, path: &[u8], links: u32) -> Result<OwnedFd, Error> {
        if links > MOST_LINKS {
            return Err(Error::entry(path, "lies behind too many symbolic links"));
        }
        let failed = || Error::io("making the folder", path);
        let (parent, name) = split(path);
        let folder = match self.open_folder(parent) {
            Err(Errno::NOENT) => self.make_folders(parent, links + 1)?,
            opened => opened.map_err(failed())?,
        };
        let name = OsStr::from_bytes(name);
        if let Ok(target) = readlinkat(&folder, name, Vec::new()) {
            let target = resolve_text(parent, target.as_bytes());
            return match self.open_folder(&target) {
                Err(Errno::NOENT) => self.make_folders(&target, links + 1),
                opened => opened.map_err(failed()),
            };
        }
        self.keep_time(parent, &folder)?;
        mkdirat(&folder, name, Mode::from_raw_mode(0o755)).map_err(failed())?;
        // The umask took bits away.
        chmodat(&folder, name, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(failed())?;
        let place = Place {
            folder_inode: fstat(&folder).map_err(failed())?.st_ino,
            folder,
            name: name.as_bytes().to_vec(),
            path: path.to_vec(),
        };
        self.mark_made(&place);
        let made = openat(&place.folder, name, FOLDER, Mode::empty()).map_err(failed())?;
        let inode = fstat(&made).map_err(failed())?.st_ino;
        // No entry says when it was made; the same layer shall always give the same tree.
        self.set_time(&place, inode, Timespec::default());
        Ok(made)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spare {
    Nothing,
    MadeByThisLayer,
}

/// A name without `.`, `..`, leading and double slashes: what it means below the root.
pub(crate) fn clean(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// A cleaned path's folder and last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A cleaned path with one more component.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        name.to_vec()
    } else {
        [folder, name].join(&b'/')
    }
}

fn resolve_text(folder: &[u8], target: &[u8]) -> Vec<u8> {
    if target.starts_with(b"/") {
        clean(target)
    } else {
        clean(&join(folder, target))
    }
}

fn mtime_of(status: &Stat) -> Timespec {
    Timespec {
        tv_sec: status.st_mtime,
        tv_nsec: i64::try_from(status.st_mtime_nsec).unwrap_or(0),
    }
}

fn names_in(folder: impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleaned_name_never_leaves_the_root() {
        assert_eq!(clean(b"../../etc//./passwd"), b"etc/passwd");
        assert_eq!(clean(b"/a/../../b/"), b"b");
        assert_eq!(clean(b"./"), b"");
        assert_eq!(clean(b"a/..b"), b"a/..b");
    }
}
