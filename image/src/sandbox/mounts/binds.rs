//! Files and folders of the machine that `%post` and `%test` see.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::mount::MsFlags;
use rustix::fs::CWD;
use rustix::mount::open_tree;

use super::{CLONE, attach, clone_of, keep_to_ourselves, restrict, shown};
use crate::error::Error;
use crate::sandbox::failure::Failure;
use crate::sandbox::{Bind, Workspace};

/// Makes places in a workspace for what is to be seen.
pub(in crate::sandbox) fn make_places(workspace: &Workspace, binds: &[Bind]) -> Result<(), Error> {
    for (index, bind) in binds.iter().enumerate() {
        let found = bind.source.metadata();
        let found = found.map_err(Error::io("binding", &bind.source))?;
        if found.is_dir() {
            workspace.make_folder(&place(index))?;
        } else {
            let place = workspace.path().join(place(index));
            File::create(&place).map_err(Error::io("creating", &place))?;
        }
    }
    Ok(())
}

/// Shows all of them in their places below the current folder.
pub(in crate::sandbox) fn show(binds: &[Bind]) -> Result<(), Failure> {
    if !binds.is_empty() {
        keep_to_ourselves()?;
    }
    for (index, bind) in binds.iter().enumerate() {
        let tree = open_tree(CWD, &bind.source, CLONE).map_err(shown(&bind.source))?;
        attach(&tree, Path::new(&place(index)))?;
    }
    Ok(())
}

/// Takes hold of what is in the places, as long as the machine's tree is the root directory.
pub(super) fn gather(count: usize) -> Result<Vec<OwnedFd>, Failure> {
    (0..count).map(|index| clone_of(&place(index))).collect()
}

/// Puts them where the image has them.
pub(super) fn attach_all(trees: &[OwnedFd], binds: &[Bind]) -> Result<(), Failure> {
    for (tree, bind) in trees.iter().zip(binds) {
        let target = bind.target.as_path();
        if let Err(error) = target.metadata() {
            return Err(no_target(target, &error));
        }
        attach(tree, target)?;
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        flags.set(MsFlags::MS_RDONLY, bind.read_only);
        let real = target.canonicalize();
        let real = real.map_err(Failure::io("finding", target))?;
        restrict::below(&real.to_string_lossy(), flags)?;
    }
    Ok(())
}

fn no_target(target: &Path, error: &io::Error) -> Failure {
    let target = target.display();
    Failure::input(match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "{target} is bound but is not in the image: make it in %setup, or choose another"
            )
        }
        _ => format!("{target} of the image cannot be bound: {error}"),
    })
}

fn place(index: usize) -> String {
    format!("bind-{index}")
}
