//! Which names are in a folder?

use super::image::Image;
use super::inode::Listed;
use super::metadata::Cursor;
use crate::error::Error;
use crate::squashfs::damaged;
use crate::squashfs::format::{LONGEST_NAME, LONGEST_RUN, Position, u32_at};

/// Bytes of the header of a run, and of an entry without its name.
const HEADER: u32 = 12;
const ENTRY: u32 = 8;

/// A name, and where its inode is.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) inode: Position,
}

/// A folder's list that is being read.
#[derive(Debug)]
pub(super) struct Listing {
    /// Nothing for an empty list, which may lie nowhere.
    cursor: Option<Cursor>,
    /// Bytes that were not read yet.
    unread: u32,
    run: Run,
    last: Vec<u8>,
}

/// Entries whose inodes are in one metadata block.
#[derive(Debug, Default)]
struct Run {
    left: u32,
    block: u64,
}

impl Listing {
    /// Begins at the first name.
    pub(super) fn open(image: &mut Image, listed: Listed) -> Result<Self, Error> {
        let start = image.superblock.directory_table;
        let cursor = match listed.size {
            0 => None,
            _ => Some(image.metadata.seek(start, listed.position)?),
        };
        Ok(Self {
            cursor,
            unread: listed.size,
            run: Run::default(),
            last: Vec::new(),
        })
    }

    /// The next name; they are sorted, so none comes twice.
    pub(super) fn next(&mut self, image: &mut Image) -> Result<Option<Entry>, Error> {
        if self.run.left == 0 && !self.begin_run(image)? {
            return Ok(None);
        }
        self.run.left -= 1;
        self.take(ENTRY)?;
        let offset = self.u16(image)?;
        let (_number, _kind) = (self.u16(image)?, self.u16(image)?);
        let length = usize::from(self.u16(image)?) + 1;
        if length > LONGEST_NAME {
            return Err(damaged("a name in it is too long"));
        }
        self.take(u32::try_from(length).unwrap_or(u32::MAX))?;
        let mut name = vec![0; length];
        self.fill(image, &mut name)?;
        self.check(&name)?;
        self.last.clone_from(&name);
        let block = self.run.block;
        Ok(Some(Entry {
            name,
            inode: Position { block, offset },
        }))
    }

    fn begin_run(&mut self, image: &mut Image) -> Result<bool, Error> {
        if self.unread == 0 {
            return Ok(false);
        }
        self.take(HEADER)?;
        let mut numbers = [0; 12];
        self.fill(image, &mut numbers)?;
        let before_last = u32_at(&numbers, 0);
        if before_last >= LONGEST_RUN {
            return Err(damaged("a folder of it has too many names at once"));
        }
        self.run = Run {
            left: before_last + 1,
            block: u32_at(&numbers, 4).into(),
        };
        Ok(true)
    }

    fn take(&mut self, count: u32) -> Result<(), Error> {
        let unread = self.unread.checked_sub(count);
        self.unread = unread.ok_or_else(|| damaged("a folder of it ends within a name"))?;
        Ok(())
    }

    fn check(&self, name: &[u8]) -> Result<(), Error> {
        if name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
            return Err(damaged(&format!(
                "`{}` cannot be the name of a file",
                name.escape_ascii()
            )));
        }
        if name <= self.last.as_slice() {
            return Err(damaged("names in a folder of it are not in their order"));
        }
        Ok(())
    }

    fn u16(&mut self, image: &mut Image) -> Result<u16, Error> {
        let mut bytes = [0; 2];
        self.fill(image, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn fill(&mut self, image: &mut Image, buffer: &mut [u8]) -> Result<(), Error> {
        match &mut self.cursor {
            Some(cursor) => image.metadata.fill(cursor, buffer),
            None => Err(damaged("a folder of it lies nowhere")),
        }
    }
}
