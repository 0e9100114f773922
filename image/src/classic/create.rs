//! `create`: an empty image.

use std::path::Path;

use super::file_system::{self, Layout};
use crate::engine::Event;
use crate::error::Error;
use crate::replace::Replacement;

/// What an ext3 file system of blocks of 4 KiB can be, in MiB: 16 TiB.
const LARGEST: u64 = 16 << 20;
/// Below this there is no room for a journal, in MiB.
const SMALLEST: u64 = 8;

/// How an image is made.
#[derive(Debug, Clone, Copy)]
pub struct Create {
    /// Its size in MiB.
    pub size: u64,
    /// Whether an existing image is overwritten.
    pub overwrite: bool,
}

/// Makes an empty image at `image`.
pub fn create(
    image: &Path,
    order: Create,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(), Error> {
    let say = |line: &str| events(Event::Info(line));
    if image.symlink_metadata().is_ok() && !order.overwrite {
        return Err(Error::Exists(image.to_owned()));
    }
    require_size(order.size)?;
    say("Initializing Singularity image subsystem");
    say(&format!("Opening image file: {}", image.display()));
    say(&format!("Creating {}MiB image", order.size));
    let mut new = Replacement::of(image)?;
    let layout = Layout::new(order.size);
    layout
        .lay_out(new.file())
        .map_err(Error::io("writing", image))?;
    say("Binding image to loop");
    say("Creating file system within image");
    file_system::format(new.path(), layout)?;
    new.finish()?;
    say(&format!("Image is done: {}", image.display()));
    Ok(())
}

/// Whether an image can be of that size.
pub(super) fn require_size(size: u64) -> Result<(), Error> {
    if (SMALLEST..=LARGEST).contains(&size) {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("an image cannot have {size} MiB"),
        help: Some(format!("sizes are from {SMALLEST} to {LARGEST} MiB")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::process::Command;

    use super::super::file_system::MEBIBYTE;
    use super::*;

    const SMALL: Create = Create {
        size: 8,
        overwrite: false,
    };

    #[test]
    fn an_image_is_a_line_and_a_file_system_that_readers_of_2x_accept() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.img");

        create(&image, SMALL, &|_| {}).unwrap();

        let file = File::open(&image).unwrap();
        let metadata = file.metadata().unwrap();
        let mut start = [0; 1024 + 120];
        let mut line = [0; 31];
        file.read_exact_at(&mut line, 0).unwrap();
        file.read_exact_at(&mut start, 31).unwrap();
        assert_eq!(&line, b"#!/usr/bin/env run-singularity\n");
        assert_eq!(metadata.len(), 31 + 8 * MEBIBYTE);
        assert!(metadata.blocks() * 512 < 6 * MEBIBYTE, "it is sparse");
        assert_eq!(metadata.mode() & 0o700, 0o700);
        assert_eq!(start[1024 + 56..][..2], [0x53, 0xef]);
        let word = |at: usize| u32::from_le_bytes(start[1024 + at..][..4].try_into().unwrap());
        assert_eq!(word(92) & 4, 4, "it has a journal");
        assert_eq!(word(96) & !0x16, 0, "incompatible features");
        assert_eq!(word(100) & !0x7, 0, "features that only reading allows");
    }

    #[test]
    fn an_image_that_exists_is_overwritten_when_asked_to_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("a.img");
        fs::write(&image, "mine").unwrap();

        let refused = create(&image, SMALL, &|_| {}).unwrap_err();
        assert!(matches!(refused, Error::Exists(_)), "{refused}");
        assert_eq!(fs::read(&image).unwrap(), b"mine");

        let overwrite = Create {
            overwrite: true,
            ..SMALL
        };
        create(&image, overwrite, &|_| {}).unwrap();
        let checked = Command::new("/sbin/e2fsck")
            .args(["-fn", &format!("{}?offset=31", image.display())])
            .status()
            .unwrap();
        assert!(checked.success());
    }

    #[test]
    fn sizes_that_cannot_be_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 1, u64::MAX] {
            let order = Create { size, ..SMALL };

            let refused = create(&folder.path().join("a.img"), order, &|_| {}).unwrap_err();

            assert!(refused.to_string().contains("MiB"), "{refused}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
