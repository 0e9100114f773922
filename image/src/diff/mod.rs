//! What differs between two images?
//!
//! Both file systems are read side by side as archives sorted by name, and no more of them is held
//! in memory than the files at hand. Everything that is compared is a list of named values, so that
//! one function finds the differences of files, labels and objects alike.
//!
//! | what | file |
//! |---|---|
//! | what a difference is, and how two lists are compared | `difference` |
//! | what is left out | `ignored` |
//! | the image around the files: form, identity, objects of a SIF | `around` |
//! | an image → its files in order | `listing`, `entry` |
//! | files in order → differences | `tree` |
//! | labels, definition, environment and scripts among them | `texts` |

mod around;
mod difference;
mod entry;
mod ignored;
mod listing;
mod texts;
mod tree;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use self::difference::{Change, Difference, Fact, Subject, Value};
pub use self::ignored::Ignored;
use self::listing::Source;
use crate::engine::{Cancel, Engine};
use crate::error::Error;

const BUFFER: usize = 256 << 10;

/// Who is told of the differences as they are found.
type Told<'a> = &'a mut dyn FnMut(Difference) -> Result<(), Error>;

impl Engine {
    /// Tells what differs between two images of any kind: SIF, squashfs, ext3 or folder.
    ///
    /// Images that are the same have the same bytes, or are folders with the same files.
    pub fn diff(
        &self,
        images: [&Path; 2],
        ignored: &Ignored,
        cancel: &Cancel,
        tell: &mut dyn FnMut(Difference) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let [a, b] = images;
        let sources = [Source::open(a)?, Source::open(b)?];
        let first = first_difference(&sources, cancel)?;
        if first == Some(Place::Nowhere) {
            return Ok(());
        }
        let mut count = 0_u64;
        let mut count_and_tell = |difference: Difference| match ignored.keep(difference) {
            Some(difference) => {
                count += 1;
                tell(difference)
            }
            None => Ok(()),
        };
        around::compare(&sources, cancel, &mut count_and_tell)?;
        tree::compare(&self.settings, &sources, cancel, &mut count_and_tell)?;
        match first {
            Some(Place::At(place)) if count == 0 && ignored.is_empty() => {
                tell(difference::bytes(place))
            }
            _ => Ok(()),
        }
    }
}

/// Where the bytes of two files begin to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Nowhere,
    At(u64),
}

/// Compares the bytes of two files; there are none to compare when one is a folder.
fn first_difference(sources: &[Source; 2], cancel: &Cancel) -> Result<Option<Place>, Error> {
    let [a, b] = sources;
    if a.is_folder || b.is_folder {
        return Ok(None);
    }
    let mut buffers = [vec![0; BUFFER], vec![0; BUFFER]];
    let mut place = 0_u64;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let [left, right] = &mut buffers;
        let left = fill(&a.file, &a.name, left)?;
        let right = fill(&b.file, &b.name, right)?;
        let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        place += same as u64;
        if same < left.len() || same < right.len() {
            return Ok(Some(Place::At(place)));
        }
        if same == 0 {
            return Ok(Some(Place::Nowhere));
        }
    }
}

fn fill<'b>(mut file: &File, name: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("reading", name)(error)),
        }
    }
    Ok(&buffer[..length])
}
