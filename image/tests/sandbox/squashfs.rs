//! Trees become squashfs files and come back.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use cooperage_image::inside::Task;
use cooperage_image::pack::write_squashfs;
use cooperage_image::sandbox::{Identity, Output, Section, Streams};
use cooperage_image::squashfs::{self, Bounds, Packing, Part};
use cooperage_image::{Cancel, Error, Limits};

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
        "packing a file of endless holes can be stopped",
        packing_can_be_stopped,
    ),
    (
        "a damaged image is not half an image",
        a_damaged_image_is_an_error,
    ),
];

/// Packs the machine's tree.
fn pack_until(machine: &Machine, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    let workspace = machine.workspace();
    let (tree, writer) = io::pipe().unwrap();
    let task = Task::StreamTree {
        latest: Some(1_000_000),
        ledger: String::new(),
    };
    let mut image = Vec::new();
    let packing = Packing::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let streams = Streams {
                input: None,
                output: Output::File(writer.into()),
            };
            workspace.perform(&task, streams)
        });
        write_squashfs([tree], &mut image, packing, Some(1_000_000), cancel)
    })?;
    Ok(image)
}

fn pack(machine: &Machine, name: &str) -> std::path::PathBuf {
    let output = machine.scratch.path().join(name);
    let image = pack_until(machine, &Cancel::default()).unwrap();
    std::fs::write(&output, image).unwrap();
    output
}

fn read(image: &Path, length: u64) -> Result<Vec<u8>, Error> {
    let part = Part {
        file: &File::open(image).unwrap(),
        offset: 0,
        length,
    };
    let bounds = Bounds {
        limits: Limits::default(),
        cancel: &Cancel::default(),
    };
    squashfs::read_as_tar(part, bounds, |archive| {
        let mut tar = Vec::new();
        let read = archive.read_to_end(&mut tar);
        read.map(|_| tar).map_err(Error::io("reading", image))
    })
}

fn listing(image: &Path) -> String {
    let tar = read(image, image.metadata().unwrap().len()).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
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

    let listing = listing(&image);
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
    let whole = image.metadata().unwrap().len();

    for length in [whole / 2, whole + 1] {
        let read = read(&image, length).map(|tar| tar.len());

        assert!(matches!(read, Err(Error::Base { .. })), "{read:?}");
    }
}

fn packing_can_be_stopped() {
    let machine = Machine::new(Identity::Auto);
    machine
        .run(Section::Post, "busybox truncate -s 2000000000000 /holes")
        .said();
    let cancel = Cancel::default();
    let begin = Instant::now();

    let packed = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(500));
            cancel.cancel();
        });
        pack_until(&machine, &cancel)
    });

    assert!(matches!(packed, Err(Error::Cancelled)), "{packed:?}");
    assert!(begin.elapsed() < Duration::from_secs(20));
}
