//! The base of `/.singularity.d`: what every image has, whatever its definition says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Result;
use super::tree::{PLAIN, SCRIPT, Tree};
use crate::Error;

/// What kind of base the tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaseKind {
    /// A root file system that was no image of ours: everything is written afresh.
    Fresh,
    /// An image made from a definition before: what it has is kept.
    LocalImage,
}

const FOLDERS: &[&str] = &[
    ".singularity.d/libs",
    ".singularity.d/actions",
    ".singularity.d/env",
    "dev",
    "proc",
    "root",
    "var/tmp",
    "tmp",
    "etc",
    "sys",
    "home",
];

const SCRIPTS: &[(&str, &str)] = &[
    (".singularity.d/actions/exec", include_str!("scripts/exec")),
    (".singularity.d/actions/run", include_str!("scripts/run")),
    (
        ".singularity.d/actions/shell",
        include_str!("scripts/shell"),
    ),
    (
        ".singularity.d/actions/start",
        include_str!("scripts/start"),
    ),
    (".singularity.d/actions/test", include_str!("scripts/test")),
    (
        ".singularity.d/env/01-base.sh",
        include_str!("scripts/01-base.sh"),
    ),
    (
        ".singularity.d/env/90-environment.sh",
        include_str!("scripts/90-environment.sh"),
    ),
    (
        ".singularity.d/env/95-apps.sh",
        include_str!("scripts/95-apps.sh"),
    ),
    (
        ".singularity.d/env/99-base.sh",
        include_str!("scripts/99-base.sh"),
    ),
    (
        ".singularity.d/env/99-runtimevars.sh",
        include_str!("scripts/99-runtimevars.sh"),
    ),
    (".singularity.d/runscript", "#!/bin/sh\n"),
    (".singularity.d/startscript", "#!/bin/sh\n"),
];

const LINKS: &[(&str, &str)] = &[
    ("singularity", ".singularity.d/runscript"),
    ("environment", ".singularity.d/env/90-environment.sh"),
    (".run", ".singularity.d/actions/run"),
    (".exec", ".singularity.d/actions/exec"),
    (".test", ".singularity.d/actions/test"),
    (".shell", ".singularity.d/actions/shell"),
];

/// Gives a root file system the folders, scripts and links that runtimes expect.
pub fn install_base(root: &Path, base: BaseKind) -> Result<()> {
    let tree = Tree::new(root);
    make_writable(root)?;
    for folder in FOLDERS {
        tree.folder(folder)?;
    }
    for (path, content) in SCRIPTS {
        match base {
            BaseKind::Fresh => tree.write(path, content, SCRIPT)?,
            BaseKind::LocalImage => tree.write_if_missing(path, content, SCRIPT)?,
        }
    }
    for (path, target) in LINKS {
        tree.link_if_missing(path, target)?;
    }
    if base == BaseKind::Fresh {
        // Runtimes mount the machine's own files over these.
        tree.write("etc/hosts", "", PLAIN)?;
        tree.write("etc/resolv.conf", "", PLAIN)?;
    }
    Ok(())
}

/// Some images have a root folder that not even its owner may write to.
fn make_writable(root: &Path) -> Result<()> {
    let mode = fs::metadata(root)
        .map_err(Error::io("reading", root))?
        .permissions()
        .mode();
    if mode & 0o700 == 0o700 {
        return Ok(());
    }
    let mode = Permissions::from_mode(mode | 0o700);
    fs::set_permissions(root, mode).map_err(Error::io("opening", root))
}
