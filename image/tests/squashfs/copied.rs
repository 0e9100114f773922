//! Are the blocks of a squashfs on which something is built its own?

use std::collections::BTreeMap;
use std::fs;

use cooperage_image::squashfs::Packing;
use cooperage_image::squashfs::writer::Compression;
use cooperage_image::{FailureKind, Limits};

use crate::reader::torture;
use crate::stream::{Object, Stream, noise, objects};
use crate::tools::{mksquashfs, packing_of, read, sqfstar, unsquashfs, write, write_over};

const PAGE: usize = 4096;

fn over(image: &[u8], layers: &[&[u8]]) -> Vec<u8> {
    let packing = packing_of(image).unwrap();
    let written = write_over(image, layers, packing, Limits::default());
    written.unwrap().unwrap()
}

/// All blocks lie between the superblock and the inode table, which it tells the place of.
fn blocks(image: &[u8]) -> &[u8] {
    let end = u64::from_le_bytes(*image[64..].first_chunk().unwrap());
    &image[..usize::try_from(end).unwrap()][96..]
}

/// How `unsquashfs` lists everything but folders, whose size depends on where inodes lie.
fn files(image: &[u8]) -> Vec<Vec<u8>> {
    let listing = unsquashfs(&["-lln"], image, &[]);
    let lines = listing.split(|byte| *byte == b'\n');
    let files = lines.filter(|line| !line.starts_with(b"d"));
    files.map(<[u8]>::to_vec).collect()
}

#[track_caller]
fn assert_copied(image: &[u8], how: &str) {
    let copied = over(image, &[]);

    let (tree, expected) = (read(&copied).unwrap(), read(image).unwrap());
    assert!(objects(&tree) == objects(&expected), "{how}: tree");
    assert!(files(&copied) == files(image), "{how}: listing");
    assert!(over(image, &[]) == copied, "{how}: twice");
}

#[test]
fn blocks_that_others_wrote_are_copied_whatever_their_options() {
    let tar = torture();
    for options in [
        "-comp gzip",
        "-comp gzip -b 4096",
        "-comp gzip -b 1M -no-tailends",
        "-no-fragments",
        "-noI -noD -noF -noX",
        "-noI -noId -no-sparse -no-duplicates",
        "-exports -nopad",
        "-comp zstd",
        "-comp xz -b 64K",
        "-comp lz4 -processors 1",
    ] {
        let arguments: Vec<&str> = options.split(' ').collect();
        let image = sqfstar(&tar, &arguments);
        assert_copied(&image, options);
        let copied = over(&image, &[]);
        assert!(copied[PAGE + 96..].starts_with(blocks(&image)), "{options}");
    }
}

#[test]
fn blocks_that_we_wrote_are_copied() {
    let tar = torture();
    for compression in [
        Compression::Gzip { level: 9 },
        Compression::Zstd { level: 3 },
        Compression::Xz { level: 1 },
        Compression::Lz4,
    ] {
        let packing = Packing {
            compression,
            ..Packing::default()
        };
        let image = write(&tar, packing).unwrap();
        assert_copied(&image, &format!("{packing:?}"));
        // Ours begin on the second page, as what is copied does.
        let end = PAGE + blocks(&image).len() - (PAGE - 96);
        assert!(over(&image, &[])[..end][PAGE..] == image[..end][PAGE..]);
    }
}

#[test]
fn what_a_copied_base_is_like_others_make_of_it() {
    let tar = torture();
    let image = sqfstar(&tar, &["-comp", "gzip"]);
    let tree = read(&image).unwrap();

    let packed = write(&tree, Packing::default()).unwrap();
    let copied = over(&image, &[]);

    assert!(objects_without_holes(&copied) == objects_without_holes(&packed));
}

/// Writers do not agree on which zeros are worth a hole.
fn objects_without_holes(image: &[u8]) -> BTreeMap<Vec<u8>, Object> {
    let mut objects = objects(&read(image).unwrap());
    for object in objects.values_mut() {
        object.is_sparse = false;
    }
    objects
}

#[test]
fn a_folder_whose_files_are_named_as_whiteouts_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir(place("folder")).unwrap();
    fs::write(place("folder/.wh.a"), "literally").unwrap();
    fs::write(place("folder/.wh..wh..opq"), noise(1, 200_000)).unwrap();
    fs::write(place("folder/a"), fs::read("/bin/sh").unwrap()).unwrap();
    fs::hard_link(place("folder/a"), place("b")).unwrap();

    for options in [
        "-all-root",
        "-always-use-fragments",
        "-comp gzip -Xcompression-level 1 -Xwindow-size 8 -Xstrategy huffman_only,default",
    ] {
        let arguments: Vec<&str> = options.split(' ').collect();
        assert_copied(&mksquashfs(folder.path(), &arguments), options);
    }
}

#[test]
fn what_upper_layers_repeat_or_remove_is_found_in_a_copied_base() {
    let large = |seed| noise(seed, 1 << 20);
    let base = Stream::new()
        .file("gone", &large(1))
        .file("kept", &large(2))
        .finish();
    let upper = Stream::new()
        .file("copied", &large(2))
        .file(".wh.gone", b"")
        .finish();
    let image = sqfstar(&base, &["-comp", "gzip"]);

    let written = over(&image, &[&upper]);

    assert!(written.len() < (1 << 20) + 140_000, "{}", written.len());
    assert!(unsquashfs(&["-cat"], &written, &["copied"]) == large(2));
    let names: Vec<Vec<u8>> = objects(&read(&written).unwrap()).into_keys().collect();
    assert_eq!(names, [&b""[..], b"copied", b"kept"]);
}

#[test]
fn contents_that_another_writer_stored_twice_are_stored_once() {
    let content = noise(3, 1 << 20);
    let tar = Stream::new().file("a", &content).file("b", &content);
    let image = sqfstar(&tar.finish(), &["-no-duplicates"]);
    assert!(image.len() > 2 << 20);

    let written = over(&image, &[]);

    assert!(written.len() < (1 << 20) + 140_000, "{}", written.len());
    assert!(unsquashfs(&["-cat"], &written, &["b"]) == content);
}

#[test]
fn blocks_of_another_form_are_not_copied() {
    let tar = Stream::new().file("a", &noise(4, 300_000)).finish();
    for options in ["-comp zstd", "-b 64K", "-comp xz -b 64K"] {
        let arguments: Vec<&str> = options.split(' ').collect();
        let image = sqfstar(&tar, &arguments);

        let written = write_over(&image, &[], Packing::default(), Limits::default());

        assert!(written.unwrap().is_none(), "{options}");
    }
}

#[test]
fn a_tree_that_takes_more_than_the_disk_limit_is_not_copied() {
    let tar = Stream::new().file("a", &vec![1; 8 << 20]).finish();
    let image = sqfstar(&tar, &["-comp", "gzip"]);
    let within = |disk| {
        let limits = Limits {
            disk: Some(disk),
            ..Limits::default()
        };
        write_over(&image, &[], Packing::default(), limits)
    };

    assert!(within(9 << 20).is_ok());
    assert_eq!(within(7 << 20).unwrap_err().kind(), FailureKind::Disk);
}

#[test]
fn damage_in_a_block_is_an_error_or_changes_nothing() {
    let numbers: Vec<String> = (0..60_000).map(|number| number.to_string()).collect();
    let text = numbers.join(" ");
    let tar = Stream::new()
        .file("large", text.as_bytes())
        .file("small", b"a little text, a little text");
    let image = sqfstar(&tar.finish(), &["-comp", "gzip"]);
    let tree = objects(&read(&image).unwrap());
    let places: Vec<usize> = (96..96 + blocks(&image).len()).step_by(997).collect();
    assert!(places.len() > 50);

    let mut errors = 0;
    for place in &places {
        let mut damaged = image.clone();
        damaged[*place] ^= 0x10;
        match write_over(&damaged, &[], Packing::default(), Limits::default()) {
            Ok(written) => assert!(objects(&read(&written.unwrap()).unwrap()) == tree),
            Err(error) => {
                errors += 1;
                let error = error.to_string();
                assert!(error.contains("image is damaged"), "{place}: {error}");
            }
        }
    }
    assert!(errors + 3 >= places.len(), "{errors} of {}", places.len());
}
