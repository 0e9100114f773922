//! How one layer is put over a tree.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, linkat, mkdirat, openat};
use sha2::{Digest, Sha256};

use super::archive::{Archive, Kind, Member};
use super::decompress;
use super::error::Error;
use super::ledger::Ledger;
use super::metadata::{apply_to_file, timespec};
use super::node;
use super::sparse::Run;
use super::tree::{Place, Tree, clean};
use super::whiteout::{self, Whiteout};

/// How a layer is applied.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Digest (`sha256:…`) of the uncompressed layer, to be verified.
    pub diff_id: Option<String>,
    /// How many bytes it may take on disk.
    pub most_bytes: Option<u64>,
}

/// What applying a layer did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Entries of the layer, whiteouts included.
    pub entries: u64,
    /// Bytes that it took on disk, about.
    pub bytes: u64,
    /// Digest (`sha256:…`) of the uncompressed layer.
    pub diff_id: String,
}

/// Puts a layer over the tree below `root`; the compression is told by the first bytes.
pub fn apply(
    reader: impl Read + Send,
    root: &Path,
    ledger: &mut Ledger,
    options: &Options,
) -> Result<Applied, Error> {
    let mut content = Hashing {
        reader: decompress::reader(reader).map_err(Error::Read)?,
        hash: Sha256::new(),
    };
    let layer = Layer {
        archive: Archive::new(&mut content),
        tree: Tree::open(root, ledger)?,
        names: Names::Layer,
        waiting: Vec::new(),
        entries: 0,
        bytes: 0,
        most_bytes: options.most_bytes,
    };
    let (entries, bytes) = layer.apply_all()?;
    let diff_id = content.finish()?;
    verify(&diff_id, options)?;
    Ok(Applied {
        entries,
        bytes,
        diff_id,
    })
}

/// Where an entry of an archive goes, by its name there.
pub type Naming<'a> = dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + 'a;

/// Puts the entries of an archive into the tree below `root`, under the names that `naming` gives
/// them; a name like that of a whiteout means nothing. Tells the bytes that they took, about.
pub fn put(
    reader: impl Read,
    root: &Path,
    ledger: &mut Ledger,
    most_bytes: Option<u64>,
    naming: &mut Naming<'_>,
) -> Result<u64, Error> {
    let layer = Layer {
        archive: Archive::new(reader),
        tree: Tree::open(root, ledger)?,
        names: Names::Given(naming),
        waiting: Vec::new(),
        entries: 0,
        bytes: 0,
        most_bytes,
    };
    layer.apply_all().map(|(_, bytes)| bytes)
}

fn verify(found: &str, options: &Options) -> Result<(), Error> {
    match &options.diff_id {
        Some(expected) if expected != found => Err(Error::Digest {
            expected: expected.clone(),
            found: found.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// What names in the archive mean.
enum Names<'a> {
    /// Paths, and paths that are whited out.
    Layer,
    /// What somebody makes of them.
    Given(&'a mut Naming<'a>),
}

struct Layer<'a, R> {
    archive: Archive<R>,
    tree: Tree<'a>,
    names: Names<'a>,
    /// Hard links whose target had not come yet.
    waiting: Vec<Member>,
    entries: u64,
    bytes: u64,
    most_bytes: Option<u64>,
}

/// What a file system needs for an entry without content: an inode and a name.
const ENTRY: u64 = 512;

impl<R: Read> Layer<'_, R> {
    /// Tells how many entries there were, and their bytes.
    fn apply_all(mut self) -> Result<(u64, u64), Error> {
        while let Some(member) = self.archive.next()? {
            self.entries += 1;
            self.take_space(ENTRY)?;
            let member = self.name(member)?;
            self.apply_member(member)?;
        }
        for member in std::mem::take(&mut self.waiting) {
            if !self.link(&member)? {
                let target = String::from_utf8_lossy(&member.link).into_owned();
                let reason = format!("is a hard link to `{target}`, which does not exist");
                return Err(Error::entry(&member.path, reason));
            }
        }
        self.tree.finish()?;
        Ok((self.entries, self.bytes))
    }

    fn name(&mut self, mut member: Member) -> Result<Member, Error> {
        if let Names::Given(naming) = &mut self.names {
            member.path = naming(&member.path).map_err(Error::io("placing", &member.path))?;
            if member.kind == Kind::HardLink {
                member.link = naming(&member.link).map_err(Error::io("placing", &member.link))?;
            }
        }
        Ok(member)
    }

    /// A layer that is small in the registry may be without end when it is unpacked.
    fn take_space(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes += bytes;
        match self.most_bytes {
            Some(most) if self.bytes > most => Err(Error::TooLarge),
            _ => Ok(()),
        }
    }

    fn apply_member(&mut self, member: Member) -> Result<(), Error> {
        let path = clean(&member.path);
        let whiteout = match self.names {
            Names::Layer if !member.is_literal => whiteout::parse(&path)?,
            Names::Layer | Names::Given(_) => None,
        };
        match whiteout {
            Some(Whiteout::Bookkeeping) => return Ok(()),
            Some(Whiteout::Path(path)) => return self.white_out(&path),
            Some(Whiteout::Opaque(path)) => return self.make_opaque(&path),
            None => {}
        }
        if member.kind == Kind::HardLink {
            if !self.link(&member)? {
                self.waiting.push(member);
            }
            return Ok(());
        }
        match self.tree.place(&path)? {
            Some(place) => self.put(&place, &member),
            None => self.put_root(&member),
        }
    }

    fn white_out(&mut self, path: &[u8]) -> Result<(), Error> {
        let Some(place) = self.tree.existing(path)? else {
            return Ok(());
        };
        if place.status()?.is_some() {
            self.tree
                .keep_time(super::tree::split(path).0, &place.folder)?;
        }
        self.tree.remove_lower(&place)
    }

    fn make_opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        let path = if path.is_empty() { b"." } else { path };
        let Some(place) = self.tree.existing(path)? else {
            return Ok(());
        };
        match place.status()? {
            Some(status) if is_folder(status.st_mode) => self.tree.empty_lower(&place),
            _ => Ok(()),
        }
    }

    fn put_root(&mut self, member: &Member) -> Result<(), Error> {
        if member.kind != Kind::Directory {
            return Err(Error::entry(&member.path, "would replace the root folder"));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(self.tree.root(), ".", flags, Mode::empty());
        let root = root.map_err(Error::io("opening", b"/"))?;
        let root = File::from(root);
        let inode = self.describe_folder(&root, b"", member)?;
        self.tree.set_root_time(inode, timespec(member));
        Ok(())
    }

    fn put(&mut self, place: &Place, member: &Member) -> Result<(), Error> {
        let existing = place.status()?;
        let merge = member.kind == Kind::Directory
            && existing.is_some_and(|status| is_folder(status.st_mode));
        if existing.is_some() && !merge {
            self.tree.remove(place)?;
        }
        match member.kind {
            Kind::File => self.put_file(place, member)?,
            Kind::Directory => self.put_folder(place, member, merge)?,
            Kind::Symlink => node::make_symlink(place, member, self.tree.ledger)?,
            Kind::Fifo | Kind::CharacterDevice | Kind::BlockDevice => {
                node::make(place, member, self.tree.ledger)?;
            }
            Kind::HardLink => {}
        }
        self.tree.mark_made(place);
        Ok(())
    }

    fn put_folder(&mut self, place: &Place, member: &Member, merge: bool) -> Result<(), Error> {
        let failed = || Error::io("making the folder", &place.path);
        if !merge {
            mkdirat(&place.folder, place.name(), Mode::RWXU).map_err(failed())?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(&place.folder, place.name(), flags, Mode::empty()).map_err(failed())?;
        let inode = self.describe_folder(&File::from(folder), &place.path, member)?;
        self.tree.set_time(place, inode, timespec(member));
        Ok(())
    }

    /// Gives a folder what its entry says; tells its inode.
    fn describe_folder(
        &mut self,
        folder: &File,
        path: &[u8],
        member: &Member,
    ) -> Result<u64, Error> {
        apply_to_file(folder, member, path, self.tree.ledger)?;
        let status = rustix::fs::fstat(folder).map_err(Error::io("looking at", path))?;
        Ok(status.st_ino)
    }

    fn put_file(&mut self, place: &Place, member: &Member) -> Result<(), Error> {
        let mut file = node::make_file(place)?;
        match &member.runs {
            Some(runs) => self.write_runs(&mut file, runs, member.size, &place.path)?,
            None => self.write_content(&mut file, member.size, &place.path)?,
        }
        apply_to_file(&file, member, &place.path, self.tree.ledger)
    }

    fn write_runs(
        &mut self,
        file: &mut File,
        runs: &[Run],
        size: u64,
        path: &[u8],
    ) -> Result<(), Error> {
        for run in runs.iter().filter(|run| run.length > 0) {
            file.seek(SeekFrom::Start(run.offset))
                .map_err(Error::io("writing", path))?;
            self.write_content(file, run.length, path)?;
        }
        file.set_len(size).map_err(Error::io("writing", path))
    }

    fn write_content(&mut self, file: &mut File, size: u64, path: &[u8]) -> Result<(), Error> {
        let mut buffer = vec![0; 128 << 10];
        let mut rest = size;
        while rest > 0 {
            let most = usize::try_from(rest)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let count = self.archive.read(&mut buffer[..most])?;
            if count == 0 {
                return Err(Error::entry(path, "has less data than its header says"));
            }
            self.take_space(count as u64)?;
            file.write_all(&buffer[..count])
                .map_err(Error::io("writing", path))?;
            rest -= count as u64;
        }
        Ok(())
    }

    /// Returns whether the target was there.
    fn link(&mut self, member: &Member) -> Result<bool, Error> {
        let (path, target) = (clean(&member.path), clean(&member.link));
        let Some(target) = self.tree.existing(&target)? else {
            return Ok(false);
        };
        let Some(target_status) = target.status()? else {
            return Ok(false);
        };
        if is_folder(target_status.st_mode) {
            return Err(Error::entry(&path, "is a hard link to a folder"));
        }
        let Some(place) = self.tree.place(&path)? else {
            return Err(Error::entry(&path, "would replace the root folder"));
        };
        if let Some(existing) = place.status()? {
            if existing.st_ino == target_status.st_ino {
                self.tree.mark_made(&place);
                return Ok(true);
            }
            self.tree.remove(&place)?;
            // The target may have been below the folder that the link replaces.
            if target.status()?.is_none() {
                return Ok(false);
            }
        }
        linkat(
            &target.folder,
            target.name(),
            &place.folder,
            place.name(),
            AtFlags::empty(),
        )
        .map_err(Error::io("making the hard link", &place.path))?;
        self.tree.mark_made(&place);
        Ok(true)
    }
}

fn is_folder(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

/// Hashes everything that is read.
struct Hashing<R> {
    reader: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

impl<R: Read> Hashing<R> {
    /// Reads what follows the archive's end: it belongs to the digest.
    fn finish(mut self) -> Result<String, Error> {
        io::copy(&mut self, &mut io::sink()).map_err(Error::Read)?;
        Ok(format!("sha256:{}", hex::encode(self.hash.finalize())))
    }
}
