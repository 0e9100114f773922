use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::engine::Cancel;

const LINE: &[u8] = b"#!/usr/bin/env run-singularity\n";

/// A folder with what a file system can hold, but for what only root can make.
fn tree(place: &Path) -> PathBuf {
    let tree = place.join("tree");
    fs::create_dir_all(tree.join("many")).unwrap();
    for number in 0..700 {
        let name = format!("many/a file with a name of some length {number:04}");
        fs::write(tree.join(name), number.to_string()).unwrap();
    }
    let noise: Vec<u8> = (0..700_000_u32)
        .map(|n| n.wrapping_mul(n).to_le_bytes()[1])
        .collect();
    fs::write(tree.join("large"), &noise).unwrap();
    let sparse = File::create(tree.join("sparse")).unwrap();
    for megabytes in [1, 20, 80] {
        sparse
            .write_all_at(&noise[..3000], megabytes << 20)
            .unwrap();
    }
    sparse.set_len(90 << 20).unwrap();
    fs::write(tree.join("empty"), "").unwrap();
    fs::hard_link(tree.join("large"), tree.join("many/large too")).unwrap();
    symlink("large", tree.join("short")).unwrap();
    symlink("very/".repeat(30), tree.join("long")).unwrap();
    tree
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {text}{errors}"
    );
    text
}

/// An image of a folder; what only root can make is added by the file system's own editor.
fn image(place: &Path, tree: &Path, program: &str, options: &[&str]) -> PathBuf {
    let (image, edits) = (place.join("image"), place.join("edits"));
    let mut arguments = vec!["-q", "-F", "-d", tree.to_str().unwrap()];
    arguments.extend(options);
    arguments.extend([image.to_str().unwrap(), "24M"]);
    run(program, &arguments);
    fs::write(
        &edits,
        "sif large uid 1234\nsif large gid 70000\nsif large mode 0104755\n\
         mknod device c 4 65\nmknod pipe p\n\
         ea_set large user.color blue\nea_set large security.capability 0123456789\n",
    )
    .unwrap();
    run(
        "debugfs",
        &["-w", "-f", edits.to_str().unwrap(), image.to_str().unwrap()],
    );
    image
}

fn archive(image: &Path, offset: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(image).unwrap();
    let part = Part {
        file: &file,
        offset,
        length: file.metadata().unwrap().len() - offset,
    };
    read_as_tar(part, &Cancel::default(), |archive| {
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).unwrap();
        Ok(bytes)
    })
}

/// What GNU tar finds in the archive is what the folder has.
fn compare(place: &Path, tree: &Path, archive: &[u8]) {
    let (file, copy) = (place.join("archive.tar"), place.join("copy"));
    fs::write(&file, archive).unwrap();
    fs::create_dir(&copy).unwrap();
    let (file, copy, tree) = (
        file.to_str().unwrap(),
        copy.to_str().unwrap(),
        tree.to_str().unwrap(),
    );
    run(
        "tar",
        &[
            "-xf",
            file,
            "-C",
            copy,
            "--exclude=device",
            "--no-same-owner",
        ],
    );
    run(
        "diff",
        &["-r", "--no-dereference", "--exclude=pipe", tree, copy],
    );
    let list = run(
        "tar",
        &[
            "-tvvf",
            file,
            "--numeric-owner",
            "--xattrs",
            "--xattrs-include=*",
        ],
    );
    let lines: Vec<String> = list
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let has = |start: &str, end: &str| {
        let found = |line: &&String| line.starts_with(start) && line.ends_with(end);
        assert!(
            lines.iter().any(|line| found(&line)),
            "{start} … {end}\n{list}"
        );
    };
    has("-rwsr-xr-x* 1234/70000 700000 ", " large");
    has("h", " many/large too link to large");
    has("c", " device");
    has("p", " pipe");
    has("x: 4 user.color", "");
    has("x: 10 security.capability", "");
    assert!(list.contains(" 4,65 "), "{list}");
    assert!(!list.contains("lost+found"), "{list}");
}

#[test]
fn the_whole_tree_of_every_kind_of_file_system_is_read() {
    for (program, options) in [
        ("mkfs.ext3", &["-b", "1024"][..]),
        ("mkfs.ext3", &["-b", "1024", "-O", "meta_bg,^resize_inode"]),
        ("mkfs.ext2", &["-I", "128"]),
        ("mkfs.ext4", &["-b", "1024"]),
    ] {
        let place = TempDir::new().unwrap();
        let tree = tree(place.path());
        let image = image(place.path(), &tree, program, options);

        let archive = archive(&image, 0).unwrap();

        compare(place.path(), &tree, &archive);
    }
}

#[test]
fn holes_stay_holes() {
    let place = TempDir::new().unwrap();
    let tree = tree(place.path());
    let image = image(place.path(), &tree, "mkfs.ext3", &[]);

    let archive = archive(&image, 0).unwrap();

    assert!(archive.len() < 4 << 20, "{}", archive.len());
}

#[test]
fn an_image_may_begin_with_a_line() {
    let place = TempDir::new().unwrap();
    let tree = tree(place.path());
    let plain = image(place.path(), &tree, "mkfs.ext3", &[]);
    let with_line = place.path().join("with-line");
    let mut file = File::create(&with_line).unwrap();
    file.write_all(LINE).unwrap();
    file.write_all(&fs::read(&plain).unwrap()).unwrap();

    assert!(is_at(&File::open(&with_line).unwrap(), 31));
    assert!(!is_at(&File::open(&with_line).unwrap(), 0));
    assert!(archive(&with_line, 31).unwrap() == archive(&plain, 0).unwrap());
}

#[test]
fn an_image_that_is_cut_off_or_in_use_is_refused() {
    let place = TempDir::new().unwrap();
    let tree = tree(place.path());
    let image = image(place.path(), &tree, "mkfs.ext3", &[]);
    let short = place.path().join("short");
    fs::write(&short, &fs::read(&image).unwrap()[..20 << 20]).unwrap();
    let cut_off = archive(&short, 0).unwrap_err().to_string();
    run(
        "debugfs",
        &[
            "-w",
            "-R",
            "feature needs_recovery",
            image.to_str().unwrap(),
        ],
    );

    let in_use = archive(&image, 0).unwrap_err().to_string();

    assert!(cut_off.contains("cut off"), "{cut_off}");
    assert!(in_use.contains("journal"), "{in_use}");
}

/// Whatever an image says, reading it ends: with the tree, or with an error.
#[test]
fn damage_is_an_error_and_nothing_worse() {
    for (program, options) in [
        ("mkfs.ext3", &["-b", "1024", "-N", "900"][..]),
        ("mkfs.ext4", &["-b", "1024", "-N", "900"]),
    ] {
        let place = TempDir::new().unwrap();
        let tree = tree(place.path());
        let image = image(place.path(), &tree, program, options);
        let whole = fs::read(&image).unwrap();
        let used: Vec<usize> = (1024..whole.len()).filter(|at| whole[*at] != 0).collect();
        // The tables at the front are what an attacker would write.
        let tables = used.partition_point(|at| *at < 600 << 10);
        let mut random = 12_345_usize;
        let mut failed = 0;
        for round in 0..120 {
            let file = fs::OpenOptions::new().write(true).open(&image).unwrap();
            let mut places = Vec::new();
            for _ in 0..=round % 4 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695);
                let at = used[(random >> 33) % tables];
                file.write_all_at(&[random.to_le_bytes()[3]], at as u64)
                    .unwrap();
                places.push(at);
            }
            failed += u32::from(count(&image).is_err());
            for at in places {
                file.write_all_at(&whole[at..=at], at as u64).unwrap();
            }
        }
        assert!(failed > 0, "nothing was damaged");
        assert!(count(&image).is_ok());
    }
}

fn count(image: &Path) -> Result<u64, Error> {
    let file = File::open(image).unwrap();
    let length = file.metadata().unwrap().len();
    let part = Part {
        file: &file,
        offset: 0,
        length,
    };
    read_as_tar(part, &Cancel::default(), |archive| {
        io::copy(archive, &mut io::sink()).map_err(Error::io("reading", "an archive"))
    })
}
