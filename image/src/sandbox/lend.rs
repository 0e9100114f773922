//! Lends the image files of the machine for as long as a script runs.
//!
//! They are written into the image and taken out again: over a bind mount packages could not
//! rename their own version (<https://github.com/apptainer/singularity/issues/5250>).

use std::fs;
use std::io;

use super::{Streams, Workspace};
use crate::error::Error;
use crate::inside::{Loan, Reply, Task};

/// apt gives up root for its downloads, which a namespace with one id does not let it do.
const APT_STAYS_ROOT: (&str, &str) = (
    "/etc/apt/apt.conf.d/00cooperage",
    "APT::Sandbox::User \"root\";\n",
);

/// What was written into an image and what it replaced.
pub(super) struct Lent(Vec<Loan>);

impl Lent {
    /// Lends the machine's name resolution, and settings that the namespace makes necessary.
    pub(super) fn to(workspace: &Workspace) -> Result<Self, Error> {
        let mut loans = Vec::new();
        for path in ["/etc/resolv.conf", "/etc/hosts"] {
            match fs::read(path) {
                Ok(content) => loans.push(Loan::replace(path, content)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("reading", path)(error)),
            }
        }
        if workspace.namespace().is_single() {
            let (path, content) = APT_STAYS_ROOT;
            loans.push(Loan::add(path, content.as_bytes().to_vec()));
        }
        match perform(workspace, &Task::Lend(loans))? {
            Reply::Lent(loans) => Ok(Self(loans)),
            other => Err(Error::Internal(format!(
                "lending was answered by {other:?}"
            ))),
        }
    }

    /// Puts back what was there before, unless the script put something else there.
    pub(super) fn take_back(self, workspace: &Workspace) -> Result<(), Error> {
        perform(workspace, &Task::TakeBack(self.0)).map(|_| ())
    }
}

fn perform(workspace: &Workspace, task: &Task) -> Result<Reply, Error> {
    workspace.perform(task, Streams::default())
}
