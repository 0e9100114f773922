//! Makes the file system of an image from a tree, as the root of the tree's own namespace: so the
//! owners that the tree has are those that the image gets.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::corrections::Commands;
use super::file_system::{self, Layout, MEBIBYTE, PROGRAMS, words};
use crate::engine::{Cancel, Limits};
use crate::error::Error;
use crate::inside::{Reply, Task};
use crate::layer::Needs;
use crate::replace::Replacement;
use crate::sandbox::{Network, Output, ScriptRun, Section, Streams, Workspace, run_script};

/// The image and the commands as the sandbox has them.
const IMAGE: &str = "/tmp/image";
const COMMANDS: &str = "/tmp/commands";
/// What `e2fsck` and others end with when they changed what they were asked to.
const CORRECTED: i32 = 1;
const NOT_FOUND: i32 = 127;

/// A tree that becomes the content of an image.
pub(crate) struct Content<'a> {
    pub(crate) workspace: &'a Workspace,
    /// What the file system could not represent of the tree, in JSON lines.
    pub(crate) ledger: &'a str,
    /// No time of it is later, in seconds since 1970.
    pub(crate) latest: Option<i64>,
    pub(crate) cancel: &'a Cancel,
}

impl Content<'_> {
    /// Replaces the image at `place`, or makes it, of the tree. An image that would be too small
    /// stays as it is.
    pub(super) fn write_to(&self, place: &Path, layout: Layout) -> Result<(), Error> {
        let (needs, commands) = self.survey()?;
        let work = Work::begin(self.workspace, self.cancel);
        let mut image = work.lay_out(layout)?;
        let command = layout.mke2fs(IMAGE, needs.files, Some(Section::Unpack.rootfs()));
        let made = work.run(command)?;
        if made.status != 0 {
            return Err(refused(&made.said, place, layout, needs));
        }
        work.correct(layout, &commands)?;
        put(&mut image, place)
    }

    fn survey(&self) -> Result<(Needs, Commands), Error> {
        let mut corrections = Vec::new();
        let task = Task::Survey {
            ledger: self.ledger.to_owned(),
        };
        let streams = Streams {
            input: None,
            output: Output::Writer(&mut corrections),
        };
        let needs = match self.workspace.perform(&task, streams)? {
            Reply::Surveyed(needs) => needs,
            other => return Err(Error::Internal(format!("survey was answered by {other:?}"))),
        };
        let folder = self.workspace.tmp();
        let commands = Commands::of(&corrections, &folder, "/tmp")
            .map_err(Error::io("writing corrections to", &folder))?;
        Ok((needs, commands))
    }
}

/// Programs of e2fsprogs at work on an image in the sandbox.
pub(super) struct Work<'a> {
    workspace: &'a Workspace,
    cancel: &'a Cancel,
}

/// What a program had to say.
pub(super) struct Ended {
    pub(super) status: i32,
    pub(super) said: String,
}

impl<'a> Work<'a> {
    pub(super) fn begin(workspace: &'a Workspace, cancel: &'a Cancel) -> Self {
        Self { workspace, cancel }
    }

    /// Makes an image that has the layout and nothing else.
    fn lay_out(&self, layout: Layout) -> Result<File, Error> {
        let (mut file, path) = self.create("image")?;
        layout
            .lay_out(&mut file)
            .map_err(Error::io("writing", path))?;
        Ok(file)
    }

    /// Copies an image to where the programs have it.
    pub(super) fn take(&self, image: &mut File) -> Result<File, Error> {
        let (mut file, path) = self.create("image")?;
        copy_sparse(image, &mut file).map_err(Error::io("copying an image to", path))?;
        Ok(file)
    }

    /// Root of the sandbox is somebody else when root of the machine builds.
    fn create(&self, name: &str) -> Result<(File, PathBuf), Error> {
        let path = self.workspace.tmp().join(name);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .and_then(|file| {
                fs::set_permissions(&path, Permissions::from_mode(0o666))?;
                Ok(file)
            });
        Ok((made.map_err(Error::io("creating", &path))?, path))
    }

    fn correct(&self, layout: Layout, commands: &Commands) -> Result<(), Error> {
        if commands.text.is_empty() {
            return Ok(());
        }
        let (mut file, path) = self.create("commands")?;
        file.write_all(&commands.text)
            .map_err(Error::io("writing", path))?;
        let mut edit = words("debugfs -w -f");
        edit.extend([COMMANDS.to_owned(), layout.device(IMAGE)]);
        self.require(edit, 0)?;
        if commands.has_devices {
            self.check(layout)?;
        }
        Ok(())
    }

    /// Repairs a file system.
    pub(super) fn check(&self, layout: Layout) -> Result<(), Error> {
        let mut check = words("e2fsck -f -y");
        check.push(layout.device(IMAGE));
        self.require(check, CORRECTED)
    }

    /// Makes the file system as large as its image.
    pub(super) fn grow(&self, layout: Layout) -> Result<(), Error> {
        let blocks = (layout.size() * (MEBIBYTE / 1024)).to_string() + "K";
        self.require(
            vec!["resize2fs".to_owned(), layout.device(IMAGE), blocks],
            0,
        )
    }

    fn require(&self, command: Vec<String>, highest: i32) -> Result<(), Error> {
        let program = command[0].clone();
        let ended = self.run(command)?;
        if ended.status <= highest {
            return Ok(());
        }
        Err(Error::Base {
            message: format!(
                "{program} ended with status {}: {}",
                ended.status,
                last_line(&ended.said)
            ),
            help: None,
        })
    }

    fn run(&self, command: Vec<String>) -> Result<Ended, Error> {
        let mut said = Vec::new();
        let run = ScriptRun {
            section: Section::Unpack,
            command,
            body: None,
            environment: vec![("PATH".to_owned(), PROGRAMS.to_owned())],
            context: None,
            binds: &[],
            network: Network::None,
            limits: Limits::default(),
        };
        let mut listen = |bytes: &[u8]| said.extend_from_slice(bytes);
        let status = match run_script(self.workspace, &run, &mut listen, self.cancel) {
            Ok(()) => 0,
            Err(Error::Script { status, .. }) if status == NOT_FOUND => {
                return Err(file_system::not_installed());
            }
            Err(Error::Script { status, .. }) => status,
            Err(error) => return Err(error),
        };
        Ok(Ended {
            status,
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}

fn refused(said: &str, place: &Path, layout: Layout, needs: Needs) -> Error {
    let place = place.display();
    if !said.contains("Could not allocate") && !said.contains("too small") {
        return Error::Base {
            message: format!("{place}: file system cannot be made: {}", last_line(said)),
            help: None,
        };
    }
    Error::Base {
        message: format!(
            "{place} is too small: it has {} MiB, and its files need about {}",
            layout.size(),
            needs.bytes.div_ceil(MEBIBYTE)
        ),
        help: Some(format!(
            "make it larger: cooperage expand --size {} {place}, or a new one with cooperage \
             create --size {}",
            sufficient(needs).saturating_sub(layout.size()),
            sufficient(needs)
        )),
    }
}

/// What certainly holds a tree, in MiB: journal, inodes, maps of blocks and reserves included.
fn sufficient(needs: Needs) -> u64 {
    let bytes = needs.bytes + needs.files * 512;
    (bytes.div_ceil(MEBIBYTE) * 6 / 5 + 64).next_multiple_of(64)
}

fn last_line(said: &str) -> &str {
    said.trim().lines().next_back().unwrap_or_default()
}

/// Copies an image to its place, holes as holes.
pub(super) fn put(image: &mut File, place: &Path) -> Result<(), Error> {
    let mut new = Replacement::of(place)?;
    copy_sparse(image, new.file()).map_err(Error::io("writing", place))?;
    new.finish()
}

fn copy_sparse(from: &mut File, to: &mut File) -> io::Result<()> {
    use rustix::fs::SeekFrom::{Data, Hole};
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut end = 0;
    while end < length {
        let start = match rustix::fs::seek(&*from, Data(end)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        end = rustix::fs::seek(&*from, Hole(start))?;
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        io::copy(&mut from.take(end - start), to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn holes_stay_holes_and_data_is_where_it_was() {
        let mut from = tempfile::tempfile().unwrap();
        let mut to = tempfile::tempfile().unwrap();
        from.write_all_at(b"middle", 20 << 20).unwrap();
        from.write_all_at(b"end", (40 << 20) - 3).unwrap();

        copy_sparse(&mut from, &mut to).unwrap();

        let mut found = [0; 6];
        to.read_exact_at(&mut found, 20 << 20).unwrap();
        assert_eq!(&found, b"middle");
        to.read_exact_at(&mut found[..3], (40 << 20) - 3).unwrap();
        assert_eq!(&found[..3], b"end");
        let metadata = to.metadata().unwrap();
        assert_eq!(metadata.len(), 40 << 20);
        assert!(metadata.blocks() * 512 < 1 << 20);
    }
}
