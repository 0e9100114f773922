//! The image of the moment, as a file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use cooperage_image::squashfs::Part;

static FILE: LazyLock<File> = LazyLock::new(|| tempfile::tempfile().expect("a temporary file"));

/// Makes these bytes the image of the moment, all of which is one file system.
pub fn part(image: &[u8]) -> Part<'static> {
    let length = image.len() as u64;
    FILE.set_len(length).expect("the file is writable");
    FILE.write_all_at(image, 0).expect("the file is writable");
    Part {
        file: &FILE,
        offset: 0,
        length,
    }
}
