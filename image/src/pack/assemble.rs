//! How do packs become a file system?
//!
//! The file system is a page with the superblock, the ranges of packs that its files use, and
//! tables that are made afresh. Blocks do not know where they lie, so nothing is compressed again.

use sha2::{Digest, Sha256};

use super::Pack;
use super::ranges::{Live, Range, Ranges};
use super::stack::{Place, Stack};
use super::write::form_of;
use crate::error::Error;
use crate::sandbox::Failure;
use crate::squashfs::Packing;
use crate::squashfs::writer::data::{Data, File, FileId, Fragment, Tail};
use crate::squashfs::writer::output::{ALIGNMENT, Output};
use crate::squashfs::writer::tables::{self, Image};
use crate::squashfs::writer::tree::Content;
use crate::squashfs::writer::walk::Walk;
use crate::squashfs::writer::{self, Options};

/// A file system that is made of packs.
pub(crate) struct FileSystem {
    /// The superblock, on a page of its own.
    pub(super) superblock: Vec<u8>,
    pub(super) ranges: Vec<Range>,
    /// The tables, padded to whole pages.
    pub(super) tables: Vec<u8>,
}

/// Puts packs over each other, the lowest first. No time is later than `latest`, in seconds since
/// 1970, which is the time of the file system then.
///
/// The same packs give the same bytes.
pub(crate) fn assemble(
    packs: &[Pack],
    packing: Packing,
    latest: Option<u32>,
) -> Result<FileSystem, Error> {
    let options = packing.options(latest);
    check_forms(packs, packing)?;
    let stack = Stack::of(packs, latest.unwrap_or(u32::MAX)).map_err(Failure::from)?;
    let used = Used::by(&stack, packs);
    let ranges = Ranges::of(used.live(&stack, packs), ALIGNMENT);
    let contents = used.placed(&stack, packs, &ranges)?;
    let image = Image {
        tree: &stack.tree,
        contents: &contents,
        attributes: &stack.attributes,
    };
    let (superblock, tables) =
        write_tables(&image, ranges.end, &options).map_err(|error| not_representable(&error))?;
    Ok(FileSystem {
        superblock,
        ranges: ranges.ranges,
        tables,
    })
}

/// Blocks of one image are all compressed in the same way.
fn check_forms(packs: &[Pack], packing: Packing) -> Result<(), Error> {
    let wanted = form_of(packing);
    let is_other = |pack: &&Pack| pack.index.form != wanted;
    match packs.iter().find(is_other) {
        Some(pack) => Err(Error::Internal(format!(
            "{} is not packed as the image is",
            pack.folder.display()
        ))),
        None => Ok(()),
    }
}

fn write_tables(
    image: &Image<'_>,
    begin: u64,
    options: &Options,
) -> Result<(Vec<u8>, Vec<u8>), writer::Error> {
    let mut tables = Vec::new();
    let mut output = Output::at(begin, &mut tables);
    let superblock = tables::write(&mut output, image, options)?;
    output.pad()?;
    let mut superblock = superblock.encode();
    superblock.resize(usize::try_from(ALIGNMENT).unwrap_or(usize::MAX), 0);
    Ok((superblock, tables))
}

fn not_representable(error: &writer::Error) -> Error {
    Error::Base {
        message: format!("files cannot be packed: {error}"),
        help: None,
    }
}

impl FileSystem {
    /// Its size in bytes, a multiple of 4096.
    pub(crate) fn size(&self) -> u64 {
        let ranges: u64 = self.ranges.iter().map(|range| range.length).sum();
        ranges + (self.superblock.len() + self.tables.len()) as u64
    }

    /// What tells it from all others.
    pub(super) fn identity(&self, packs: &[Pack]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.superblock);
        for range in &self.ranges {
            hash.update(packs[range.pack].index.data.sha256);
            hash.update(range.offset.to_le_bytes());
            hash.update(range.length.to_le_bytes());
        }
        hash.update(&self.tables);
        hash.finalize().into()
    }
}

/// Which contents and fragments the tree uses.
struct Used {
    /// By the place among all contents of the stack.
    files: Vec<bool>,
    /// By pack, and the place in its fragment table.
    fragments: Vec<Vec<bool>>,
}

impl Used {
    fn by(stack: &Stack<'_>, packs: &[Pack]) -> Self {
        let unused = |pack: &Pack| vec![false; pack.index.fragments.len()];
        let mut used = Self {
            files: vec![false; stack.contents.len()],
            fragments: packs.iter().map(unused).collect(),
        };
        for node in Walk::of(&stack.tree).order() {
            if let Content::File(FileId(id)) = stack.tree.node(*node).content {
                used.files[id] = true;
                let Place { pack, file } = stack.contents[id];
                if let Some(tail) = file.tail {
                    used.fragments[pack][index(tail.fragment)] = true;
                }
            }
        }
        used
    }

    fn files<'p>(&self, stack: &Stack<'p>) -> impl Iterator<Item = Place<'p>> {
        let contents = stack.contents.iter().zip(&self.files);
        contents
            .filter(|(_, is_used)| **is_used)
            .map(|(place, _)| *place)
    }

    /// Fragments with their packs and places in the tables of these.
    fn fragments<'p>(
        &self,
        packs: &'p [Pack],
    ) -> impl Iterator<Item = (usize, usize, &'p Fragment)> {
        let tables = packs.iter().zip(&self.fragments).enumerate();
        tables.flat_map(|(pack, (of, used))| {
            let fragments = of.index.fragments.iter().zip(used).enumerate();
            let fragments = fragments.filter(|(_, (_, is_used))| **is_used);
            fragments.map(move |(index, (fragment, _))| (pack, index, fragment))
        })
    }

    fn live(&self, stack: &Stack<'_>, packs: &[Pack]) -> Vec<Live> {
        let blocks = self.files(stack).map(|Place { pack, file }| {
            let end = file.start + file.stored_size();
            (pack, file.start, end)
        });
        let fragments = self.fragments(packs).map(|(pack, _, fragment)| {
            let end = fragment.start + fragment.stored_size();
            (pack, fragment.start, end)
        });
        blocks
            .chain(fragments)
            .filter(|(_, start, end)| start < end)
            .collect()
    }

    /// All that is used, by its place in the file system.
    fn placed(&self, stack: &Stack<'_>, packs: &[Pack], ranges: &Ranges) -> Result<Data, Error> {
        let mut numbers: Vec<Vec<u32>> = packs
            .iter()
            .map(|pack| vec![0; pack.index.fragments.len()])
            .collect();
        let mut fragments = Vec::new();
        for (pack, index, fragment) in self.fragments(packs) {
            numbers[pack][index] = u32::try_from(fragments.len())
                .map_err(|_| not_representable(&writer::Error::TooLarge("fragment table")))?;
            fragments.push(Fragment {
                start: ranges.place(pack, fragment.start),
                size: fragment.size,
            });
        }
        let contents = stack.contents.iter().zip(&self.files);
        let files = contents.map(|(Place { pack, file }, is_used)| {
            if !is_used {
                return File::default();
            }
            let tail = file.tail.map(|tail| Tail {
                fragment: numbers[*pack][index(tail.fragment)],
                ..tail
            });
            let start = match file.stored_size() {
                0 => 0,
                _ => ranges.place(*pack, file.start),
            };
            File {
                start,
                tail,
                ..(*file).clone()
            }
        });
        Ok(Data {
            files: files.collect(),
            fragments,
        })
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
