//! Builds on images: their blocks are taken as they are.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use cooperage_image::sandbox::Identity;
use cooperage_image::{Error, FailureKind, Output, Roots};

use crate::Case;
use crate::machine::IDENTITIES;
use crate::overlay::{content, write_base};
use crate::stages::Place;

pub(crate) const CASES: &[Case] = &[
    (
        "blocks of a base that is an image are copied",
        blocks_of_an_image_are_copied,
    ),
    (
        "an image of which only the tree is kept becomes a pack as it is",
        an_image_of_a_kept_tree_is_copied,
    ),
    (
        "a base that is packed otherwise is packed anew",
        other_blocks_are_compressed,
    ),
    (
        "a base that is damaged anywhere is named",
        a_damaged_base_is_named,
    ),
];

const EPOCH: i64 = 1_700_000_000;

/// Builds `NAME` on an image with a script that keeps, changes and repeats some of it.
fn build(place: &Place, name: &str, from: &str) -> String {
    let definition = format!(
        "Bootstrap: localimage\nFrom: {from}\n%post\n    bb=/bin/busybox\n    \
         $bb cp /bin/busybox /again\n    $bb rm -r /gone\n    echo more >> /data/changed\n    \
         $bb chmod -R g+w /data\n    $bb ln /bin/busybox /hard\n"
    );
    let mut request = place.request(&definition, Output::Sif(place.path(name)));
    request.epoch = Some(EPOCH);
    request.step_age = None;
    let (built, log) = place.build(&request);
    assert!(built.is_ok(), "{built:?}: {log}");
    log
}

/// Makes the bases `own.sif`, and `bare.squashfs` by another program.
fn write_bases(place: &Place) {
    write_base(&place.path("base"));
    let definition = "Bootstrap: oci\nFrom: base\n";
    for output in [
        Output::Sif(place.path("own.sif")),
        Output::Sandbox(place.path("sandbox")),
    ] {
        let (built, log) = place.build(&place.request(definition, output));
        assert!(built.is_ok(), "{built:?}: {log}");
    }
    mksquashfs(place, "bare.squashfs", &[]);
}

fn mksquashfs(place: &Place, name: &str, options: &[&str]) {
    let mut command = Command::new("mksquashfs");
    command
        .args([place.path("sandbox"), place.path(name)])
        .args(["-quiet", "-no-progress", "-noappend"])
        .args(options);
    assert!(command.status().unwrap().success());
}

/// Where the root file system of an image is, and its blocks.
fn blocks(image: &Path) -> Vec<u8> {
    let offset = match cooperage_image::sif::open(image) {
        Ok(sif) => sif.primary_partition().unwrap().offset,
        Err(_) => 0,
    };
    let file = File::open(image).unwrap();
    let mut table = [0; 8];
    file.read_exact_at(&mut table, offset + 64).unwrap();
    let length = usize::try_from(u64::from_le_bytes(table) - 96).unwrap();
    let mut blocks = vec![0; length];
    file.read_exact_at(&mut blocks, offset + 96).unwrap();
    blocks
}

/// Whether the blocks of one image are in the other, as far as its first piece tells.
fn has_blocks_of(image: &Path, base: &Path) -> bool {
    let (blocks, image) = (blocks(base), fs::read(image).unwrap());
    let first = blocks.iter().position(|byte| *byte != 0).unwrap();
    let piece = &blocks[first..][..400_000];
    image.windows(piece.len()).any(|window| window == piece)
}

fn blocks_of_an_image_are_copied() {
    for identity in IDENTITIES {
        let mut place = Place::new(identity);
        write_bases(&place);
        for base in ["own.sif", "bare.squashfs"] {
            place.roots = Roots::Overlays;
            build(&place, "copied.sif", base);
            let again = build(&place, "again.sif", base);
            place.roots = Roots::Folders;
            build(&place, "packed.sif", base);

            assert!(again.contains("the base was unpacked"), "{again}");
            let (copied, packed) = (place.path("copied.sif"), place.path("packed.sif"));
            assert!(has_blocks_of(&copied, &place.path(base)), "{base}");
            assert_eq!(content(&copied), content(&packed), "{identity:?} {base}");
            let bytes = |name: &str| fs::read(place.path(name)).unwrap();
            assert!(bytes("copied.sif") == bytes("again.sif"), "{base}");
            // What the script repeated is there once.
            let most = bytes(base).len() + 200_000;
            assert!(bytes("copied.sif").len() < most, "{base}");
            fs::remove_file(copied).unwrap();
            fs::remove_file(packed).unwrap();
            fs::remove_file(place.path("again.sif")).unwrap();
        }
    }
}

fn an_image_of_a_kept_tree_is_copied() {
    let place = Place::new(Identity::Auto);
    write_bases(&place);
    build(&place, "first.sif", "own.sif");
    for entry in fs::read_dir(place.path("cache/packs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        }
    }

    let log = build(&place, "second.sif", "own.sif");

    assert!(log.contains("the base was unpacked"), "{log}");
    assert!(!log.contains("packing the base"), "{log}");
    let bytes = |name: &str| fs::read(place.path(name)).unwrap();
    assert!(bytes("first.sif") == bytes("second.sif"));
}

fn other_blocks_are_compressed() {
    let mut place = Place::new(Identity::Auto);
    write_bases(&place);
    mksquashfs(&place, "other.squashfs", &["-comp", "zstd"]);
    mksquashfs(&place, "small.squashfs", &["-b", "64K"]);
    for base in ["other.squashfs", "small.squashfs"] {
        place.roots = Roots::Overlays;
        build(&place, "a.sif", base);
        place.roots = Roots::Folders;
        build(&place, "b.sif", base);

        assert_eq!(content(&place.path("a.sif")), content(&place.path("b.sif")));
        fs::remove_file(place.path("a.sif")).unwrap();
        fs::remove_file(place.path("b.sif")).unwrap();
    }
}

fn a_damaged_base_is_named() {
    let place = Place::new(Identity::Auto);
    write_bases(&place);
    let whole = fs::read(place.path("bare.squashfs")).unwrap();
    let table = |at: usize| {
        let place = u64::from_le_bytes(*whole[at..].first_chunk().unwrap());
        usize::try_from(place).unwrap()
    };
    let used = table(40);
    // A block, the inode table, the directory table, the owners, and the superblock.
    let places = [1000, table(64) + 20, table(72) + 20, table(48) + 3, 41];
    for place_of_damage in places {
        let mut damaged = whole.clone();
        damaged[place_of_damage] ^= 0x55;
        fs::write(place.path("damaged.squashfs"), &damaged).unwrap();
        assert_named(&place, &format!("byte {place_of_damage}"));
    }
    for length in [used / 2, used - 1] {
        fs::write(place.path("damaged.squashfs"), &whole[..length]).unwrap();
        assert_named(&place, &format!("{length} bytes"));
    }
    let packs = fs::read_dir(place.path("cache/packs")).unwrap();
    let names = packs.map(|pack| pack.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("partial")).count(), 0);
}

fn assert_named(place: &Place, damage: &str) {
    let definition = "Bootstrap: localimage\nFrom: damaged.squashfs\n";
    let (built, log) = place.build(&place.request(definition, Output::Sif(place.path("d.sif"))));

    let error = match built {
        Err(Error::At { error, line: 2, .. }) => *error,
        other => panic!("{damage}: {other:?}: {log}"),
    };
    assert_eq!(error.kind(), FailureKind::Base, "{damage}");
    let message = error.to_string();
    let begin = "damaged.squashfs: image is damaged: ";
    assert!(message.starts_with(begin), "{damage}: {message}");
}
