//! `%files`: finds the sources as the caller, and has them written below the root directory.

pub(crate) mod expand;
mod sources;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use self::sources::{Kind, Sources};
use crate::engine::Context;
use crate::error::{Error, FailureKind};
use crate::inside::{CopyTarget, Task};
use crate::sandbox::{Streams, Workspace};

/// One line of `%files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What to copy; may hold wildcards.
    pub source: String,
    /// Where to; the same path as the source if missing.
    pub destination: Option<String>,
}

/// One file or folder to copy.
#[derive(Debug)]
struct Copy {
    /// Path below the root that nothing leaves.
    path: PathBuf,
    target: CopyTarget,
}

/// Copies files of the context into the tree, like `cp -fLr`, `most_bytes` of them at most. `says`
/// gets one line for each.
///
/// # Security
/// With [`Context::Confined`] no path and no symbolic link leads out of its root.
pub fn copy(
    workspace: &Workspace,
    context: &Context,
    pairs: &[Pair],
    most_bytes: Option<u64>,
    says: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let sources = Sources::new(context)?;
    let copies = find_copies(&sources, pairs, says)?;
    if copies.is_empty() {
        Ok(())
    } else {
        send(workspace, &sources, &copies, most_bytes)
    }
}

/// The hash of all that [`copy`] would copy, and where to.
pub(crate) fn hash(
    context: &Context,
    pairs: &[Pair],
    most_bytes: Option<u64>,
) -> Result<[u8; 32], Error> {
    let sources = Sources::new(context)?;
    let copies = find_copies(&sources, pairs, &mut |_| {})?;
    let mut hash = Hashed(Sha256::new());
    for copy in &copies {
        hash.0.update(format!("{:?}\n", copy.target));
    }
    let writer = Limited {
        writer: &mut hash,
        left: most_bytes.unwrap_or(u64::MAX),
    };
    write_archive(&sources, &copies, writer)?;
    Ok(hash.0.finalize().into())
}

/// A hash of all that is written.
struct Hashed(Sha256);

impl Write for Hashed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn find_copies(
    sources: &Sources,
    pairs: &[Pair],
    says: &mut dyn FnMut(&str),
) -> Result<Vec<Copy>, Error> {
    let mut copies = Vec::new();
    for pair in pairs.iter().filter(|pair| !pair.source.is_empty()) {
        for (word, path) in sources.find(&pair.source)? {
            let destination = pair.destination.as_deref().filter(|to| !to.is_empty());
            let destination = destination.unwrap_or(&word);
            says(&format!("copying {word} to {destination}"));
            copies.push(Copy {
                target: target(&path, destination),
                path,
            });
        }
    }
    Ok(copies)
}

/// What a path of the context leads to, open for reading.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(File),
    /// A folder.
    Folder(File),
}

/// Opens a file or a folder of the context.
pub fn find(context: &Context, path: &str) -> Result<Found, Error> {
    let sources = Sources::new(context)?;
    let found = sources.literal(path);
    let open = || sources.open(&found).map_err(Error::io("opening", path));
    match sources.kind(&found) {
        Ok(Kind::File) => open().map(Found::File),
        Ok(Kind::Folder) => open().map(Found::Folder),
        Ok(Kind::Special) => Err(neither(path)),
        Err(error) => Err(sources.missing(path, &error)),
    }
}

/// Opens one file of the context for reading.
pub fn open(context: &Context, path: &str) -> Result<File, Error> {
    match find(context, path)? {
        Found::File(file) => Ok(file),
        Found::Folder(_) => Err(Error::Base {
            message: format!("{path} is not a file"),
            help: None,
        }),
    }
}

fn neither(path: &str) -> Error {
    Error::Base {
        message: format!("{path} is neither a file nor a folder"),
        help: None,
    }
}

fn target(source: &Path, destination: &str) -> CopyTarget {
    CopyTarget {
        destination: PathBuf::from(destination),
        is_folder: destination.ends_with('/'),
        name: source.file_name().map(PathBuf::from).unwrap_or_default(),
    }
}

fn send(
    workspace: &Workspace,
    sources: &Sources,
    copies: &[Copy],
    most_bytes: Option<u64>,
) -> Result<(), Error> {
    let targets = copies.iter().map(|copy| copy.target.clone()).collect();
    let (mut archive, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
    let writer = Limited {
        writer,
        left: most_bytes.unwrap_or(u64::MAX),
    };
    let (read, written) = thread::scope(|scope| {
        let writing = scope.spawn(move || write_archive(sources, copies, writer));
        let streams = Streams {
            input: Some(&mut archive),
            ..Streams::default()
        };
        let written = workspace.perform(&Task::CopyFiles(targets), streams);
        // A writer that is still writing learns that nobody reads any more.
        drop(archive);
        (writing.join(), written)
    });
    let read = read.map_err(|_| Error::Internal("reading files panicked".to_owned()))?;
    // Files that are too large break the archive off, which says less than the reason for it.
    match read {
        Err(error) if error.kind() == FailureKind::Disk => Err(error),
        read => written.and(read),
    }
}

/// Links make a few folders into files without end, so what is written is counted.
struct Limited<W> {
    writer: W,
    left: u64,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(buffer)?;
        let left = self.left.checked_sub(written as u64);
        self.left = left.ok_or_else(|| {
            let message = "files take more space than the disk limit allows";
            io::Error::new(io::ErrorKind::QuotaExceeded, message)
        })?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn write_archive(sources: &Sources, copies: &[Copy], writer: impl Write) -> Result<(), Error> {
    let mut builder = Builder::new(BufWriter::with_capacity(256 << 10, writer));
    for (index, copy) in copies.iter().enumerate() {
        let mut inside = Vec::new();
        add(
            sources,
            &mut builder,
            &copy.path,
            Path::new(&index.to_string()),
            &mut inside,
        )?;
    }
    let finished = builder.into_inner().and_then(|mut writer| writer.flush());
    finished.map_err(Error::io("sending", "files of the context"))
}

fn add<W: Write>(
    sources: &Sources,
    builder: &mut Builder<W>,
    path: &Path,
    name: &Path,
    inside: &mut Vec<(u64, u64)>,
) -> Result<(), Error> {
    match sources.kind(path).map_err(Error::io("reading", path))? {
        Kind::File => add_file(sources, builder, path, name),
        Kind::Special => Err(neither(&format!("%files: {}", path.display()))),
        Kind::Folder => {
            let folder = sources.open(path).map_err(Error::io("opening", path))?;
            let metadata = folder.metadata().map_err(Error::io("reading", path))?;
            let own = (metadata.dev(), metadata.ino());
            if inside.contains(&own) {
                let path = path.display();
                let message = format!("%files: {path} is a link to a folder that it is in");
                return Err(Error::Base {
                    message,
                    help: None,
                });
            }
            let mut header = header(EntryType::Directory, metadata.mode(), 0);
            builder
                .append_data(&mut header, name, io::empty())
                .map_err(Error::io("sending", path))?;
            inside.push(own);
            for entry in sources.list(path).map_err(Error::io("reading", path))? {
                add(
                    sources,
                    builder,
                    &path.join(&entry),
                    &name.join(&entry),
                    inside,
                )?;
            }
            inside.pop();
            Ok(())
        }
    }
}

fn add_file<W: Write>(
    sources: &Sources,
    builder: &mut Builder<W>,
    path: &Path,
    name: &Path,
) -> Result<(), Error> {
    let file = sources.open(path).map_err(Error::io("opening", path))?;
    let metadata = file.metadata().map_err(Error::io("reading", path))?;
    let mut header = header(EntryType::Regular, metadata.mode(), metadata.len());
    builder
        .append_data(&mut header, name, file)
        .map_err(Error::io("sending", path))
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode & 0o777);
    header.set_size(size);
    header.set_mtime(0);
    header
}
