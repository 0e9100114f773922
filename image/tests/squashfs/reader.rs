//! Is what other programs and our writer write read as it was?

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::net::UnixListener;

use cooperage_image::squashfs::Packing;
use cooperage_image::squashfs::writer::Compression;
use cooperage_image::squashfs::{Bounds, Part};
use cooperage_image::{Cancel, Error, FailureKind, Limits};
use tar::{EntryType, Header};

use crate::stream::{Stream, noise, objects};
use crate::tools::{
    image_of, mksquashfs, read, read_part, read_within, sqfstar, unsquashfs, write,
};

const SIZES: [usize; 11] = [
    0, 1, 4095, 4096, 4097, 65_536, 131_071, 131_072, 131_073, 262_144, 1_100_003,
];

/// A tree with everything that an image can hold.
pub(crate) fn torture() -> Vec<u8> {
    let stream = Stream::new().folder("./");
    let stream = contents(special(stream));
    let mut stream = attributes(stream).folder("many");
    for number in 0..3000 {
        stream = stream.file(&format!("many/a-file-of-many-{number:05}"), b"");
    }
    let long_name = "n".repeat(255);
    let deep = ["deep"; 60].join("/");
    for depth in 1..=60 {
        let path = ["deep"; 60][..depth].join("/");
        let records = [("path", path.as_bytes())];
        stream = stream.records(&records).folder("deep");
    }
    for (path, link) in [
        (format!("{deep}/{long_name}"), "t".repeat(3000)),
        ("many/spaces and\nlines ü".to_owned(), "tab\t".to_owned()),
    ] {
        let records = [("path", path.as_bytes()), ("linkpath", link.as_bytes())];
        stream = stream.records(&records).link("l", EntryType::Symlink, "t");
    }
    stream.finish()
}

fn special(stream: Stream) -> Stream {
    let owned = |header: &mut Header| {
        header.set_mode(0o6751);
        header.set_uid(70_000);
        header.set_gid(4_000_000_000);
    };
    let device = |header: &mut Header| {
        header.set_device_major(259).unwrap();
        header.set_device_minor(70_033).unwrap();
    };
    let sticky = |header: &mut Header| header.set_mode(0o1777);
    stream
        .folder("special")
        .entry("special/block", EntryType::Block, device, &[])
        .entry("special/char", EntryType::Char, device, &[])
        .entry("special/fifo", EntryType::Fifo, |_| (), &[])
        .entry("special/setuid", EntryType::Regular, owned, b"#!/bin/sh\n")
        .entry("special/tmp", EntryType::Directory, sticky, &[])
        .file("special/a", b"several names")
        .link("special/b", EntryType::Link, "special/a")
        .link("special/tmp/c", EntryType::Link, "special/a")
}

fn contents(mut stream: Stream) -> Stream {
    let hole = vec![0; 3 << 20];
    let with_holes = [&hole, &noise(1, 131_072)[..], &hole, &[7; 5000]].concat();
    stream = stream
        .folder("contents")
        .file("contents/holes", &with_holes)
        .file(
            "contents/holes-to-the-end",
            &[&noise(5, 5000)[..], &hole].concat(),
        );
    for size in SIZES {
        let text = b"text that shrinks\n".repeat(size / 18 + 1);
        stream = stream
            .file(&format!("contents/noise-{size}"), &noise(2, size))
            .file(&format!("contents/text-{size}"), &text[..size])
            .file(&format!("contents/zeros-{size}"), &vec![0; size]);
    }
    stream
}

fn attributes(mut stream: Stream) -> Stream {
    let large = noise(6, 3000);
    let attributes: [(&str, &[u8]); 3] = [
        (
            "SCHILY.xattr.security.capability",
            b"\x01\0\0\x02\0\x04\0\0\n=",
        ),
        ("SCHILY.xattr.trusted.large", &large),
        ("SCHILY.xattr.user.bytes", b"\xff=\0"),
    ];
    stream = stream.folder("attributes");
    for (number, path) in ["a", "b", "c"].into_iter().enumerate() {
        let own = ("SCHILY.xattr.user.number", number.to_string());
        let own = (own.0, own.1.as_bytes());
        let records = [&attributes[..], &[own]].concat();
        stream = stream
            .records(&records)
            .file(&format!("attributes/{path}"), path.as_bytes());
    }
    stream
        .records(&attributes)
        .folder("attributes/folder")
        .records(&attributes)
        .link("attributes/link", EntryType::Symlink, "nowhere")
        .records(&attributes)
        .entry("attributes/pipe", EntryType::Fifo, |_| (), &[])
}

/// Compares all but the times and modes of the root, which not every writer takes from the stream.
#[track_caller]
fn assert_same(read: &[u8], expected: &[u8], how: &str) {
    let (mut read, mut expected) = (objects(read), objects(expected));
    assert!(read.remove(&b""[..]).is_some(), "{how}: no root");
    expected.remove(&b""[..]);
    assert!(read.keys().eq(expected.keys()), "{how}: other names");
    for (path, mut object) in read {
        object.is_sparse = false;
        let path_shown = path.escape_ascii();
        let expected = &expected[&path];
        assert!(object.content == expected.content, "{how}: {path_shown}");
        object.content.clone_from(&expected.content);
        assert_eq!(&object, expected, "{how}: {path_shown}");
    }
}

#[test]
fn everything_that_others_write_comes_back_whatever_their_options() {
    let tar = torture();
    for options in [
        "-comp gzip",
        "-comp gzip -b 4096",
        "-comp gzip -b 1M -no-tailends",
        "-comp zstd",
        "-comp zstd -b 1M -no-fragments",
        "-comp xz -b 4096",
        "-comp xz",
        "-comp lz4 -processors 1",
        "-comp lz4 -b 64K -processors 1",
        "-noI -noD -noF -noX",
        "-noI -noId -no-sparse -no-duplicates",
        "-exports -nopad",
    ] {
        let arguments: Vec<&str> = options.split(' ').collect();
        let image = sqfstar(&tar, &arguments);

        let tree = read(&image).unwrap_or_else(|error| panic!("{options}: {error}"));
        assert_same(&tree, &tar, options);
    }
}

#[test]
fn everything_that_we_write_comes_back() {
    let tar = torture();
    for compression in [
        Compression::Gzip { level: 6 },
        Compression::Zstd { level: 3 },
        Compression::Xz { level: 1 },
        Compression::Lz4,
    ] {
        for block_size in [4096, 131_072, 1 << 20] {
            let packing = Packing {
                compression,
                block_size,
                ..Packing::default()
            };
            let image = write(&tar, packing).unwrap();

            assert_same(&read(&image).unwrap(), &tar, &format!("{packing:?}"));
        }
    }
}

#[test]
fn a_folder_that_is_packed_with_filters_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = fs::read("/bin/sh").unwrap();
    fs::write(folder.path().join("program"), &program).unwrap();
    fs::hard_link(folder.path().join("program"), folder.path().join("zz")).unwrap();
    let _listening = UnixListener::bind(folder.path().join("socket")).unwrap();

    for options in [
        "-comp xz -Xbcj x86,arm -b 64K",
        "-comp xz -Xdict-size 50%",
        "-comp lz4 -Xhc",
        "-comp gzip -Xcompression-level 1 -Xwindow-size 8 -Xstrategy huffman_only,default",
        "-comp zstd -Xcompression-level 22 -always-use-fragments",
        "-no-exports -no-xattrs -all-root",
    ] {
        let arguments: Vec<&str> = options.split(' ').collect();
        let image = mksquashfs(folder.path(), &arguments);
        let read = objects(&read(&image).unwrap());

        // Nobody listens in an image.
        let paths: Vec<&[u8]> = read.keys().map(Vec::as_slice).collect();
        assert_eq!(paths, [&b""[..], b"program", b"zz"]);
        assert!(read[&b"program"[..]].content == program, "{options}");
        assert_eq!(read[&b"zz"[..]].link.as_deref(), Some(&b"program"[..]));
    }
}

#[test]
fn unsquashfs_lists_what_we_read() {
    let image = sqfstar(&torture(), &["-comp", "zstd"]);

    let listing = unsquashfs(&["-lln"], &image, &[]);
    let read = objects(&read(&image).unwrap());

    let named = |path: &[u8]| {
        let line = [b" squashfs-root/", path].concat();
        listing.windows(line.len()).any(|window| window == line)
    };
    let line_breaks = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').count() - 1;
    let in_names: usize = read.keys().map(|path| line_breaks(path)).sum();
    assert_eq!(line_breaks(&listing), read.len() + in_names);
    assert!(
        read.keys()
            .filter(|path| !path.is_empty())
            .all(|path| named(path))
    );
}

#[test]
fn an_image_may_begin_anywhere_in_a_file_and_end_before_it() {
    let tar = Stream::new().file("a", &noise(3, 300_000)).finish();
    let image = image_of(&tar);
    let mut file = tempfile::tempfile().unwrap();
    // Farther than 32 bits reach.
    let offset = (5 << 30) + 12_345;
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&image).unwrap();
    file.write_all(b"something else").unwrap();

    let bounds = Bounds {
        limits: Limits::default(),
        cancel: &Cancel::default(),
    };
    let part = Part {
        file: &file,
        offset,
        length: image.len() as u64 + 14,
    };
    let read = read_part(part, bounds).unwrap();

    assert_same(&read, &tar, "behind an offset");
}

#[test]
fn holes_stay_holes() {
    let mut content = vec![0; 40 << 20];
    content[20 << 20] = 1;
    let image = image_of(&Stream::new().file("holes", &content).finish());

    let tar = read(&image).unwrap();

    assert!(tar.len() < 200_000, "{}", tar.len());
    let holes = &objects(&tar)[&b"holes"[..]];
    assert!(holes.is_sparse && holes.content == content);
}

#[test]
fn a_tree_that_takes_more_than_the_disk_limit_is_refused() {
    let image = image_of(&Stream::new().file("a", &vec![1; 8 << 20]).finish());
    let within = |disk| {
        let limits = Limits {
            disk: Some(disk),
            ..Limits::default()
        };
        read_within(&image, limits, &Cancel::default())
    };

    assert!(within(9 << 20).is_ok());
    let refused = within(7 << 20).unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Disk);
}

#[test]
fn reading_can_be_cancelled() {
    let image = image_of(&Stream::new().file("a", b"content").finish());
    let cancel = Cancel::default();
    cancel.cancel();

    let read = read_within(&image, Limits::default(), &cancel);

    assert!(matches!(read, Err(Error::Cancelled)), "{read:?}");
}

#[test]
fn what_is_not_read_says_so() {
    let tar = Stream::new().file("a", b"content").finish();
    let lzo = sqfstar(&tar, &["-comp", "lzo"]);
    let mut older = image_of(&tar);
    older[28] = 3;

    for (image, reason) in [(lzo, "compressed with lzo"), (older, "a squashfs 3.0")] {
        let error = read(&image).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
