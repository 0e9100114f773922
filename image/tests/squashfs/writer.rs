//! Do the usual tools, and our reader, read what the squashfs writer writes?

use std::collections::BTreeMap;

use cooperage_image::squashfs::Packing;
use cooperage_image::squashfs::writer::Compression;
use tar::{EntryType, Header};

use crate::stream::{Object, Stream, noise, objects};
use crate::tools::{image_of, read, unsquashfs, write, write_stack};

fn listing(image: &[u8]) -> Vec<String> {
    let text = String::from_utf8(unsquashfs(&["-lln"], image, &[])).unwrap();
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn extract(image: &[u8]) -> BTreeMap<String, Object> {
    let objects = objects(&read(image).unwrap()).into_iter();
    objects
        .map(|(path, object)| (String::from_utf8(path).unwrap(), object))
        .collect()
}

#[test]
fn every_kind_of_inode_keeps_its_mode_owner_time_and_device() {
    let owned = |header: &mut Header| {
        header.set_mode(0o4755);
        header.set_uid(70_000);
        header.set_gid(4_000_000_000);
    };
    let device = |header: &mut Header| {
        header.set_device_major(8).unwrap();
        header.set_device_minor(33).unwrap();
    };
    let tar = Stream::new()
        .folder("./")
        .entry("block", EntryType::Block, device, &[])
        .entry("char", EntryType::Char, device, &[])
        .entry("fifo", EntryType::Fifo, |_| (), &[])
        .link("link", EntryType::Symlink, "no/where")
        .entry("setuid", EntryType::Regular, owned, b"#!/bin/sh\n")
        .finish();

    let lines = listing(&image_of(&tar));

    assert_eq!(
        lines,
        [
            "drwxr-xr-x 0/0 78 2023-11-14 22:13 squashfs-root",
            "brw-r--r-- 0/0 8, 33 2023-11-14 22:13 squashfs-root/block",
            "crw-r--r-- 0/0 8, 33 2023-11-14 22:13 squashfs-root/char",
            "prw-r--r-- 0/0 0 2023-11-14 22:13 squashfs-root/fifo",
            "lrwxrwxrwx 0/0 8 2023-11-14 22:13 squashfs-root/link -> no/where",
            "-rwsr-xr-x 70000/4000000000 10 2023-11-14 22:13 squashfs-root/setuid",
        ]
    );
}

#[test]
fn contents_of_all_sizes_around_a_block_come_back() {
    let sizes = [
        0, 1, 4095, 4096, 131_071, 131_072, 131_073, 262_144, 1_000_003,
    ];
    let with_hole = [noise(1, 131_072), vec![0; 3 * 131_072], vec![7; 5000]].concat();
    let mut stream = Stream::new().file("hole", &with_hole);
    for size in sizes {
        stream = stream
            .file(&format!("noise-{size}"), &noise(2, size))
            .file(&format!("zeros-{size}"), &vec![0; size]);
    }
    let tar = stream.finish();

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
            let content = |path: &str| unsquashfs(&["-cat"], &image, &[path]);

            assert!(content("hole") == with_hole, "{packing:?}");
            for size in sizes {
                let noisy = content(&format!("noise-{size}"));
                assert!(noisy == noise(2, size), "{packing:?}");
                let zeros = content(&format!("zeros-{size}"));
                assert!(zeros == vec![0; size], "{packing:?}");
            }
        }
    }
}

#[test]
fn extended_attributes_come_back_byte_by_byte() {
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let attributes: [(&str, &[u8]); 3] = [
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.system.posix_acl_access", b"acl"),
        ("SCHILY.xattr.user.bytes", b"\xff=\0"),
    ];
    let tar = Stream::new()
        .records(&attributes)
        .file("ping", b"ping")
        .records(&attributes)
        .folder("folder")
        .file("plain", b"plain")
        .finish();

    let files = extract(&image_of(&tar));

    let expected = BTreeMap::from([
        ("security.capability".to_owned(), capability.to_vec()),
        ("user.bytes".to_owned(), b"\xff=\0".to_vec()),
    ]);
    assert_eq!(files["ping"].attributes, expected);
    assert_eq!(files["folder"].attributes, expected);
    assert!(files["plain"].attributes.is_empty());
}

#[test]
fn hard_links_are_names_of_one_inode() {
    let tar = Stream::new()
        .file("a", b"content")
        .folder("folder")
        .link("folder/b", EntryType::Link, "./a")
        .link("c", EntryType::Link, "folder/b")
        .finish();

    let image = image_of(&tar);
    let files = extract(&image);

    assert_eq!(image[4..8], 3_u32.to_le_bytes()); // inodes
    assert_eq!(files["a"].content, b"content");
    assert_eq!(files["c"].link.as_deref(), Some(&b"a"[..]));
    assert_eq!(files["folder/b"].link.as_deref(), Some(&b"a"[..]));
}

#[test]
fn a_folder_larger_than_many_metadata_blocks_is_complete() {
    let mut stream = Stream::new();
    for number in 0..20_000 {
        stream = stream.file(&format!("many/file-{number:05}"), &[]);
    }

    let lines = listing(&image_of(&stream.finish()));

    let expected = (0..20_000).map(|number| format!("squashfs-root/many/file-{number:05}"));
    let found = lines[2..]
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().to_owned());
    assert!(found.eq(expected));
}

#[test]
fn folders_that_the_stream_does_not_mention_belong_to_root() {
    let tar = Stream::new().file("/opt/tool/run", b"run").finish();

    let lines = listing(&image_of(&tar));

    assert!(lines[2].starts_with("drwxr-xr-x 0/0 "), "{lines:?}");
    assert!(lines[2].ends_with(" squashfs-root/opt/tool"), "{lines:?}");
}

#[test]
fn the_later_of_two_entries_with_one_path_counts() {
    let tar = Stream::new()
        .folder("etc")
        .file("etc/motd", b"first")
        .entry(
            "etc",
            EntryType::Directory,
            |header| header.set_mode(0o700),
            &[],
        )
        .file("etc/motd", b"second")
        .finish();

    let image = image_of(&tar);

    assert_eq!(extract(&image)["etc/motd"].content, b"second");
    assert!(listing(&image)[1].starts_with("drwx------ "));
}

#[test]
fn the_same_stream_gives_the_same_bytes_on_any_number_of_threads() {
    let mut stream = Stream::new();
    for seed in 0..20 {
        let halves = [noise(seed, 200_000), vec![b'x'; 200_000]].concat();
        stream = stream.file(&format!("file-{seed}"), &halves);
    }
    let tar = stream.finish();

    let images = [1, 2, 5].map(|threads| {
        let packing = Packing {
            threads,
            ..Packing::default()
        };
        write(&tar, packing).unwrap()
    });

    assert!(images[0] == images[1] && images[1] == images[2]);
}

#[test]
fn equal_files_are_stored_once_and_zeros_not_at_all() {
    let content = noise(3, 300_000);
    let mut stream = Stream::new().file("zeros", &vec![0; 20 << 20]);
    for number in 0..10 {
        stream = stream.file(&format!("copy-{number}"), &content);
    }

    let image = image_of(&stream.finish());

    assert!(image.len() < 320_000, "{}", image.len());
    assert!(extract(&image)["copy-9"].content == content);
}

#[test]
fn times_are_clamped_to_the_latest_that_is_wanted() {
    let tar = Stream::new()
        .file("late", b"")
        .entry(
            "early",
            EntryType::Regular,
            |header| header.set_mtime(60),
            &[],
        )
        .finish();

    let image = write_stack(&[&tar], Packing::default(), Some(86_400)).unwrap();
    let lines = listing(&image);

    assert!(
        lines[1].contains("1970-01-01 00:01 squashfs-root/early"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains("1970-01-02 00:00 squashfs-root/late"),
        "{lines:?}"
    );
    assert_eq!(image[8..12], 86_400_u32.to_le_bytes());
}

#[test]
fn an_image_is_whole_pages() {
    let tar = Stream::new().file("a", b"content").finish();

    assert_eq!(image_of(&tar).len() % 4096, 0);
}

#[test]
fn an_empty_stream_is_an_empty_file_system() {
    let lines = listing(&image_of(&Stream::new().finish()));

    assert_eq!(lines, ["drwxr-xr-x 0/0 3 1970-01-01 00:00 squashfs-root"]);
}

#[test]
fn streams_that_cannot_become_a_file_system_are_refused_with_the_reason() {
    let file = || Stream::new().file("a", b"content");
    let huge = |header: &mut Header| header.set_size(1 << 60);
    let long = "n".repeat(256);
    let cases = [
        (
            Stream::new().entry("a", EntryType::Regular, huge, b""),
            "larger than files can be",
        ),
        (
            Stream::new()
                .records(&[("path", long.as_bytes())])
                .file("n", b""),
            "longer than 255 bytes",
        ),
        (
            file().file("a/b", b""),
            "lies in something that is not a folder",
        ),
        (
            file().link("b", EntryType::Link, "c"),
            "hard link to `c`, which does not exist",
        ),
        (
            Stream::new().folder("a").link("b", EntryType::Link, "a"),
            "hard link to a folder",
        ),
        (
            Stream::new().link("a", EntryType::Symlink, ""),
            "needs a target",
        ),
    ];

    for (stream, reason) in cases {
        let error = write(&stream.finish(), Packing::default()).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn a_stream_that_ends_in_a_file_is_refused() {
    let tar = Stream::new()
        .file("a", &noise(4, 3000))
        .file("b", b"")
        .finish();

    for length in [100, 1000, 3583, 3585, 4000] {
        assert!(
            write(&tar[..length], Packing::default()).is_err(),
            "{length}"
        );
    }
    assert!(write(&tar, Packing::default()).is_ok());
}

#[test]
fn packings_that_squashfs_does_not_have_are_refused() {
    let tar = Stream::new().finish();
    let odd_block = Packing {
        block_size: 100_000,
        ..Packing::default()
    };
    let odd_level = Packing {
        compression: Compression::Gzip { level: 13 },
        ..Packing::default()
    };

    for (packing, reason) in [(odd_block, "100000"), (odd_level, "13")] {
        let error = write(&tar, packing).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
