//! Trees become squashfs files and come back.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use cooperage_image::sandbox::{Identity, Section};
use cooperage_image::squashfs::{self, Extra};

use crate::Case;
use crate::machine::Machine;

pub(crate) const CASES: &[Case] = &[
    (
        "a packed tree keeps owners, links and modes",
        a_packed_tree_keeps_everything,
    ),
    (
        "packing twice gives the same bytes",
        packing_twice_gives_the_same_bytes,
    ),
    (
        "a damaged image is not half an image",
        a_damaged_image_is_an_error,
    ),
];

fn pack(machine: &Machine, name: &str) -> std::path::PathBuf {
    let output = machine.scratch.path().join(name);
    let workspace = machine.workspace();
    let extra = Extra {
        latest: Some(1_000_000),
        ..Extra::default()
    };
    let summary =
        squashfs::pack(workspace.namespace(), &workspace.rootfs(), extra, &output).unwrap();
    assert_eq!(summary.size, output.metadata().unwrap().len());
    assert_eq!(summary.size % 4096, 0);
    output
}

fn listing(image: &Path, scratch: &Path) -> String {
    let file = File::open(image).unwrap();
    let length = file.metadata().unwrap().len();
    let archive = squashfs::read_as_tar(&file, 0, length, scratch).unwrap();
    let mut archive = tar::Archive::new(archive);
    let mut lines = String::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        let (uid, gid, mode) = (
            header.uid().unwrap(),
            header.gid().unwrap(),
            header.mode().unwrap(),
        );
        let path = entry.path().unwrap().display().to_string();
        let kind = header.entry_type();
        let time = header.mtime().unwrap();
        writeln!(lines, "{path} {uid}:{gid} {mode:o} {kind:?} {time}").unwrap();
    }
    lines
}

fn a_packed_tree_keeps_everything() {
    let machine = Machine::new(Identity::Auto);
    let script = "echo x > /f; busybox chown 42:43 /f; busybox chmod 4751 /f; busybox ln /f /hard; \
                  busybox ln -s f /soft; busybox mkfifo /pipe; busybox chmod 0700 /";
    machine.run(Section::Post, script).said();

    let image = pack(&machine, "image");

    let listing = listing(&image, machine.scratch.path());
    let owner = if machine.workspace().namespace().is_single() {
        "0:0"
    } else {
        "42:43"
    };
    assert!(
        listing.contains(&format!("f {owner} 4751 Regular 1000000\n")),
        "{listing}"
    );
    assert!(listing.contains("soft 0:0 777 Symlink"), "{listing}");
    assert!(listing.contains("pipe 0:0 664 Fifo"), "{listing}");
    assert!(listing.contains("Link"), "{listing}");
    assert!(
        listing
            .lines()
            .any(|line| line.starts_with("./ 0:0 700 Directory")),
        "{listing}"
    );
}

fn packing_twice_gives_the_same_bytes() {
    let machine = Machine::new(Identity::Auto);

    let (first, second) = (pack(&machine, "first"), pack(&machine, "second"));

    assert_eq!(
        std::fs::read(first).unwrap(),
        std::fs::read(second).unwrap()
    );
}

fn a_damaged_image_is_an_error() {
    let machine = Machine::new(Identity::Auto);
    let image = pack(&machine, "image");
    let file = File::open(&image).unwrap();
    let half = file.metadata().unwrap().len() / 2;
    let mut bytes = Vec::new();

    let mut archive = squashfs::read_as_tar(&file, 0, half, machine.scratch.path()).unwrap();
    let read = archive.read_to_end(&mut bytes);

    assert!(read.is_err());
}
