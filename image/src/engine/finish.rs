//! Makes the image of the last stage's tree: a file or a folder, complete before it has its name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::event::Phase;
use super::image::{BuiltImage, Facts, ImageFile};
use super::request::{Output, Request};
use super::stage::StageBuild;
use super::unfold;
use crate::classic::{Content, Target};
use crate::error::Error;
use crate::sif::{self, SifContents};
use crate::squashfs;

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
    pub(super) fn finish(self) -> Result<BuiltImage, Error> {
        self.enter(Phase::Pack)?;
        let definition = self.order.definition.redacted();
        let output = &self.order.request.output;
        let file = match output {
            Output::Sif(path) => Some(self.write_sif(path, &definition)?),
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

    fn write_sif(&self, path: &Path, definition: &str) -> Result<ImageFile, Error> {
        let tree = self.pack()?;
        let config = self.base.config.as_ref().or(self.base.inherited.as_ref());
        let config = config.map(serde_json::to_vec).transpose();
        let config = config.map_err(|error| Error::Internal(error.to_string()))?;
        let inspect = self.facts.inspect_json.as_bytes();
        let mut objects = vec![("inspect-metadata.json", inspect)];
        objects.extend(config.as_deref().map(|config| ("oci-config.json", config)));
        let contents = SifContents {
            definition,
            objects,
            squashfs: &tree,
            architecture: &self.facts.architecture,
            time: self.time(),
        };
        let summary = if fs::metadata(path).is_ok_and(|found| is_stream(&found)) {
            self.write_to_stream(path, &contents)?
        } else {
            write_beside(path, &contents)?
        };
        Ok(ImageFile {
            size: summary.size,
            sha256: summary.sha256,
            md5: summary.md5,
        })
    }

    fn pack(&self) -> Result<PathBuf, Error> {
        let tree = self.workspace.path().join("rootfs.squashfs");
        let extra = squashfs::Extra {
            latest: self.order.request.epoch,
            ledger: &self.ledger,
            packing: self.order.request.packing,
        };
        squashfs::pack(
            self.workspace.namespace(),
            &self.workspace.rootfs(),
            extra,
            &tree,
            &self.order.watch.cancel,
        )?;
        self.order.watch.check()?;
        Ok(tree)
    }

    fn write_to_stream(
        &self,
        path: &Path,
        contents: &SifContents<'_>,
    ) -> Result<sif::SifSummary, Error> {
        let image = self.workspace.path().join("image.sif");
        let summary = sif::create(&image, contents).map_err(|error| wrapping(error, &image))?;
        let copied = File::open(&image).and_then(|mut image| {
            let mut stream = OpenOptions::new().write(true).open(path)?;
            io::copy(&mut image, &mut stream)
        });
        copied.map_err(Error::io("writing", path))?;
        Ok(summary)
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

/// Writes the image under another name first, so that what has its name is complete.
fn write_beside(output: &Path, contents: &SifContents<'_>) -> Result<sif::SifSummary, Error> {
    let temporary = folder_beside(output)?;
    let path = temporary.path().join("image.sif");
    let summary = sif::create(&path, contents).map_err(|error| wrapping(error, output))?;
    fs::rename(&path, output).map_err(Error::io("writing", output))?;
    sync_folder_of(output)?;
    Ok(summary)
}

fn wrapping(error: sif::SifError, output: &Path) -> Error {
    match error {
        sif::SifError::Write(source) | sif::SifError::Read(source) => {
            Error::io("writing", output)(source)
        }
        error => Error::Internal(error.to_string()),
    }
}
