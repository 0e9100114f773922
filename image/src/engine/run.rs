//! Runs an image once, where no Apptainer or Singularity is installed.

use std::fs::File;
use std::path::Path;

use super::request::clean_environment;
use super::{Cancel, Engine, Limits};
use crate::base;
use crate::error::Error;
use crate::inside::Task;
use crate::sandbox::{Namespace, ScriptRun, Section, Workspace, run_script};
use crate::squashfs::Bounds;

/// Sources the image's environment, then becomes the runscript with the arguments that follow.
const RUN: &str = "/.singularity.d/actions/run";

impl Engine {
    /// Unpacks the image into the scratch folder and runs its runscript with the arguments, in
    /// the sandbox and read-only. Both its streams go to `output` as they come.
    ///
    /// This shows that an image works; it is no runtime: nothing of the caller's files is there.
    pub fn run_image(
        &self,
        image: &Path,
        arguments: &[String],
        output: &mut dyn FnMut(&[u8]),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let namespace = Namespace::new(self.settings.identity)?;
        let workspace = Workspace::create(&self.settings.scratch, &namespace)?;
        unpack(image, &workspace, cancel)?;

        let mut command = vec![RUN.to_owned()];
        command.extend_from_slice(arguments);
        let run = ScriptRun {
            section: Section::Runscript,
            command,
            body: None,
            environment: clean_environment(&self.settings),
            context: None,
            binds: &[],
            network: self.settings.network,
            limits: Limits::default(),
        };
        run_script(&workspace, &run, output, cancel)
    }
}

fn unpack(image: &Path, workspace: &Workspace, cancel: &Cancel) -> Result<(), Error> {
    let file = File::open(image).map_err(Error::io("opening", image))?;
    let name = image.display().to_string();
    let task = Task::ApplyLayer {
        diff_id: None,
        ledger: String::new(),
        most_bytes: None,
    };
    base::read_tree(
        (&file, &name),
        Bounds {
            limits: Limits::default(),
            cancel,
        },
        |tree| base::apply(workspace, &task, tree, cancel).map(drop),
    )?;
    Ok(())
}
