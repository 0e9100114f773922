//! What is compared of a file?

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::difference::{Facts, Value, shown};
use super::texts;
use crate::engine::Cancel;
use crate::error::{Error, FailureKind};
use crate::layer::{self, Archive, Member, MemberKind};

/// Longer values of attributes are told by their hash.
const LONGEST_SHOWN: usize = 64;
/// Zeros that files may have between their data, all of an image together: they cost nothing to
/// store, but time to hash.
const MOST_HOLES: u64 = 64 << 30;

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Without a slash at its beginning; empty for the root.
    pub(super) path: Vec<u8>,
    pub(super) facts: Facts,
    /// What is in it, if it is a text that the image has for its users.
    pub(super) text: Option<String>,
}

/// Reads the files of an archive.
pub(super) struct Reader<'a, R> {
    archive: Archive<R>,
    cancel: &'a Cancel,
    buffer: Vec<u8>,
    holes: u64,
}

impl<'a, R: std::io::Read> Reader<'a, R> {
    pub(super) fn new(archive: R, cancel: &'a Cancel) -> Self {
        Self {
            archive: Archive::new(archive),
            cancel,
            buffer: vec![0; 64 << 10],
            holes: 0,
        }
    }

    /// The next file, its content read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let Some(member) = self.archive.next().map_err(unreadable)? else {
            return Ok(None);
        };
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut entry = Entry {
            path: layer::clean(&member.path),
            facts: facts(&member),
            text: None,
        };
        if member.kind == MemberKind::File {
            self.add_content(&member, &mut entry)?;
        }
        Ok(Some(entry))
    }

    fn add_content(&mut self, member: &Member, entry: &mut Entry) -> Result<(), Error> {
        let mut content = Content {
            hash: Sha256::new(),
            text: texts::is_text(&entry.path, member.size).then(Vec::new),
        };
        match &member.runs {
            None => self.take(member.size, &mut content)?,
            Some(runs) => {
                let mut place = 0;
                for run in runs {
                    self.skip(run.offset.saturating_sub(place), &mut content)?;
                    self.take(run.length, &mut content)?;
                    place = run.offset.saturating_add(run.length);
                }
                self.skip(member.size.saturating_sub(place), &mut content)?;
            }
        }
        let hash = Value::Text(hex::encode(content.hash.finalize()));
        entry.facts.push(("size".into(), member.size.into()));
        entry.facts.push(("contents".into(), hash));
        entry.text = content.text.and_then(|text| String::from_utf8(text).ok());
        Ok(())
    }

    fn take(&mut self, mut left: u64, content: &mut Content) -> Result<(), Error> {
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX);
            let most = most.min(self.buffer.len());
            let count = self.archive.read(&mut self.buffer[..most]);
            let count = count.map_err(unreadable)?;
            if count == 0 {
                return Err(damaged("a file is shorter than it says"));
            }
            content.add(&self.buffer[..count]);
            left -= count as u64;
        }
        Ok(())
    }

    fn skip(&mut self, mut left: u64, content: &mut Content) -> Result<(), Error> {
        self.holes = self.holes.saturating_add(left);
        if self.holes > MOST_HOLES {
            return Err(Error::Limit {
                kind: FailureKind::Disk,
                message: "image has files with more than 64 GiB of nothing in them, which are not \
                          compared"
                    .to_owned(),
                section: None,
            });
        }
        let zeros = [0; 8 << 10];
        while left > 0 {
            if self.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let count = usize::try_from(left).unwrap_or(usize::MAX);
            let count = count.min(zeros.len());
            content.add(&zeros[..count]);
            left -= count as u64;
        }
        Ok(())
    }
}

struct Content {
    hash: Sha256,
    text: Option<Vec<u8>>,
}

impl Content {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        if let Some(text) = &mut self.text {
            text.extend_from_slice(bytes);
        }
    }
}

/// Everything but the content. Another name of a file has nothing of its own.
fn facts(member: &Member) -> Facts {
    let mut facts: Facts = vec![("kind".into(), Value::from(kind(&member.kind)))];
    let mut add = |name: &'static str, value: String| facts.push((name.into(), Value::Text(value)));
    match member.kind {
        MemberKind::HardLink => {
            let first = layer::clean(&member.link);
            add("other name", format!("/{}", shown(&first)));
            return facts;
        }
        MemberKind::Symlink => add("target", shown(&member.link)),
        MemberKind::CharacterDevice | MemberKind::BlockDevice => {
            add("device", format!("{}:{}", member.device.0, member.device.1));
        }
        MemberKind::File | MemberKind::Directory | MemberKind::Fifo => {}
    }
    if member.kind != MemberKind::Symlink {
        add("mode", format!("{:04o}", member.mode));
    }
    add("owner", format!("{}:{}", member.uid, member.gid));
    facts.push(("time".into(), Value::Number(member.mtime.0)));
    facts.extend(member.xattrs.iter().map(|(name, value)| {
        let name = format!("xattr {}", shown(name));
        (Cow::Owned(name), Value::Text(attribute(value)))
    }));
    facts
}

fn kind(kind: &MemberKind) -> &'static str {
    match kind {
        MemberKind::File => "file",
        MemberKind::Directory => "folder",
        MemberKind::Symlink => "symbolic link",
        MemberKind::HardLink => "hard link",
        MemberKind::Fifo => "named pipe",
        MemberKind::CharacterDevice => "character device",
        MemberKind::BlockDevice => "block device",
    }
}

fn attribute(value: &[u8]) -> String {
    let is_text = std::str::from_utf8(value).is_ok_and(|text| !text.contains('\0'));
    match value {
        long if long.len() > LONGEST_SHOWN => {
            let hash = hex::encode(Sha256::digest(long));
            format!("{} bytes with the SHA-256 {hash}", long.len())
        }
        text if is_text => shown(text),
        bytes => format!("0x{}", hex::encode(bytes)),
    }
}

fn unreadable(error: layer::Error) -> Error {
    match error {
        layer::Error::Read(source) => Error::io("reading", "an image")(source),
        other => damaged(&other.to_string()),
    }
}

fn damaged(how: &str) -> Error {
    Error::Base {
        message: format!("image is damaged: {how}"),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use tar::EntryType;

    use super::*;
    use crate::layer::Xattrs;
    use crate::layer::header::{self, Entry as Header};

    fn first(header: &Header<'_>, content: &[u8]) -> Result<Entry, Error> {
        let mut archive = header.encode().unwrap();
        archive.extend_from_slice(content);
        archive.extend_from_slice(header::padding(content.len() as u64));
        archive.extend_from_slice(&header::END);
        let cancel = Cancel::default();
        let entry = Reader::new(archive.as_slice(), &cancel).next();
        entry.map(|entry| entry.unwrap())
    }

    fn file(xattrs: &Xattrs, size: u64, real_size: Option<u64>) -> Header<'_> {
        Header {
            path: b"file",
            kind: EntryType::Regular,
            link: b"",
            mode: 0o4755,
            uid: 3_000_000,
            gid: 4,
            modified: 5,
            device: (0, 0),
            xattrs,
            size,
            real_size,
        }
    }

    fn fact<'a>(entry: &'a Entry, name: &str) -> Option<&'a Value> {
        let fact = entry.facts.iter().find(|(known, _)| known == name);
        fact.map(|(_, value)| value)
    }

    #[test]
    fn attributes_are_values_of_their_own() {
        let long = vec![b'a'; LONGEST_SHOWN + 1];
        let xattrs = vec![
            (b"user.word".to_vec(), b"staves\x1b".to_vec()),
            (b"security.capability".to_vec(), vec![1, 0, 0, 2]),
            (b"user.long".to_vec(), long),
        ];

        let entry = first(&file(&xattrs, 0, None), b"").unwrap();

        let text = |name| match fact(&entry, name) {
            Some(Value::Text(text)) => text.as_str(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(text("xattr user.word"), "staves\\u{1b}");
        assert_eq!(text("xattr security.capability"), "0x01000002");
        assert!(text("xattr user.long").starts_with("65 bytes with the SHA-256 "));
        assert_eq!(text("mode"), "4755");
        assert_eq!(text("owner"), "3000000:4");
    }

    #[test]
    fn a_file_has_the_same_content_with_and_without_holes() {
        let xattrs = Xattrs::new();
        let mut with_holes = header::sparse_map(&[(1000, 3)], 2000);
        with_holes.extend_from_slice(b"abc");
        let mut plain = vec![0; 2000];
        plain[1000..1003].copy_from_slice(b"abc");

        let length = with_holes.len() as u64;
        let with_holes = first(&file(&xattrs, length, Some(2000)), &with_holes).unwrap();
        let plain = first(&file(&xattrs, 2000, None), &plain).unwrap();

        assert_eq!(with_holes, plain);
        assert_eq!(fact(&plain, "size"), Some(&Value::Number(2000)));
    }

    #[test]
    fn more_holes_than_can_be_hashed_are_refused() {
        let xattrs = Xattrs::new();
        let map = header::sparse_map(&[], 1 << 40);

        let refused = first(&file(&xattrs, map.len() as u64, Some(1 << 40)), &map);

        assert!(matches!(refused, Err(Error::Limit { .. })), "{refused:?}");
    }
}
