//! `import`: a base, or an archive, into an image or a folder.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::fill::Content;
use super::target::Target;
use crate::base::{self, Base, Bootstrapper};
use crate::cache;
use crate::definition::{Bootstrap, Docker};
use crate::engine::{self, Cancel, Engine, Event, Request};
use crate::error::Error;
use crate::files::{self, Pair};
use crate::inside::Task;
use crate::metadata::BaseKind;
use crate::oci::LayerBlob;
use crate::sandbox::{Namespace, Streams, Workspace};

/// What is imported.
pub enum Source<'a> {
    /// The base that the request's definition names; the rest of the definition is not looked at.
    Base,
    /// A tar archive, compressed or not.
    Archive {
        /// Its name in messages.
        name: String,
        /// Its bytes.
        archive: &'a mut (dyn Read + Send),
    },
}

impl Engine {
    /// Puts the source over what is in the image or folder that is the request's output.
    pub fn import(
        &self,
        request: &Request,
        source: Source<'_>,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.edit(request, events, cancel, |import| import.put(source))
    }

    /// Copies files of the caller into the image or folder that is the request's output, as `cp -r`
    /// would.
    pub fn copy(
        &self,
        request: &Request,
        pairs: &[Pair],
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
    ) -> Result<(), Error> {
        self.edit(request, events, cancel, |import| {
            let workspace = import.bootstrapper.workspace;
            files::copy(workspace, &request.context, pairs, None, &mut |_| {})
        })
    }

    /// Reads the tree of the request's output, changes it and writes it back.
    fn edit(
        &self,
        request: &Request,
        events: &(dyn Fn(Event<'_>) + Sync),
        cancel: &Cancel,
        change: impl FnOnce(&mut Import<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _layers = cache::hold(&self.settings.cache)?;
        let target = Target::open(request.output.path())?;
        let namespace = Namespace::new(self.settings.identity)?;
        let workspace = Workspace::create(&self.settings.scratch, &namespace)?;
        // The import says all there is to say, in words of its own.
        let silent = |event: Event<'_>| {
            if !matches!(event, Event::Info(_)) {
                events(event);
            }
        };
        let mut import = Import {
            bootstrapper: Bootstrapper {
                settings: &self.settings,
                request,
                events: &silent,
                cancel,
                workspace: &workspace,
                ledger: String::new(),
                unpacked: 0,
                below: base::Below::Nothing,
                packs: None,
            },
            say: &|line| events(Event::Info(line)),
        };
        target.read(&mut import.bootstrapper)?;
        change(&mut import)?;
        target.write(&Content {
            workspace: &workspace,
            ledger: &import.bootstrapper.ledger,
            latest: request.epoch,
            cancel,
        })
    }
}

struct Import<'a> {
    bootstrapper: Bootstrapper<'a>,
    say: &'a dyn Fn(&str),
}

impl Import<'_> {
    fn put(&mut self, source: Source<'_>) -> Result<(), Error> {
        let base = match source {
            Source::Base => self.put_base()?,
            Source::Archive { name, archive } => {
                self.say_base();
                (self.say)(&format!("Importing: {name}"));
                self.bootstrapper.apply(archive, None)?;
                Base {
                    kind: BaseKind::LocalImage,
                    ..Base::default()
                }
            }
        };
        self.inside(&Task::InstallBase(base.kind))?;
        let Some(config) = base.config else {
            return Ok(());
        };
        self.inside(&Task::InstallConfig {
            config: Box::new(config),
            include_cmd: base.include_cmd,
        })
    }

    fn put_base(&mut self) -> Result<Base, Error> {
        let request = self.bootstrapper.request;
        let definition = engine::parse(request, self.bootstrapper.events)?;
        let Some(stage) = definition.stages.last() else {
            return Err(Error::Internal("definition has no stage".to_owned()));
        };
        match &stage.header.bootstrap {
            Bootstrap::Docker(docker) => self.put_layers(docker),
            other => {
                self.say_base();
                (self.say)(&format!("Importing: {}", request.name));
                base::bootstrap(&mut self.bootstrapper, other)
            }
        }
    }

    fn put_layers(&mut self, docker: &Docker) -> Result<Base, Error> {
        let cache = self.bootstrapper.settings.cache.join("docker");
        (self.say)(&format!("Cache folder set to {}", cache.display()));
        let image = base::fetch_docker(&self.bootstrapper, docker)?;
        self.say_base();
        for layer in &image.layers {
            let shown = show_in_cache(&cache, layer)?;
            (self.say)(&format!("Importing: {}", shown.display()));
            let mut file = File::open(&layer.path).map_err(Error::io("opening", &layer.path))?;
            self.bootstrapper.apply(&mut file, layer.diff_id.clone())?;
        }
        Ok(base::docker_base(image, docker))
    }

    fn say_base(&self) {
        (self.say)("Importing: base Singularity environment");
    }

    fn inside(&self, task: &Task) -> Result<(), Error> {
        let workspace = self.bootstrapper.workspace;
        let done = workspace.perform(task, Streams::default());
        done.map(drop)
    }
}

/// Gives a layer of the cache the name that Singularity 2 knew it by, so that what is said of it
/// leads to it.
fn show_in_cache(folder: &Path, layer: &LayerBlob) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{}.tar.gz", layer.digest));
    fs::create_dir_all(folder).map_err(Error::io("making the folder", folder))?;
    match symlink(&layer.path, &path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("linking", path)(error))
        }
        _ => Ok(path),
    }
}
