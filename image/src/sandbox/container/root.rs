//! The root directory of a container: the image, with what it lacks in front of it.
//!
//! An image that cannot be written to has not every folder that something is mounted at. The
//! missing ones are made in a skeleton, and an overlay lays that over the image; where the kernel
//! refuses overlays, folders of the skeleton are filled with bind mounts of what the image has.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use super::place::{Covered, Gathered, covered};
use super::session::{Kind, LOWER, Session, in_image, make_folder};
use crate::sandbox::failure::Failure;
use crate::sandbox::mounts::{self, attach, become_root, restrict, shown};

const SKELETON: &str = "/skeleton";
const UNDERLAY: &str = "/underlay";

/// Where what is written to the root directory goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Nothing can be written.
    Nowhere,
    /// Into memory; it is gone with the container.
    Memory,
    /// Into the folders `upper` and `work` of a folder of the machine.
    Layer(PathBuf),
    /// Into the image itself, which is a folder.
    Image,
}

/// How the image is shown.
#[derive(Debug)]
pub(crate) struct Surface {
    /// What is written.
    pub(crate) writing: Writing,
    /// The tree of [`Writing::Layer`].
    pub(crate) layer: Option<OwnedFd>,
    /// Never by an overlay.
    pub(crate) underlay: bool,
}

impl Surface {
    /// Takes hold of the layer's folder, as long as the machine's tree is there.
    pub(crate) fn gather(writing: Writing, underlay: bool) -> Result<Self, Failure> {
        let layer = match &writing {
            Writing::Layer(folder) => {
                for name in ["upper", "work"] {
                    make_folder(&folder.join(name))?;
                }
                Some(open_tree(CWD, folder, mounts::CLONE).map_err(shown(folder))?)
            }
            _ => None,
        };
        Ok(Self {
            writing,
            layer,
            underlay,
        })
    }

    fn restrictions(&self) -> MsFlags {
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        flags.set(MsFlags::MS_RDONLY, self.writing == Writing::Nowhere);
        flags
    }
}

impl Session {
    /// Puts a file in the place of one that the image has.
    pub(crate) fn replace(&mut self, path: &Path, content: Vec<u8>) {
        // First, so that what the caller mounts there wins.
        self.gathered.insert(0, Gathered::file(path, content));
    }

    /// Makes the image the root directory, with everything mounted that was gathered. What is not
    /// required and has no place is left out, and named.
    pub(crate) fn show(
        mut self,
        surface: &Surface,
        leave_out: &mut dyn FnMut(&Path, &str),
    ) -> Result<(), Failure> {
        for (number, gathered) in self.gathered.iter_mut().enumerate() {
            gathered.settle(number)?;
        }
        let missing = self.prepare(surface, leave_out)?;
        let tree = self.surface(surface, &missing)?;
        become_root(&tree)?;
        restrict::at(Path::new("/"), surface.restrictions())?;
        for (index, gathered) in self.gathered.iter().enumerate() {
            let covered = covered(&self.gathered[..index], &gathered.place.target);
            match gathered.attach(&covered) {
                Err(failure) if !gathered.place.required => {
                    leave_out(&gathered.place.target, failure.message());
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Finds out where everything goes, and which of it the image lacks.
    fn prepare(
        &mut self,
        surface: &Surface,
        leave_out: &mut dyn FnMut(&Path, &str),
    ) -> Result<BTreeMap<PathBuf, Kind>, Failure> {
        let mut missing = BTreeMap::new();
        let mut kept: Vec<Gathered> = Vec::new();
        for mut gathered in std::mem::take(&mut self.gathered) {
            if !matches!(covered(&kept, &gathered.place.target), Covered::No) {
                kept.push(gathered);
                continue;
            }
            let refusal = match self.find(&gathered.place.target) {
                None => Some("a file of the image is in its way"),
                Some(found) if found.kind.is_none() && surface.writing == Writing::Image => {
                    Some("the image, which is shown as it is, has no such folder or file")
                }
                Some(found) if found.kind.is_some_and(|kind| kind != gathered.kind()) => {
                    Some("one of it and what the image has there is a folder and one is not")
                }
                Some(found) => {
                    if found.kind.is_none() {
                        missing.insert(found.path.clone(), gathered.kind());
                    }
                    gathered.place.target = found.path;
                    None
                }
            };
            match refusal {
                None => kept.push(gathered),
                Some(why) if gathered.place.required => {
                    return Err(Failure::input(format!(
                        "{} cannot be mounted: {why}",
                        gathered.place.target.display()
                    )));
                }
                Some(why) => leave_out(&gathered.place.target, why),
            }
        }
        self.gathered = kept;
        Ok(missing)
    }

    fn surface(
        &self,
        surface: &Surface,
        missing: &BTreeMap<PathBuf, Kind>,
    ) -> Result<OwnedFd, Failure> {
        let in_memory = matches!(surface.writing, Writing::Memory | Writing::Layer(_));
        if !in_memory && missing.is_empty() {
            return clone_at(LOWER);
        }
        if surface.underlay {
            return self.underlay(surface, missing);
        }
        make_skeleton(missing)?;
        match self.overlay(surface) {
            Err(failure) if in_memory => Err(failure),
            Err(_) => self.underlay(surface, missing),
            made => made,
        }
    }

    fn overlay(&self, surface: &Surface) -> Result<OwnedFd, Failure> {
        let upper = match (&surface.writing, &surface.layer) {
            (Writing::Layer(_), Some(layer)) => {
                make_folder(Path::new("/layer"))?;
                attach(layer, Path::new("/layer"))?;
                Some(("/layer/upper", "/layer/work"))
            }
            (Writing::Memory, _) => {
                make_folder(Path::new("/memory/upper"))?;
                make_folder(Path::new("/memory/work"))?;
                copy_mode(Path::new(LOWER), Path::new("/memory/upper"))?;
                Some(("/memory/upper", "/memory/work"))
            }
            _ => None,
        };
        let make = || {
            let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            fsconfig_set_string(&context, "source", "overlay")?;
            fsconfig_set_string(&context, "lowerdir", format!("{SKELETON}:{LOWER}"))?;
            if let Some((upper, work)) = upper {
                fsconfig_set_string(&context, "upperdir", upper)?;
                fsconfig_set_string(&context, "workdir", work)?;
                if self.own_users {
                    fsconfig_set_flag(&context, "userxattr")?;
                }
            }
            fsconfig_create(&context)?;
            let restrictions = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
            fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, restrictions)
        };
        make().map_err(|error: rustix::io::Errno| {
            Failure::machine("laying a writable folder over the image", error)
        })
    }

    #[expect(clippy::unused_self, reason = "the image is only there in a session")]
    fn underlay(
        &self,
        surface: &Surface,
        missing: &BTreeMap<PathBuf, Kind>,
    ) -> Result<OwnedFd, Failure> {
        if surface.writing != Writing::Nowhere {
            return Err(Failure::input(
                "without an overlay nothing can be written to the image",
            ));
        }
        fill(Path::new("/"), missing)?;
        clone_at(UNDERLAY)
    }
}

fn clone_at(path: &str) -> Result<OwnedFd, Failure> {
    mounts::clone_of(path)
}

fn make_skeleton(missing: &BTreeMap<PathBuf, Kind>) -> Result<(), Failure> {
    make_like_image(Path::new(SKELETON), Path::new("/"))?;
    for (path, kind) in missing {
        let parent = path.parent().unwrap_or(path);
        let mut above: Vec<&Path> = parent.ancestors().collect();
        above.reverse();
        for folder in above {
            make_like_image(Path::new(SKELETON), folder)?;
        }
        make(&below(SKELETON, path), *kind)?;
    }
    Ok(())
}

/// A folder of the skeleton hides the mode of the image's.
fn make_like_image(skeleton: &Path, folder: &Path) -> Result<(), Failure> {
    let path = skeleton.join(folder.strip_prefix("/").unwrap_or(folder));
    make_folder(&path)?;
    copy_mode(&in_image(folder), &path)
}

fn copy_mode(from: &Path, to: &Path) -> Result<(), Failure> {
    let mode = fs::metadata(from).map_or(0o755, |metadata| metadata.permissions().mode());
    fs::set_permissions(to, Permissions::from_mode(mode)).map_err(Failure::io("making", to))
}

fn make(path: &Path, kind: Kind) -> Result<(), Failure> {
    match kind {
        Kind::Folder => make_folder(path),
        Kind::File => fs::write(path, "").map_err(Failure::io("creating", path)),
    }
}

fn below(root: &str, path: &Path) -> PathBuf {
    Path::new(root).join(path.strip_prefix("/").unwrap_or(path))
}

/// Makes a folder of the underlay: what the image has in it is bound, what is missing is made.
fn fill(folder: &Path, missing: &BTreeMap<PathBuf, Kind>) -> Result<(), Failure> {
    make_like_image(Path::new(UNDERLAY), folder)?;
    let from = in_image(folder);
    for entry in fs::read_dir(&from).map_err(Failure::io("reading", &from))? {
        let entry = entry.map_err(Failure::io("reading", &from))?;
        let path = folder.join(entry.file_name());
        if missing.keys().any(|missing| missing.starts_with(&path)) {
            fill(&path, missing)?;
        } else {
            bind(&entry.path(), &below(UNDERLAY, &path))?;
        }
    }
    let own = missing.iter().filter(|(path, _)| path.starts_with(folder));
    for (path, kind) in own {
        let is_made_below = path
            .ancestors()
            .skip(1)
            .any(|above| above != folder && above.starts_with(folder) && in_image(above).is_dir());
        if !is_made_below {
            make_folder(&below(UNDERLAY, path.parent().unwrap_or(path)))?;
            make(&below(UNDERLAY, path), *kind)?;
        }
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<(), Failure> {
    let metadata = fs::symlink_metadata(from).map_err(Failure::io("reading", from))?;
    if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(Failure::io("reading", from))?;
        return symlink(target, to).map_err(Failure::io("creating", to));
    }
    let kind = if metadata.is_dir() {
        Kind::Folder
    } else {
        Kind::File
    };
    make(to, kind)?;
    let tree = open_tree(CWD, from, mounts::CLONE).map_err(shown(from))?;
    attach(&tree, to)?;
    restrict::at(
        to,
        MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
    )
}
