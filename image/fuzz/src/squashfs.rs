//! Does a stranger's squashfs image become an archive or an error, in bounded time and memory?
//!
//! How much of both an input may take is an option of the fuzzer.

#![no_main]

mod image;

use std::io;

use cooperage_image::squashfs::{Bounds, read_as_tar};
use cooperage_image::{Cancel, Error, Limits};
use libfuzzer_sys::fuzz_target;

const DISK: u64 = 16 << 20;
/// What an archive has besides the contents: headers and padding of the entries that fit.
const LARGEST: u64 = 4 * DISK;

fuzz_target!(|image: &[u8]| {
    match read(image) {
        Ok(length) => assert!(length <= LARGEST, "an archive of {length} bytes"),
        Err(Error::Base { message, .. }) => assert!(message.starts_with("image "), "{message}"),
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
});

/// The length of the archive that an image becomes.
fn read(image: &[u8]) -> Result<u64, Error> {
    let limits = Limits {
        disk: Some(DISK),
        time: None,
        memory: None,
        processes: None,
    };
    let bounds = Bounds {
        limits,
        cancel: &Cancel::default(),
    };
    read_as_tar(image::part(image), bounds, |archive| {
        io::copy(archive, &mut io::sink()).map_err(|error| Error::Internal(error.to_string()))
    })
}
