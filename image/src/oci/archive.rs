//! A tar archive that holds an image, and how its members are read without unpacking it.
//!
//! # Security
//! Nothing of a stranger's archive is written anywhere: a name is a key of a table, a link another
//! key, so neither leads out of it. A compressed archive is decompressed into a file without a
//! name, no further than a limit.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tar::EntryType;

use crate::cancellable::Cancellable;
use crate::engine::Cancel;
use crate::error::{Error, FailureKind};
use crate::layer;

const MOST_MEMBERS: usize = 100_000;
const MOST_LINKS: usize = 8;

/// What surrounds the reading of an archive.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Folder for the decompressed archive.
    pub scratch: &'a Path,
    /// How many bytes that may be.
    pub most_bytes: Option<u64>,
    /// Stops it.
    pub cancel: &'a Cancel,
}

/// An archive with a table of its members.
#[derive(Debug)]
pub struct Archive {
    file: Arc<File>,
    members: HashMap<PathBuf, Member>,
}

#[derive(Debug)]
enum Member {
    Content {
        offset: u64,
        length: u64,
    },
    /// From the top of the archive.
    Link(PathBuf),
}

/// A piece of a file, read from its beginning to its end.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Archive {
    /// Reads the table of an archive, compressed or not; `name` is for messages.
    pub fn open(
        mut file: File,
        name: &str,
        surroundings: &Surroundings<'_>,
    ) -> Result<Self, Error> {
        let mut head = [0; 4];
        let is_compressed = file.read_exact_at(&mut head, 0).is_ok() && layer::is_compressed(&head);
        file.rewind().map_err(Error::io("reading", name))?;
        let file = if is_compressed {
            copy(
                &mut layer::decompressed(file).map_err(Error::io("reading", name))?,
                name,
                surroundings,
            )?
        } else {
            file
        };
        let members = members(&file, name)?;
        let file = Arc::new(file);
        Ok(Self { file, members })
    }

    /// Whether there is a file of that name.
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    /// The content of a file; links are followed.
    pub(super) fn find(&self, path: &str) -> Option<Piece> {
        let mut path = inside(Path::new(path))?;
        for _ in 0..MOST_LINKS {
            match self.members.get(&path)? {
                Member::Link(target) => path.clone_from(target),
                Member::Content { offset, length } => {
                    return Some(Piece {
                        file: Arc::clone(&self.file),
                        offset: *offset,
                        left: *length,
                    });
                }
            }
        }
        None
    }
}

/// Writes what is read into a file without a name, and no more than is allowed.
pub(super) fn copy(
    source: &mut dyn Read,
    name: &str,
    surroundings: &Surroundings<'_>,
) -> Result<File, Error> {
    let scratch = surroundings.scratch;
    std::fs::create_dir_all(scratch).map_err(Error::io("making the folder", scratch))?;
    let mut file =
        tempfile::tempfile_in(scratch).map_err(Error::io("making a file in", scratch))?;
    let most = surroundings.most_bytes.unwrap_or(u64::MAX);
    let mut source = Cancellable::new(source, surroundings.cancel).take(most.saturating_add(1));
    let copied = io::copy(&mut source, &mut file).and_then(|length| {
        file.flush()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(length)
    });
    if surroundings.cancel.is_cancelled() {
        return Err(Error::Cancelled);
    }
    if copied.map_err(Error::io("reading", name))? > most {
        return Err(Error::Limit {
            kind: FailureKind::Disk,
            message: format!("{name} holds more than the disk limit of {most} bytes"),
            section: None,
        });
    }
    Ok(file)
}

fn members(file: &File, name: &str) -> Result<HashMap<PathBuf, Member>, Error> {
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(file);
    let broken = |error: io::Error| Error::Base {
        message: format!("{name} is no tar archive: {error}"),
        help: Some("an archive as `docker save` or `skopeo copy` writes it is needed".to_owned()),
    };
    for entry in archive.entries_with_seek().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?;
        let Some(path) = inside(&path) else { continue };
        let target = entry.link_name().map_err(broken)?;
        let member = match (entry.header().entry_type(), target) {
            (EntryType::Regular | EntryType::Continuous, _) => Member::Content {
                offset: entry.raw_file_position(),
                length: entry.size(),
            },
            (EntryType::Link, Some(target)) => match inside(&target) {
                Some(target) => Member::Link(target),
                None => continue,
            },
            (EntryType::Symlink, Some(target)) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                match inside(&folder.join(target)) {
                    Some(target) => Member::Link(target),
                    None => continue,
                }
            }
            _ => continue,
        };
        members.insert(path, member);
        if members.len() > MOST_MEMBERS {
            return Err(broken(io::Error::other("it has too many members")));
        }
    }
    Ok(members)
}

/// A path from the top of an archive; `None` if it leads out.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir if inside.pop() => {}
            _ => return None,
        }
    }
    Some(inside)
}

impl Piece {
    /// The whole of a file.
    pub(super) fn whole(file: File) -> io::Result<Self> {
        let left = file.metadata()?.len();
        let (file, offset) = (Arc::new(file), 0);
        Ok(Self { file, offset, left })
    }

    /// How many bytes there are to read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

impl Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.offset)?;
        if count == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<&mut File>)) -> Archive {
        let mut file = tempfile::tempfile().unwrap();
        let mut builder = tar::Builder::new(&mut file);
        build(&mut builder);
        builder.into_inner().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let surroundings = Surroundings {
            scratch: folder.path(),
            most_bytes: Some(1 << 20),
            cancel: &Cancel::default(),
        };
        Archive::open(file, "test", &surroundings).unwrap()
    }

    fn add(builder: &mut tar::Builder<&mut File>, kind: EntryType, name: &str, rest: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        if kind == EntryType::Regular {
            header.set_size(rest.len() as u64);
            builder
                .append_data(&mut header, name, rest.as_bytes())
                .unwrap();
        } else {
            header.set_size(0);
            builder.append_link(&mut header, name, rest).unwrap();
        }
    }

    fn read(archive: &Archive, path: &str) -> Option<String> {
        let mut text = String::new();
        archive.find(path)?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn links_lead_to_members_and_nowhere_else() {
        let archive = archive(|builder| {
            add(builder, EntryType::Regular, "a/layer.tar", "content");
            add(builder, EntryType::Symlink, "b/layer.tar", "../a/layer.tar");
            add(builder, EntryType::Link, "c/layer.tar", "a/layer.tar");
            add(builder, EntryType::Symlink, "out", "../../etc/passwd");
            add(builder, EntryType::Symlink, "absolute", "/etc/passwd");
            add(builder, EntryType::Symlink, "loop", "loop");
        });

        assert_eq!(read(&archive, "b/layer.tar").unwrap(), "content");
        assert_eq!(read(&archive, "./c/layer.tar").unwrap(), "content");
        for path in ["out", "absolute", "loop", "../a/layer.tar", "/etc/passwd"] {
            assert!(!archive.has(path), "{path}");
        }
    }

    #[test]
    fn a_compressed_archive_is_read_no_further_than_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let bomb = zstd::encode_all(io::repeat(0).take(10 << 20), 3).unwrap();
        file.write_all(&bomb).unwrap();
        let surroundings = Surroundings {
            scratch: folder.path(),
            most_bytes: Some(1 << 20),
            cancel: &Cancel::default(),
        };

        let error = Archive::open(file, "bomb.tar.zst", &surroundings).unwrap_err();

        assert_eq!(error.kind(), FailureKind::Disk);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }
}
