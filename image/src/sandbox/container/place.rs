//! What of the machine, and what else, is mounted into a container.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use rustix::fs::{CWD, FileType, fstat};
use rustix::mount::open_tree;

use super::Root;
use super::session::{Kind, make_folder, memory};
use crate::sandbox::failure::Failure;
use crate::sandbox::mounts::devices::Devices;
use crate::sandbox::mounts::{self, Proc, attach, clone_of, restrict};

/// Something to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where, inside.
    pub(crate) target: PathBuf,
    /// What.
    pub(crate) source: Source,
    /// Whether nothing may be written there.
    pub(crate) read_only: bool,
    /// Whether the container is of no use without it.
    pub(crate) required: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file or folder of the machine.
    Host(PathBuf),
    /// An empty folder in memory, with a mode in octal.
    Memory(&'static str),
    /// A `/dev` with the usual devices only.
    Devices,
    /// A `/proc` of the container's own processes.
    Processes,
    /// A file with that content.
    File(Vec<u8>),
}

/// A place whose source is taken hold of.
pub(crate) struct Gathered {
    pub(super) place: Place,
    held: Held,
}

enum Held {
    Tree(OwnedFd, Kind),
    Devices(Box<Devices>),
    Processes(Proc),
    /// It is made when the session is there.
    Later(Vec<u8>),
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.place.fmt(f)
    }
}

impl Root {
    /// Takes hold of everything. What is not required and cannot be had is left out, and named.
    #[expect(
        clippy::unused_self,
        reason = "before the namespaces nothing can be gathered"
    )]
    pub(crate) fn gather(
        &self,
        places: Vec<Place>,
        leave_out: &mut dyn FnMut(&Path, &str),
    ) -> Result<Vec<Gathered>, Failure> {
        let mut gathered = Vec::new();
        for place in places {
            match hold(&place.source) {
                Ok(held) => gathered.push(Gathered { place, held }),
                Err(failure) if place.required => return Err(failure),
                Err(failure) => leave_out(&place.target, failure.message()),
            }
        }
        Ok(gathered)
    }
}

fn hold(source: &Source) -> Result<Held, Failure> {
    Ok(match source {
        Source::Host(path) => {
            let tree = open_tree(CWD, path, mounts::CLONE).map_err(mounts::shown(path))?;
            let kind = kind_of(&tree, path)?;
            Held::Tree(tree, kind)
        }
        Source::Memory(mode) => Held::Tree(memory(mode)?, Kind::Folder),
        Source::Devices => Held::Devices(Box::new(Devices::gather()?)),
        Source::Processes => Held::Processes(Proc::gather()?),
        Source::File(content) => Held::Later(content.clone()),
    })
}

fn kind_of(tree: &OwnedFd, path: &Path) -> Result<Kind, Failure> {
    let metadata = fstat(tree).map_err(mounts::shown(path))?;
    Ok(match FileType::from_raw_mode(metadata.st_mode) {
        FileType::Directory => Kind::Folder,
        _ => Kind::File,
    })
}

impl Gathered {
    /// A file with that content, made in the session.
    pub(super) fn file(target: &Path, content: Vec<u8>) -> Self {
        Self {
            place: Place {
                target: target.to_owned(),
                source: Source::File(Vec::new()),
                read_only: false,
                required: false,
            },
            held: Held::Later(content),
        }
    }

    /// What it has to be mounted over.
    pub(super) fn kind(&self) -> Kind {
        match &self.held {
            Held::Tree(_, kind) => *kind,
            Held::Devices(_) | Held::Processes(_) => Kind::Folder,
            Held::Later(_) => Kind::File,
        }
    }

    /// Makes what is made of memory, as long as the session is the root directory.
    pub(super) fn settle(&mut self, number: usize) -> Result<(), Failure> {
        let Held::Later(content) = &self.held else {
            return Ok(());
        };
        let path = format!("/files/{number}");
        make_folder(Path::new("/files"))?;
        fs::write(&path, content).map_err(Failure::io("writing", &path))?;
        self.held = Held::Tree(clone_of(&path)?, Kind::File);
        Ok(())
    }

    /// Mounts it; the container's root directory is ours.
    pub(super) fn attach(&self, covered: &Covered) -> Result<(), Failure> {
        let target = &self.place.target;
        match &self.held {
            Held::Tree(tree, kind) => {
                make_missing(target, *kind, covered)?;
                attach(tree, target)?;
            }
            Held::Devices(devices) => devices.show()?,
            Held::Processes(proc) => proc.show()?,
            Held::Later(_) => {}
        }
        if self.place.read_only {
            restrict::at(target, MsFlags::MS_RDONLY)?;
        }
        Ok(())
    }
}

/// A folder of the container's own is given what is to be mounted at below it; the caller's is not.
fn make_missing(target: &Path, kind: Kind, covered: &Covered) -> Result<(), Failure> {
    if target.exists() {
        return Ok(());
    }
    if let Covered::ByHost(cover) = covered {
        return Err(Failure::input(format!(
            "{} cannot be mounted at: {} is the machine's folder and has no such entry; make it \
             there first",
            target.display(),
            cover.display()
        )));
    }
    let parent = target.parent().unwrap_or(target);
    let made = match kind {
        Kind::Folder => fs::create_dir_all(target),
        Kind::File => fs::create_dir_all(parent).and_then(|()| fs::write(target, "")),
    };
    made.map_err(Failure::io("making a place to mount at", target))
}

/// What is mounted above a place, below the root directory.
pub(super) enum Covered {
    /// Nothing.
    No,
    /// A folder in memory.
    ByMemory,
    /// Something of the machine's, at that path.
    ByHost(PathBuf),
}

/// What the places before it cover a place with.
pub(super) fn covered(before: &[Gathered], target: &Path) -> Covered {
    let covering = |gathered: &&Gathered| {
        target != gathered.place.target && target.starts_with(&gathered.place.target)
    };
    match before.iter().rfind(covering).map(|cover| &cover.place) {
        None => Covered::No,
        Some(place) if matches!(place.source, Source::Memory(_)) => Covered::ByMemory,
        Some(place) => Covered::ByHost(place.target.clone()),
    }
}
