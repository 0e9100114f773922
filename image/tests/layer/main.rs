//! Layers over trees: whiteouts, links, metadata, hostile names, and the way back to a tar.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

mod entries;
mod replacing;
mod streams;

use std::fs;
use std::path::Path;

use cooperage_image::layer::{self, Applied, Error, Ledger, Options};
use tar::{Builder, EntryType, Header};

struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn put(mut self, path: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(own_uid());
        header.set_gid(own_gid());
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if kind == EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.put(path, EntryType::Regular, "", content.as_bytes())
    }

    fn folder(self, path: &str) -> Self {
        self.put(path, EntryType::Directory, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.put(path, EntryType::Symlink, target, b"")
    }

    fn hard(self, path: &str, target: &str) -> Self {
        self.put(path, EntryType::Link, target, b"")
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn apply(self, root: &Path) -> Result<Applied, Error> {
        apply_bytes(&self.bytes(), root)
    }
}

fn own_uid() -> u64 {
    u64::from(rustix::process::getuid().as_raw())
}

fn own_gid() -> u64 {
    u64::from(rustix::process::getgid().as_raw())
}

fn apply_bytes(bytes: &[u8], root: &Path) -> Result<Applied, Error> {
    layer::apply(bytes, root, &mut Ledger::default(), &Options::default())
}

fn tree() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}
