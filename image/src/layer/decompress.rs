//! How a layer is compressed, told by its first bytes: media types are often wrong.

use std::io::{self, Cursor, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

const MAGIC: usize = 4;

/// Reads a layer's tar, whatever it is compressed with.
pub(crate) fn reader<'a>(
    mut source: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::with_capacity(MAGIC);
    source.by_ref().take(MAGIC as u64).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let whole = Cursor::new(head).chain(source);
    Ok(match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(io::BufReader::new(whole))),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(whole)),
        Compression::Zstd => Box::new(zstd::Decoder::new(whole)?),
        Compression::None => Box::new(whole),
    })
}

/// Whether a file that begins so is compressed.
pub(crate) fn is_compressed(head: &[u8]) -> bool {
    !matches!(Compression::of(head), Compression::None)
}

enum Compression {
    Gzip,
    Bzip2,
    Zstd,
    None,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9'] => Self::Bzip2,
            // A frame, or one of the frames to be skipped: RFC 8878, sections 3.1.1 and 3.1.2.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}
