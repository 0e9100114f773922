//! Where `%files` looks for its sources, and what it finds there.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, FileType, OFlags, fstat};

use super::expand;
use crate::engine::Context;
use crate::error::Error;
use crate::rooted;

/// The folder that nothing leaves, and where relative paths start in it.
pub(super) struct Sources {
    root: OwnedFd,
    starts: Vec<PathBuf>,
    /// Whether the caller's own home and environment may be named.
    is_own: bool,
}

/// What a path leads to, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    /// A device, a pipe or a socket.
    Special,
}

impl Sources {
    pub(super) fn new(context: &Context) -> Result<Self, Error> {
        let (root, starts) = match context {
            Context::Anywhere { folder } => {
                let folder = std::path::absolute(folder).map_err(Error::io("finding", folder))?;
                (Path::new("/"), vec![folder])
            }
            Context::Confined { root, folder } => {
                let folder = folder.strip_prefix(root).unwrap_or(folder);
                (root.as_path(), vec![folder.to_owned(), PathBuf::new()])
            }
        };
        let opened = File::open(root).map_err(Error::io("opening", root))?;
        let is_own = matches!(context, Context::Anywhere { .. });
        Ok(Self {
            root: opened.into(),
            starts,
            is_own,
        })
    }

    /// All that a word of `%files` stands for: what it reads then, and where that lies.
    pub(super) fn find(&self, word: &str) -> Result<Vec<(String, PathBuf)>, Error> {
        let mut found = Vec::new();
        for word in expand::words(word, self.is_own) {
            let matches = self.find_one(&word);
            if matches.is_empty() {
                let plain = expand::plain(&word);
                let path = self.literal(&plain);
                self.kind(&path)
                    .map_err(|error| self.missing(&plain, &error))?;
                found.push((plain, path));
            }
            found.extend(matches);
        }
        Ok(found)
    }

    /// Where a path without wildcards lies.
    pub(super) fn literal(&self, path: &str) -> PathBuf {
        let candidates = || self.starts.iter().map(|start| start.join(path));
        let existing = candidates().find(|candidate| self.kind(candidate).is_ok());
        existing
            .or_else(|| candidates().next())
            .unwrap_or_else(|| PathBuf::from(path))
    }

    fn find_one(&self, word: &str) -> Vec<(String, PathBuf)> {
        for start in &self.starts {
            let found = self.matches(start, word);
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn matches(&self, start: &Path, word: &str) -> Vec<(String, PathBuf)> {
        let mut names = |folder: &str| {
            let names = self.list(&start.join(folder)).unwrap_or_default();
            let names = names.into_iter();
            names.filter_map(|name| name.into_string().ok()).collect()
        };
        let found = expand::paths(word, &mut names).into_iter();
        let paths = found.map(|path| (path.clone(), start.join(path)));
        paths.filter(|(_, path)| self.kind(path).is_ok()).collect()
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<Kind> {
        let file = self.resolve(path, OFlags::PATH)?;
        Ok(match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            _ => Kind::Special,
        })
    }

    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK)
            .map(File::from)
    }

    /// Names in a folder, sorted.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let folder = self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::new(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Links lead below the root, whatever they say
    /// (<https://man7.org/linux/man-pages/man2/openat2.2.html>).
    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Ok(rooted::open(&self.root, path, flags)?)
    }

    pub(super) fn missing(&self, path: &str, error: &io::Error) -> Error {
        let help = if self.is_own {
            "relative paths start in the folder where the build was started"
        } else {
            "paths start in the folder of the definition, then at the top of the repository; \
             links out of the repository are not followed"
        };
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "is not there".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        Error::Base {
            message: format!("{path} {reason}"),
            help: Some(help.to_owned()),
        }
    }
}
