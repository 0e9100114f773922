//! What a process in the sandbox sees: the file systems, and how they are restricted.

pub(super) mod binds;
pub(super) mod devices;
mod host;
pub(super) mod overlay;
pub(super) mod restrict;

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use self::devices::Devices;
use self::host::Host;
use super::Bind;
use super::channel::Seat;
use super::child::machine;
use super::failure::Failure;
use super::script::Section;

/// Where `%setup` finds the root file system.
pub(super) const SETUP_ROOTFS: &str = "/run/cooperage/rootfs";
/// Where `%setup` finds the folder of the definition.
pub(super) const SETUP_CONTEXT: &str = "/run/cooperage/context";

/// Names in a workspace.
pub(crate) const ROOTFS: &str = "rootfs";
pub(super) const CONTEXT: &str = "context";
pub(super) const TMP: &str = "tmp";
pub(super) const VAR_TMP: &str = "var-tmp";
/// Where a layer in memory is, for who mounts it.
pub(super) const LAYER: &str = "layer";
/// Where what changes in an overlay is.
pub(super) const CHANGES: &str = "changes";
/// The folder in it that is the overlay's uppermost.
pub(crate) const UPPER: &str = "changes/tree";
/// What the overlay needs besides.
pub(super) const WORK: &str = "work";

/// Makes a folder the root directory and lets go of everything else.
pub(super) fn enter_seat(seat: Seat) -> Result<(), Failure> {
    keep_to_ourselves()?;
    let folder = match seat {
        Seat::Folder | Seat::Workspace => ".",
        Seat::Rootfs => ROOTFS,
    };
    become_root(&clone_of(folder)?)
}

/// Shows a folder of the machine as `context` below the current folder.
pub(super) fn show_context(context: Option<&Path>) -> Result<(), Failure> {
    let Some(context) = context else {
        return Ok(());
    };
    keep_to_ourselves()?;
    let tree = open_tree(CWD, context, CLONE).map_err(shown(context))?;
    attach(&tree, Path::new(CONTEXT))
}

/// Builds what a script sees and makes it the root directory.
pub(super) fn enter_sandbox(section: Section, binds: &[Bind]) -> Result<(), Failure> {
    keep_to_ourselves()?;
    let trees = Trees::gather(section)?;
    let bound = binds::gather(binds.len())?;
    become_root(&trees.root)?;

    trees.proc.show()?;
    attach_in_new_folder(&trees.sys, "/sys")?;
    trees.devices.show()?;
    if section.is_on_host() {
        trees.show_host()?;
    }
    restrict::below(
        "/sys",
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )?;
    trees.show_writable(section)?;
    binds::attach_all(&bound, binds)
}

/// Everything is taken hold of before the machine's tree is let go.
struct Trees {
    root: OwnedFd,
    proc: Proc,
    sys: OwnedFd,
    devices: Devices,
    tmp: OwnedFd,
    var_tmp: OwnedFd,
    host: Option<Host>,
}

/// What the sandbox has as `/proc`.
pub(super) enum Proc {
    /// It shows the processes of the sandbox only.
    Fresh(OwnedFd),
    /// The kernel refuses a fresh one where parts of `/proc` are covered, as in most containers.
    /// The machine's is shown read-only: of processes outside, the kernel gives a namespace the
    /// names and nothing that they keep to themselves.
    Machines(OwnedFd),
}

impl Proc {
    pub(super) fn gather() -> Result<Self, Failure> {
        file_system("proc", &[])
            .map(Self::Fresh)
            .or_else(|_| clone_of("/proc").map(Self::Machines))
    }

    pub(super) fn show(&self) -> Result<(), Failure> {
        match self {
            Self::Fresh(tree) => attach_in_new_folder(tree, "/proc"),
            Self::Machines(tree) => {
                attach_in_new_folder(tree, "/proc")?;
                restrict::below("/proc", MsFlags::MS_RDONLY | NO_PROGRAMS)
            }
        }
    }
}

const NO_PROGRAMS: MsFlags = MsFlags::MS_NOSUID
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC);

pub(super) const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE
    .union(OpenTreeFlags::OPEN_TREE_CLOEXEC)
    .union(OpenTreeFlags::AT_RECURSIVE);

impl Trees {
    fn gather(section: Section) -> Result<Self, Failure> {
        Ok(Self {
            root: match section {
                _ if section.is_on_host() => {
                    file_system("tmpfs", &[("mode", "0755"), ("size", "16m")])?
                }
                Section::TestWritable => layered()?,
                _ => clone_of(ROOTFS)?,
            },
            proc: Proc::gather()?,
            sys: clone_of("/sys")?,
            devices: Devices::gather()?,
            tmp: clone_of(TMP)?,
            var_tmp: clone_of(VAR_TMP)?,
            host: if section.is_on_host() {
                Some(Host::gather()?)
            } else {
                None
            },
        })
    }

    fn show_host(&self) -> Result<(), Failure> {
        let Some(host) = &self.host else {
            return Ok(());
        };
        for (path, tree) in &host.folders {
            attach_copy(tree, path)?;
        }
        for (path, target) in &host.links {
            make_parent(Path::new(path))?;
            symlink(target, path).map_err(Failure::io("creating", path))?;
        }
        for path in [SETUP_ROOTFS, SETUP_CONTEXT, "/tmp", "/var/tmp", "/root"] {
            fs::create_dir_all(path).map_err(Failure::io("creating", path))?;
        }
        if let Some(context) = &host.context {
            attach(context, Path::new(SETUP_CONTEXT))?;
        }
        let shown = host.folders.iter().map(|(path, _)| path.as_str());
        for path in shown.chain([SETUP_CONTEXT]) {
            restrict::below(path, MsFlags::MS_RDONLY | MsFlags::MS_NOSUID)?;
        }
        Ok(())
    }

    fn show_writable(&self, section: Section) -> Result<(), Failure> {
        let unprivileged = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        match &self.host {
            Some(host) => {
                attach(&host.rootfs, Path::new(SETUP_ROOTFS))?;
                restrict::only(SETUP_ROOTFS, unprivileged)?;
            }
            None if section.is_read_only() => {
                make_folder("/tmp")?;
                make_folder("/var/tmp")?;
                restrict::only("/", unprivileged | MsFlags::MS_RDONLY)?;
            }
            None => restrict::only("/", unprivileged)?,
        }
        for (tree, path) in [(&self.tmp, "/tmp"), (&self.var_tmp, "/var/tmp")] {
            // A link leads to the other one, or to where the image wants such files to stay.
            if !Path::new(path).is_symlink() {
                attach_in_new_folder(tree, path)?;
                restrict::only(path, unprivileged)?;
            }
        }
        Ok(())
    }
}

/// What we mount must not appear outside, nor the other way round.
fn keep_to_ourselves() -> Result<(), Failure> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(machine("keeping mounts private"))
}

/// <https://man7.org/linux/man-pages/man2/pivot_root.2.html>: both arguments are the folder itself.
pub(super) fn become_root(tree: &OwnedFd) -> Result<(), Failure> {
    let changing = "changing the root directory";
    attach(tree, Path::new("/"))?;
    nix::unistd::fchdir(tree).map_err(machine(changing))?;
    nix::unistd::pivot_root(".", ".").map_err(machine(changing))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(machine(changing))?;
    nix::unistd::chdir("/").map_err(machine(changing))
}

pub(super) fn clone_of(path: &str) -> Result<OwnedFd, Failure> {
    open_tree(CWD, path, CLONE).map_err(shown(Path::new(path)))
}

pub(super) fn shown(path: &Path) -> impl FnOnce(rustix::io::Errno) -> Failure {
    move |error| Failure::machine(&format!("showing {} in the sandbox", path.display()), error)
}

pub(super) fn file_system(kind: &str, options: &[(&str, &str)]) -> Result<OwnedFd, Failure> {
    let make = || {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(context.as_fd(), *key, *value)?;
        }
        fsconfig_create(context.as_fd())?;
        let mut restrictions =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        if kind != "devpts" {
            restrictions |= MountAttrFlags::MOUNT_ATTR_NODEV;
        }
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
    };
    make().map_err(|error| Failure::machine(&format!("mounting a fresh {kind}"), error))
}

/// The tree with a layer in memory over it, which takes what is written.
fn layered() -> Result<OwnedFd, Failure> {
    let memory = file_system("tmpfs", &[("mode", "0755")])?;
    attach(&memory, Path::new(LAYER))?;
    for name in ["upper", "work"] {
        let path = Path::new(LAYER).join(name);
        fs::create_dir(&path).map_err(Failure::io("creating", &path))?;
    }
    // The folder of the layer has the mode of the tree's, or nobody else could enter the tree.
    let mode = fs::metadata(ROOTFS).map_err(Failure::io("reading", ROOTFS))?;
    fs::set_permissions(Path::new(LAYER).join("upper"), mode.permissions())
        .map_err(Failure::io("changing the mode of", LAYER))?;
    let (upper, work) = (format!("{LAYER}/upper"), format!("{LAYER}/work"));
    overlay::made_of(ROOTFS, &upper, &work)
}

pub(super) fn attach(tree: &OwnedFd, path: &Path) -> Result<(), Failure> {
    move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(shown(path))
}

/// Mounts a tree where nothing is yet: at a new folder, or at a new file for a file.
fn attach_copy(tree: &OwnedFd, path: &str) -> Result<(), Failure> {
    let metadata = rustix::fs::fstat(tree)
        .map_err(|error| Failure::io("reading", path)(io::Error::from(error)))?;
    if rustix::fs::FileType::from_raw_mode(metadata.st_mode).is_dir() {
        fs::create_dir_all(path).map_err(Failure::io("creating", path))?;
    } else {
        make_parent(Path::new(path))?;
        fs::File::create(path).map_err(Failure::io("creating", path))?;
    }
    attach(tree, Path::new(path))
}

fn make_parent(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(Failure::io("creating", parent))
}

fn attach_in_new_folder(tree: &OwnedFd, path: &str) -> Result<(), Failure> {
    make_folder(path)?;
    attach(tree, Path::new(path))
}

fn make_folder(path: &str) -> Result<(), Failure> {
    let is_scratch = path.ends_with("/tmp");
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() || is_scratch && metadata.is_symlink() => Ok(()),
        Ok(_) => Err(Failure::input(format!(
            "{path} of the image is not a folder"
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mode = if is_scratch { 0o1777 } else { 0o755 };
            fs::create_dir_all(path)
                .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
                .map_err(Failure::io("creating", path))
        }
        Err(error) => Err(Failure::io("reading", path)(error)),
    }
}
