//! Does a stranger's ext3 image become an archive or an error, in bounded time and memory?
//!
//! How much of both an input may take is an option of the fuzzer.

#![no_main]

mod image;

use std::io::{self, Read};

use cooperage_image::ext3::read_as_tar;
use cooperage_image::{Cancel, Error};
use libfuzzer_sys::fuzz_target;

/// Where the reader of the archive has had enough: one file may have the blocks of another, so an
/// archive can be longer than its image.
const LARGEST: u64 = 16 << 20;

fuzz_target!(|image: &[u8]| {
    match read(image) {
        Ok(_) | Err(Error::Cancelled) => {}
        Err(Error::Base { message, .. }) => assert!(message.starts_with("image "), "{message}"),
        Err(other) => panic!("{other:?}"),
    }
});

fn read(image: &[u8]) -> Result<u64, Error> {
    read_as_tar(image::part(image), &Cancel::default(), |archive| {
        let length = io::copy(&mut archive.take(LARGEST), &mut io::sink());
        match length.map_err(|error| Error::Internal(error.to_string()))? {
            LARGEST => Err(Error::Cancelled),
            length => Ok(length),
        }
    })
}
