//! Tar streams: how they are made, and what is in them.

use std::collections::BTreeMap;
use std::io::Read;
use std::mem;

use rand::{RngCore, SeedableRng, rngs::StdRng};
use tar::{Archive, Builder, EntryType, Header};

pub(crate) const TIME: u64 = 1_700_000_000;

/// A tar stream in the making.
pub(crate) struct Stream(Builder<Vec<u8>>);

impl Stream {
    pub(crate) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        let change = |header: &mut Header| header.set_mode(0o755);
        self.entry(path, EntryType::Directory, change, &[])
    }

    pub(crate) fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(path, EntryType::Regular, |_| (), content)
    }

    pub(crate) fn link(self, path: &str, kind: EntryType, target: &str) -> Self {
        let change = |header: &mut Header| {
            header.set_link_name_literal(target).unwrap();
            header.set_mode(if kind == EntryType::Symlink {
                0o777
            } else {
                0o644
            });
        };
        self.entry(path, kind, change, &[])
    }

    /// Records for the next entry.
    pub(crate) fn records(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    pub(crate) fn entry(
        mut self,
        path: &str,
        kind: EntryType,
        change: impl FnOnce(&mut Header),
        content: &[u8],
    ) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(TIME);
        header.set_size(content.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// One entry of a tar stream, all that an image keeps of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) modified: u64,
    pub(crate) device: (Option<u32>, Option<u32>),
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) attributes: BTreeMap<String, Vec<u8>>,
    pub(crate) content: Vec<u8>,
    /// Whether its holes are not part of the stream.
    pub(crate) is_sparse: bool,
}

/// The entries of a tar stream by their paths, of which the root's is empty.
pub(crate) fn objects(tar: &[u8]) -> BTreeMap<Vec<u8>, Object> {
    let mut objects = BTreeMap::new();
    let mut records = BTreeMap::new();
    for entry in Archive::new(tar).entries().unwrap().raw(true) {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.header().entry_type() == EntryType::XHeader {
            records = parse(&content);
            continue;
        }
        let records = mem::take(&mut records);
        let real_size = records.get("GNU.sparse.realsize").map(|size| number(size));
        let header = entry.header();
        let name = ["GNU.sparse.name", "path"].map(|key| records.get(key).cloned());
        let path = name.into_iter().flatten().next();
        let path = path.unwrap_or_else(|| header.path_bytes().to_vec());
        let link = records.get("linkpath").cloned();
        let id = |key: &str, id: u64| records.get(key).map_or(id, |id| number(id));
        let object = Object {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (
                id("uid", header.uid().unwrap()),
                id("gid", header.gid().unwrap()),
            ),
            modified: header.mtime().unwrap(),
            device: (
                header
                    .device_major()
                    .ok()
                    .flatten()
                    .filter(|major| *major > 0),
                header
                    .device_minor()
                    .ok()
                    .flatten()
                    .filter(|minor| *minor > 0),
            ),
            link: link.or_else(|| header.link_name_bytes().map(|link| link.to_vec())),
            content: match real_size {
                Some(size) => with_holes(&content, size),
                None => content,
            },
            is_sparse: real_size.is_some(),
            attributes: attributes(records),
        };
        let known = objects.insert(plain(&path), object);
        assert!(known.is_none(), "{} comes twice", path.escape_ascii());
    }
    objects
}

/// Values hold any bytes, line breaks too.
fn parse(mut records: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut parsed = BTreeMap::new();
    while !records.is_empty() {
        let space = records.iter().position(|byte| *byte == b' ').unwrap();
        let length = usize::try_from(number(&records[..space])).unwrap();
        let (record, rest) = records.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").unwrap();
        let equals = record.iter().position(|byte| *byte == b'=').unwrap();
        // Attributes may have names of any bytes.
        let key = String::from_utf8_lossy(&record[..equals]).into_owned();
        parsed.insert(key, record[equals + 1..].to_vec());
        records = rest;
    }
    parsed
}

fn attributes(records: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let attribute = |(key, value): (String, Vec<u8>)| {
        let name = key.strip_prefix("SCHILY.xattr.")?.to_owned();
        Some((name, value))
    };
    records.into_iter().filter_map(attribute).collect()
}

/// Version 1.0 of GNU's PAX form of files with holes.
fn with_holes(stored: &[u8], size: u64) -> Vec<u8> {
    let mut lines = stored.split_inclusive(|byte| *byte == b'\n');
    let mut map = 0;
    let mut next = || {
        let line = lines.next().unwrap();
        map += line.len();
        usize::try_from(number(&line[..line.len() - 1])).unwrap()
    };
    let pieces: Vec<_> = (0..next()).map(|_| (next(), next())).collect();
    let mut data = &stored[map.next_multiple_of(512)..];
    let mut content = vec![0; usize::try_from(size).unwrap()];
    for (start, length) in pieces {
        let (piece, rest) = data.split_at(length);
        content[start..start + length].copy_from_slice(piece);
        data = rest;
    }
    assert!(data.is_empty());
    content
}

fn number(digits: &[u8]) -> u64 {
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

fn plain(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"./").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path).to_vec()
}

/// Bytes that do not shrink.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
