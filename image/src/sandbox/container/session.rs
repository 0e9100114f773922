//! The image before it is the root directory: what it has, and where its links lead.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::Root;
use super::place::Gathered;
use crate::sandbox::failure::Failure;
use crate::sandbox::mounts::{attach, become_root};

/// Where the image is.
pub(super) const LOWER: &str = "/lower";

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// A container whose root directory is a memory file system with the image below.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) gathered: Vec<Gathered>,
    pub(super) own_users: bool,
}

/// What a path leads to in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The path without links, from the image's root directory.
    pub(super) path: PathBuf,
    /// What is there; nothing if it is to be made.
    pub(super) kind: Option<Kind>,
}

/// What something is that can be mounted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A folder.
    Folder,
    /// Anything else.
    File,
}

impl Root {
    /// Lets go of the machine's tree; what was gathered stays.
    pub(crate) fn into_session(self, gathered: Vec<Gathered>) -> Result<Session, Failure> {
        become_root(&memory("0755")?)?;
        make_folder(Path::new(LOWER))?;
        attach(&self.tree, Path::new(LOWER))?;
        Ok(Session {
            gathered,
            own_users: self.own_users,
        })
    }
}

impl Session {
    /// The content of a file of the image; nothing if it has none.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        fs::read(in_image(&self.find(path)?.path)).ok()
    }

    /// Whether the image has something there that is not a folder.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        let found = self.find(Path::new(path));
        found.is_some_and(|found| found.kind == Some(Kind::File))
    }

    /// Follows a path through the image; nothing if a file is in its way.
    #[expect(clippy::unused_self, reason = "the image is only there in a session")]
    pub(super) fn find(&self, path: &Path) -> Option<Found> {
        find_below(Path::new(LOWER), path)
    }
}

/// Where something of the image lies now.
pub(super) fn in_image(path: &Path) -> PathBuf {
    Path::new(LOWER).join(path.strip_prefix("/").unwrap_or(path))
}

fn find_below(root: &Path, path: &Path) -> Option<Found> {
    let mut waiting: VecDeque<OsString> = names(path).collect();
    let mut found = PathBuf::from("/");
    let mut kind = Some(Kind::Folder);
    let mut links = 0;
    while let Some(name) = waiting.pop_front() {
        if name == ".." {
            found.pop();
            continue;
        }
        if kind == Some(Kind::File) {
            return None;
        }
        let next = found.join(&name);
        let metadata = fs::symlink_metadata(root.join(next.strip_prefix("/").ok()?)).ok();
        if metadata.as_ref().is_some_and(fs::Metadata::is_symlink) {
            links += 1;
            let target = fs::read_link(root.join(next.strip_prefix("/").ok()?)).ok()?;
            if links > MOST_LINKS {
                return None;
            }
            if target.is_absolute() {
                found = PathBuf::from("/");
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                waiting.push_front(name);
            }
            continue;
        }
        found = next;
        kind = metadata.map(|metadata| {
            if metadata.is_dir() {
                Kind::Folder
            } else {
                Kind::File
            }
        });
    }
    if found == Path::new("/") {
        kind = Some(Kind::Folder);
    }
    Some(Found { path: found, kind })
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

/// A memory file system for files of the container, programs included.
pub(super) fn memory(mode: &str) -> Result<OwnedFd, Failure> {
    let make = || {
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "mode", mode)?;
        fsconfig_create(&context)?;
        let restrictions = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
    };
    make().map_err(|error: rustix::io::Errno| {
        Failure::machine("mounting a memory file system", error)
    })
}

/// Makes a folder with all above it, whatever the caller's umask is.
pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(Failure::io("creating", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_an_image_lead_nowhere_else() {
        let image = tempfile::tempdir().unwrap();
        let root = image.path();
        fs::create_dir_all(root.join("usr/etc")).unwrap();
        fs::write(root.join("usr/etc/hosts"), "").unwrap();
        symlink("../../../usr/etc", root.join("etc")).unwrap();
        symlink("/run/resolve/stub", root.join("usr/etc/resolv.conf")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let find = |path: &str| find_below(root, Path::new(path));
        let found = |path: &str, kind| {
            Some(Found {
                path: PathBuf::from(path),
                kind,
            })
        };

        assert_eq!(find("/"), found("/", Some(Kind::Folder)));
        assert_eq!(find("/etc"), found("/usr/etc", Some(Kind::Folder)));
        assert_eq!(
            find("/etc/hosts"),
            found("/usr/etc/hosts", Some(Kind::File))
        );
        assert_eq!(find("/etc/resolv.conf"), found("/run/resolve/stub", None));
        assert_eq!(find("/a/../../b"), found("/b", None));
        assert_eq!(find("/etc/hosts/below"), None);
        assert_eq!(find("/loop"), None);
    }
}
