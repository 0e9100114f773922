//! Does a stranger's squashfs image become an archive and the base of another image, or an error, in
//! bounded time and memory?
//!
//! How much of both an input may take is an option of the fuzzer.

#![no_main]

mod image;

use std::io;

use cooperage_image::pack::write_squashfs_over;
use cooperage_image::squashfs::writer::Compression;
use cooperage_image::squashfs::{Bounds, Packing, read_as_tar};
use cooperage_image::{Cancel, Error, Limits};
use libfuzzer_sys::fuzz_target;

const DISK: u64 = 16 << 20;
/// What an archive has besides the contents: headers and padding of the entries that fit.
const LARGEST: u64 = 4 * DISK;
const LIMITS: Limits = Limits {
    disk: Some(DISK),
    time: None,
    memory: None,
    processes: None,
};

fuzz_target!(|image: &[u8]| {
    match read(image) {
        Ok(length) => assert!(length <= LARGEST, "an archive of {length} bytes"),
        Err(Error::Base { message, .. }) => assert!(message.starts_with("image "), "{message}"),
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
    match copy(image) {
        Ok(()) => {}
        Err(Error::Base { message, .. }) => assert!(
            ["image ", "layer entry ", "files cannot be packed"]
                .iter()
                .any(|begin| message.starts_with(begin)),
            "{message}"
        ),
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
});

/// The length of the archive that an image becomes.
fn read(image: &[u8]) -> Result<u64, Error> {
    let bounds = Bounds {
        limits: LIMITS,
        cancel: &Cancel::default(),
    };
    read_as_tar(image::part(image), bounds, |archive| {
        io::copy(archive, &mut io::sink()).map_err(|error| Error::Internal(error.to_string()))
    })
}

/// Builds on an image without compressing its blocks again. What comes of it can be read.
fn copy(image: &[u8]) -> Result<(), Error> {
    let Some(packing) = packing_of(image) else {
        return Ok(());
    };
    let bounds = Bounds {
        limits: LIMITS,
        cancel: &Cancel::default(),
    };
    let (part, mut written) = (image::part(image), Vec::new());
    let layers: [&[u8]; 0] = [];
    if write_squashfs_over(part, layers, &mut written, packing, bounds)?.is_some() {
        let again = read(&written);
        assert!(again.is_ok(), "{again:?}");
    }
    Ok(())
}

/// The packing whose blocks are as those of an image.
fn packing_of(image: &[u8]) -> Option<Packing> {
    let compression = match image.get(20)? {
        1 => Compression::Gzip { level: 1 },
        4 => Compression::Xz { level: 1 },
        5 => Compression::Lz4,
        6 => Compression::Zstd { level: 1 },
        _ => return None,
    };
    let block_size = image.get(12..)?.first_chunk()?;
    Some(Packing {
        compression,
        block_size: u32::from_le_bytes(*block_size),
        threads: 1,
    })
}
