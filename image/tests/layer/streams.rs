//! The way back to a tar, of a tree and of the upper folder of an overlay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cooperage_image::layer::{self, Ledger, Options, StreamOptions};
use tar::EntryType;

use crate::{Layer, apply_bytes, read, tree};

#[test]
fn a_streamed_tree_gives_the_same_tree_again() {
    let (root, copy) = (tree(), tree());
    let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
    let layer = Layer::new()
        .file("a", "1")
        .hard("b", "a")
        .symlink("c", "a")
        .folder("d/");
    let records: [(&str, &[u8]); 1] = [("path", long.as_bytes())];
    layer
        .pax(&records)
        .file("short", "2")
        .apply(root.path())
        .unwrap();

    let mut tar = Vec::new();
    let options = StreamOptions {
        latest: Some(900_000_000),
    };
    let summary = layer::stream_tree(root.path(), &Ledger::default(), &mut tar, options).unwrap();
    apply_bytes(&tar, copy.path()).unwrap();

    assert_eq!((summary.entries, summary.bytes), (7, 2));
    let status = |path: &str| copy.path().join(path).symlink_metadata().unwrap();
    assert_eq!(status("a").ino(), status("b").ino());
    assert_eq!(status("a").mtime(), 900_000_000);
    assert_eq!(
        fs::read_link(copy.path().join("c")).unwrap(),
        Path::new("a")
    );
    assert_eq!(read(copy.path(), &long), "2");
}

#[test]
#[ignore = "started inside a user namespace by the test below"]
fn inside_a_namespace_of_one_id() {
    let root = tree();
    let mut ledger = Ledger::default();
    let records: [(&str, &[u8]); 2] = [("uid", b"1234"), ("gid", b"5678")];
    let layer = Layer::new()
        .put("null", EntryType::Char, "", b"")
        .pax(&records)
        .file("f", "x");
    layer::apply(
        &layer.bytes()[..],
        root.path(),
        &mut ledger,
        &Options::default(),
    )
    .unwrap();
    assert_eq!(ledger.len(), 2);
    let mut saved = Vec::new();
    ledger.write(&mut saved).unwrap();
    let ledger = Ledger::read(&saved[..]).unwrap();
    // A rename keeps the file, a copy is another file.
    fs::rename(root.path().join("f"), root.path().join("renamed")).unwrap();
    fs::copy(root.path().join("renamed"), root.path().join("copied")).unwrap();

    let mut tar = Vec::new();
    layer::stream_tree(root.path(), &ledger, &mut tar, StreamOptions::default()).unwrap();

    let mut found = Vec::new();
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        found.push((
            entry.path().unwrap().display().to_string(),
            header.entry_type(),
            header.uid().unwrap(),
            header.gid().unwrap(),
        ));
    }
    let expected = [
        ("copied", EntryType::Regular, 0, 0),
        ("null", EntryType::Char, 0, 0),
        ("renamed", EntryType::Regular, 1234, 5678),
    ];
    let expected = expected.map(|(path, kind, uid, gid)| (path.to_owned(), kind, uid, gid));
    assert_eq!(found[1..], expected);
}

#[test]
fn what_a_namespace_of_one_id_cannot_hold_comes_back_from_the_ledger() {
    run_in_namespace("streams::inside_a_namespace_of_one_id");
}

/// A folder below overlays, and what its file system could not represent.
fn lower(root: &Path) -> Ledger {
    let mut ledger = Ledger::default();
    let strange: [(&str, &[u8]); 2] = [("uid", b"1234"), ("gid", b"5678")];
    let layer = Layer::new()
        .pax(&strange)
        .folder("./")
        .folder("etc")
        .pax(&strange)
        .file("etc/shadow", "x")
        .pax(&strange)
        .folder("home")
        .file("home/kept", "x")
        .put("null", EntryType::Char, "", b"")
        .file("replaced/old", "1")
        .file("emptied/old", "1")
        .file("file", "1")
        .hard("second", "file")
        .symlink("link", "file");
    let options = Options::default();
    layer::apply(&layer.bytes()[..], root, &mut ledger, &options).unwrap();
    ledger
}

fn streamed(root: &Path, ledger: &Ledger) -> Vec<u8> {
    let mut tar = Vec::new();
    layer::stream_tree(root, ledger, &mut tar, StreamOptions::default()).unwrap();
    tar
}

#[test]
#[ignore = "started inside a mount namespace by the test below"]
fn inside_a_mount_namespace() {
    let place = tree();
    let path = |name: &str| place.path().join(name);
    for name in ["lower", "upper", "work", "merged", "copy"] {
        fs::create_dir(path(name)).unwrap();
    }
    let below = lower(&path("lower"));
    let below = below.below_overlays(fs::metadata(path("lower")).unwrap().ino());
    let script = r"
        mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work none merged
        cd merged
        rm -r replaced && mkdir replaced && echo 2 > replaced/new
        rm -r emptied && echo file > emptied
        mv etc/shadow etc/moved && chmod 600 etc/moved
        chmod 700 home && echo x >> second && rm link null && mkfifo null
        touch .wh.itself && ln second third
        mkdir -p a/b && touch -d @5 a
    ";
    let mut shell = std::process::Command::new("sh");
    let status = shell.args(["-ec", script]).current_dir(place.path());
    assert!(status.status().unwrap().success());

    let (upper, merged) = (path("upper"), path("merged"));
    let mut changes = Vec::new();
    let options = StreamOptions::default();
    layer::stream_upper(&upper, &merged, &below, &mut changes, options).unwrap();
    let mut ledger = lower(&path("copy"));
    let options = Options::default();
    layer::apply(&changes[..], &path("copy"), &mut ledger, &options).unwrap();

    let expected = streamed(&merged, &below);
    assert!(
        streamed(&path("copy"), &ledger) == expected,
        "the layer over a copy of the folder below is not the overlay"
    );
    let mut owners = Vec::new();
    for entry in tar::Archive::new(&expected[..]).entries().unwrap() {
        let entry = entry.unwrap();
        if entry.header().uid().unwrap() == 1234 {
            owners.push(entry.path().unwrap().display().to_string());
        }
    }
    assert_eq!(owners, ["./", "etc/moved", "home/"]);
    assert!(!changes.windows(9).any(|bytes| bytes == b"home/kept"));
}

#[test]
fn the_layer_of_an_upper_folder_makes_the_overlay_of_a_copy() {
    run_in_namespace("streams::inside_a_mount_namespace");
}

fn run_in_namespace(case: &str) {
    let program = std::env::current_exe().unwrap();

    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(program)
        .args(["--ignored", "--exact", case])
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
