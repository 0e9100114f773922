//! Makes the image of the last stage's tree: a file or a folder, complete before it has its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::event::Phase;
use super::image::{BuiltImage, Facts, Hold, ImageFile};
use super::request::{Output, Request};
use super::stage::StageBuild;
use super::unfold;
use crate::classic::{Content, Target};
use crate::error::Error;
use crate::pack::{self, Layout, Pack};

/// Makes sure that nothing is overwritten that the caller does not want to be.
pub(super) fn refuse_existing(request: &Request) -> Result<(), Error> {
    let path = request.output.path();
    let Ok(found) = fs::metadata(path) else {
        return match &request.output {
            Output::Update(folder) => Err(unfold::no_sandbox(folder, "is not there")),
            Output::Writable(path) => Target::open(path).map(drop),
            _ => Ok(()),
        };
    };
    match &request.output {
        Output::Sif(_) if found.is_dir() => Err(is_a_folder(path)),
        Output::Sif(_) if is_stream(&found) => Ok(()),
        Output::Sif(_) | Output::Sandbox(_) if request.overwrite => Ok(()),
        Output::Sif(_) => Err(Error::Exists(path.to_owned())),
        Output::Sandbox(_) => unfold::refuse_to_replace(path),
        Output::Update(_) => unfold::require_sandbox(path),
        Output::Writable(_) => Target::open(path).map(drop),
    }
}

fn is_a_folder(path: &Path) -> Error {
    let path = path.display();
    Error::Machine {
        message: format!("{path} is a folder, and the image is a file"),
        help: Some("name the image's file; --sandbox makes a folder".to_owned()),
    }
}

/// `/dev/null` and the like are written to, not replaced.
fn is_stream(found: &fs::Metadata) -> bool {
    let kind = found.file_type();
    kind.is_char_device() || kind.is_block_device() || kind.is_fifo()
}

impl StageBuild<'_> {
    /// Makes the image and puts it in its place.
    pub(super) fn finish(self, held: File) -> Result<BuiltImage, Error> {
        self.enter(Phase::Pack)?;
        let definition = self.order.definition.redacted();
        let output = &self.order.request.output;
        let file = match output {
            Output::Sif(path) => Some(self.write_sif(path, &definition, held)?),
            Output::Sandbox(folder) | Output::Update(folder) => {
                self.unfold(folder)?;
                None
            }
            Output::Writable(path) => {
                Target::open(path)?.write(&self.content())?;
                None
            }
        };
        self.say("build complete");
        Ok(BuiltImage {
            path: output.path().to_owned(),
            file,
            facts: self.facts(definition),
        })
    }

    /// What the tree is made of, for those that write it elsewhere.
    pub(super) fn content(&self) -> Content<'_> {
        Content {
            workspace: &self.workspace,
            ledger: &self.ledger,
            latest: self.order.request.epoch,
            cancel: &self.order.watch.cancel,
        }
    }

    fn write_sif(&self, path: &Path, definition: &str, held: File) -> Result<ImageFile, Error> {
        let packs = self.all_packs()?;
        let latest = self.order.request.epoch.map(clamp);
        let files = pack::assemble(&packs, self.order.request.packing, latest)?;
        let layout = self.wrap(files, &packs, definition)?;
        if fs::metadata(path).is_ok_and(|found| is_stream(&found)) {
            write_to_stream(path, &layout)?;
        } else {
            write_beside(path, &layout)?;
        }
        Ok(ImageFile {
            layout,
            hold: Hold::of(held, packs),
        })
    }

    fn wrap(
        &self,
        files: pack::FileSystem,
        packs: &[Pack],
        definition: &str,
    ) -> Result<Layout, Error> {
        let config = self.base.config.as_ref().or(self.base.inherited.as_ref());
        let config = config.map(serde_json::to_vec).transpose();
        let config = config.map_err(|error| Error::Internal(error.to_string()))?;
        let inspect = self.facts.inspect_json.as_bytes();
        let mut objects = vec![("inspect-metadata.json", inspect)];
        objects.extend(config.as_deref().map(|config| ("oci-config.json", config)));
        let surroundings = pack::Surroundings {
            definition,
            objects,
            architecture: &self.facts.architecture,
            time: self.time(),
        };
        pack::wrap(files, packs, surroundings)
    }

    fn facts(self, definition: String) -> Facts {
        let facts = self.facts;
        Facts {
            architecture: facts.architecture,
            definition,
            labels: facts.labels,
            environment: facts.environment,
            runscript: facts.runscript,
            startscript: facts.startscript,
            test: facts.test,
            help: facts.help,
            base: self.base.reference,
        }
    }
}

/// A folder beside the output, which a rename brings from there to its place.
pub(super) fn folder_beside(output: &Path) -> Result<TempDir, Error> {
    let folder = folder_of(output);
    tempfile::Builder::new()
        .prefix(".cooperage-")
        .tempdir_in(&folder)
        .map_err(Error::io("creating an image in", folder))
}

pub(super) fn sync_folder_of(output: &Path) -> Result<(), Error> {
    let folder = folder_of(output);
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .map_err(Error::io("writing", folder))
}

fn folder_of(output: &Path) -> PathBuf {
    match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn write_to_stream(path: &Path, layout: &Layout) -> Result<(), Error> {
    let stream = OpenOptions::new().write(true).open(path);
    let written = stream.and_then(|mut stream| layout.copy_to(&mut stream));
    written.map_err(Error::io("writing", path))
}

/// Writes the image under another name first, so that what has its name is complete.
fn write_beside(output: &Path, layout: &Layout) -> Result<(), Error> {
    let temporary = folder_beside(output)?;
    let path = temporary.path().join("image.sif");
    write_file(&path, layout).map_err(Error::io("writing", output))?;
    fs::rename(&path, output).map_err(Error::io("writing", output))?;
    sync_folder_of(output)
}

/// A file that everybody may read and execute.
fn write_file(path: &Path, layout: &Layout) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o755)
        .open(path)?;
    layout.copy_to(&mut file)?;
    file.sync_all()
}

/// Squashfs counts the seconds since 1970 in 32 bits.
fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}
