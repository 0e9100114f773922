//! Which bytes stand before the content of a file in a tar archive?

use std::io;

use tar::{EntryType, Header};

use super::Xattrs;
use super::pax::push_record;
use super::whiteout;

const BLOCK: usize = 512;
/// What fits the fields of a header.
const LONGEST_NAME: usize = 100;
const HIGHEST_OWNER: u32 = 0o777_7777;
const LARGEST_FILE: u64 = 0o777_7777_7777;
/// Key of the record of a file that is named like a whiteout and is none. Layers have no word for
/// it; other programs, which do not know this one, read what they would read without it.
pub(super) const LITERAL: &[u8] = b"COOPERAGE.literal";

/// A file as it stands in an archive.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    /// Empty for the root directory.
    pub(crate) path: &'a [u8],
    pub(crate) kind: EntryType,
    /// Target of a symbolic or hard link.
    pub(crate) link: &'a [u8],
    /// Permission bits, set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// In seconds since 1970.
    pub(crate) modified: u64,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: &'a Xattrs,
    /// How many bytes follow.
    pub(crate) size: u64,
    /// The length of a file with holes, whose map precedes its content.
    pub(crate) real_size: Option<u64>,
}

impl Entry<'_> {
    /// The header, behind an extended one where something does not fit.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let name = self.written_name();
        let mut records = self.records(&name);
        if whiteout::is_named_like_one(self.path) {
            push_record(&mut records, LITERAL, b"1");
        }
        self.with_records(&name, &records)
    }

    fn with_records(&self, name: &[u8], records: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(BLOCK);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.as_old_mut().name[..3].copy_from_slice(b"pax");
            header.set_size(records.len() as u64);
            header.set_cksum();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        bytes.extend_from_slice(self.plain(name)?.as_bytes());
        Ok(bytes)
    }

    /// The root is `./`; everything else has its path, folders with a slash.
    fn written_name(&self) -> Vec<u8> {
        match self.path {
            b"" => b"./".to_vec(),
            path if self.kind == EntryType::Directory => [path, b"/"].concat(),
            path => path.to_vec(),
        }
    }

    fn records(&self, name: &[u8]) -> Vec<u8> {
        let mut records = Vec::new();
        if let Some(real_size) = self.real_size {
            push_record(&mut records, b"GNU.sparse.major", b"1");
            push_record(&mut records, b"GNU.sparse.minor", b"0");
            push_record(&mut records, b"GNU.sparse.name", name);
            let real_size = real_size.to_string();
            push_record(&mut records, b"GNU.sparse.realsize", real_size.as_bytes());
        }
        for (key, text) in [(&b"path"[..], name), (b"linkpath", self.link)] {
            if text.len() > LONGEST_NAME {
                push_record(&mut records, key, text);
            }
        }
        for (key, number, highest) in [
            ("uid", u64::from(self.uid), u64::from(HIGHEST_OWNER)),
            ("gid", u64::from(self.gid), u64::from(HIGHEST_OWNER)),
            ("size", self.size, LARGEST_FILE),
        ] {
            if number > highest {
                let number = number.to_string();
                push_record(&mut records, key.as_bytes(), number.as_bytes());
            }
        }
        for (name, value) in self.xattrs {
            let key = [b"SCHILY.xattr.", name.as_slice()].concat();
            push_record(&mut records, &key, value);
        }
        records
    }

    fn plain(&self, name: &[u8]) -> io::Result<Header> {
        let mut header = Header::new_ustar();
        let fields = header.as_old_mut();
        for (field, text) in [(&mut fields.name, name), (&mut fields.linkname, self.link)] {
            let length = text.len().min(LONGEST_NAME);
            field[..length].copy_from_slice(&text[..length]);
        }
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        header.set_mtime(self.modified);
        header.set_size(self.size);
        header.set_device_major(self.device.0)?;
        header.set_device_minor(self.device.1)?;
        header.set_cksum();
        Ok(header)
    }
}

/// The entry of a layer that says, by its name, that something of the layers below is gone.
pub(crate) fn whiteout(path: &[u8]) -> io::Result<Vec<u8>> {
    let entry = Entry {
        path,
        kind: EntryType::Regular,
        link: b"",
        mode: 0o644,
        uid: 0,
        gid: 0,
        modified: 0,
        device: (0, 0),
        xattrs: &Vec::new(),
        size: 0,
        real_size: None,
    };
    entry.with_records(path, &entry.records(path))
}

/// Where the pieces of a file with holes lie, each with its start and length.
///
/// Version 1.0 of GNU's PAX form: decimal numbers, a line each, in whole blocks.
pub(crate) fn sparse_map(pieces: &[(u64, u64)], size: u64) -> Vec<u8> {
    let numbers = pieces.iter().flat_map(|(start, length)| [*start, *length]);
    let count = pieces.len() as u64 + 1;
    let numbers = [count].into_iter().chain(numbers).chain([size, 0]);
    let mut map: Vec<u8> = numbers
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// The zeros behind a content of that many bytes.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    &[0; BLOCK][..(BLOCK - over) % BLOCK]
}

/// What stands behind the last file.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
