//! Layers over trees: whiteouts, links, metadata, hostile names, and the way back to a tar.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test does"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use cooperage_image::layer::{self, Applied, Error, Ledger, Options, StreamOptions};
use tar::{Builder, EntryType, Header};

struct Layer(Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    fn put(mut self, path: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(own_uid());
        header.set_gid(own_gid());
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        if kind == EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(self, path: &str, content: &str) -> Self {
        self.put(path, EntryType::Regular, "", content.as_bytes())
    }

    fn folder(self, path: &str) -> Self {
        self.put(path, EntryType::Directory, "", b"")
    }

    fn symlink(self, path: &str, target: &str) -> Self {
        self.put(path, EntryType::Symlink, target, b"")
    }

    fn hard(self, path: &str, target: &str) -> Self {
        self.put(path, EntryType::Link, target, b"")
    }

    fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn apply(self, root: &Path) -> Result<Applied, Error> {
        apply_bytes(&self.bytes(), root)
    }
}

fn own_uid() -> u64 {
    u64::from(rustix::process::getuid().as_raw())
}

fn own_gid() -> u64 {
    u64::from(rustix::process::getgid().as_raw())
}

fn apply_bytes(bytes: &[u8], root: &Path) -> Result<Applied, Error> {
    layer::apply(bytes, root, &mut Ledger::default(), &Options::default())
}

fn tree() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn a_whiteout_removes_from_lower_layers_only() {
    let root = tree();
    Layer::new()
        .file("d/old", "1")
        .file("gone", "1")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new()
        .file("d/made", "2")
        .file(".wh.d", "")
        .file(".wh.gone", "");
    upper
        .file(".wh.never-there", "")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "d/made"), "2");
    assert!(!root.path().join("d/old").exists());
    assert!(!root.path().join("gone").exists());
}

#[test]
fn an_opaque_marker_spares_what_came_before_it_in_its_layer() {
    let root = tree();
    Layer::new()
        .file("d/old", "1")
        .file("d/sub/old", "1")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new()
        .folder("d/")
        .file("d/made", "2")
        .file("d/.wh..wh..opq", "");
    upper.apply(root.path()).unwrap();

    let names: Vec<_> = fs::read_dir(root.path().join("d")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(read(root.path(), "d/made"), "2");
}

#[test]
fn a_whiteout_removes_a_link_and_not_what_it_points_to() {
    let root = tree();
    Layer::new()
        .file("d/keep", "1")
        .symlink("link", "d")
        .apply(root.path())
        .unwrap();

    Layer::new()
        .file(".wh.link", "")
        .apply(root.path())
        .unwrap();

    assert!(root.path().join("link").symlink_metadata().is_err());
    assert_eq!(read(root.path(), "d/keep"), "1");
}

#[test]
fn files_and_folders_replace_each_other() {
    let root = tree();
    Layer::new()
        .file("a", "1")
        .file("b/x", "1")
        .symlink("l", "b")
        .apply(root.path())
        .unwrap();

    let upper = Layer::new().folder("a/").file("a/in", "2").file("b", "2");
    upper
        .folder("l/")
        .file("l/real", "2")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "a/in"), "2");
    assert_eq!(read(root.path(), "b"), "2");
    assert!(root.path().join("l").symlink_metadata().unwrap().is_dir());
}

#[test]
fn hard_links_reach_lower_layers_later_entries_and_symbolic_links() {
    let root = tree();
    Layer::new().file("lower", "1").apply(root.path()).unwrap();

    let upper = Layer::new()
        .hard("to-lower", "lower")
        .hard("forward", "later")
        .file("later", "2");
    upper
        .symlink("sym", "nowhere")
        .hard("to-sym", "sym")
        .apply(root.path())
        .unwrap();

    let inode = |path| root.path().join(path).symlink_metadata().unwrap().ino();
    assert_eq!(inode("to-lower"), inode("lower"));
    assert_eq!(inode("forward"), inode("later"));
    assert_eq!(inode("to-sym"), inode("sym"));
}

#[test]
fn a_hard_link_to_nothing_is_an_error() {
    let error = Layer::new()
        .hard("a", "missing")
        .apply(tree().path())
        .unwrap_err();

    assert!(
        error
            .to_string()
            .contains("`missing`, which does not exist"),
        "{error}"
    );
}

#[test]
fn replacing_one_name_of_a_lower_file_leaves_the_other() {
    let root = tree();
    Layer::new()
        .file("a", "old")
        .hard("b", "a")
        .apply(root.path())
        .unwrap();

    Layer::new()
        .file("a", "changed")
        .apply(root.path())
        .unwrap();

    assert_eq!(read(root.path(), "b"), "old");
}

#[test]
fn nothing_leaves_the_root() {
    let outside = tree();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    let absolute = outside.path().to_str().unwrap();

    let layer = Layer::new()
        .file("../../escaped-1", "x")
        .symlink("up", "../..");
    let layer = layer.file("up/escaped-2", "x").symlink("abs", absolute);
    layer
        .file("abs/escaped-3", "x")
        .hard("link", "../../escaped-1")
        .apply(&root)
        .unwrap();

    let names: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(read(&root, "escaped-1"), "x");
    assert_eq!(read(&root, "escaped-2"), "x");
    assert_eq!(
        read(
            &root,
            &format!("{}/escaped-3", absolute.trim_start_matches('/'))
        ),
        "x"
    );
}

#[test]
fn the_root_cannot_be_replaced() {
    assert!(
        Layer::new()
            .symlink("./", "/etc")
            .apply(tree().path())
            .is_err()
    );
    assert!(Layer::new().file(".wh..", "").apply(tree().path()).is_err());
}

#[test]
fn modes_and_times_are_set_also_of_folders_that_got_children() {
    let root = tree();
    let layer = Layer::new().folder("d/").file("d/f", "x");

    layer.apply(root.path()).unwrap();
    Layer::new().file("d/g", "x").apply(root.path()).unwrap();

    let folder = root.path().join("d").metadata().unwrap();
    assert_eq!(
        (folder.mtime(), folder.permissions().mode() & 0o7777),
        (1_000_000_000, 0o755)
    );
    assert_eq!(
        root.path().join("d/f").metadata().unwrap().mtime(),
        1_000_000_000
    );
}

#[test]
fn extended_headers_carry_names_attributes_and_fractions() {
    let root = tree();
    let name = format!("{}\n-end", "n".repeat(150));
    let records: [(&str, &[u8]); 3] = [
        ("path", name.as_bytes()),
        ("mtime", b"1234567890.5"),
        ("SCHILY.xattr.user.binary", b"a\nb\0c"),
    ];

    Layer::new()
        .pax(&records)
        .file("short", "x")
        .apply(root.path())
        .unwrap();

    let path = root.path().join(&name);
    let status = path.metadata().unwrap();
    assert_eq!(
        (status.mtime(), status.mtime_nsec()),
        (1_234_567_890, 500_000_000)
    );
    if let Ok(value) = xattr::get(&path, "user.binary") {
        assert_eq!(value.as_deref(), Some(&b"a\nb\0c"[..]));
    }
}

#[test]
fn a_sparse_file_is_expanded() {
    let root = tree();
    let mut content = b"1\n4096\n5\n".to_vec();
    content.resize(512, 0);
    content.extend_from_slice(b"start");
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"sparse"),
        ("GNU.sparse.realsize", b"1048576"),
    ];

    let layer = Layer::new().pax(&records);
    let layer = layer.put("GNUSparseFile.0/sparse", EntryType::Regular, "", &content);
    layer.apply(root.path()).unwrap();

    let bytes = fs::read(root.path().join("sparse")).unwrap();
    assert_eq!(bytes.len(), 1_048_576);
    assert_eq!(&bytes[4096..4101], b"start");
    assert!(bytes[..4096].iter().all(|byte| *byte == 0));
}

#[test]
fn compression_is_told_by_the_content() {
    let tar = Layer::new().file("f", "x").bytes();
    let (first, second) = tar.split_at(512);
    let mut gzip = Vec::new();
    for part in [first, second] {
        let mut member = flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast());
        member.write_all(part).unwrap();
        member.finish().unwrap();
    }
    let zstd = zstd::encode_all(tar.as_slice(), 1).unwrap();

    let digests =
        [tar, gzip, zstd].map(|bytes| apply_bytes(&bytes, tree().path()).unwrap().diff_id);

    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn another_content_than_announced_is_refused() {
    let options = Options {
        diff_id: Some(format!("sha256:{}", "0".repeat(64))),
        ..Options::default()
    };
    let tar = Layer::new().file("f", "x").bytes();

    let error =
        layer::apply(&tar[..], tree().path(), &mut Ledger::default(), &options).unwrap_err();

    assert!(matches!(error, Error::Digest { .. }), "{error}");
}

#[test]
fn a_small_layer_that_becomes_large_is_refused() {
    let options = Options {
        most_bytes: Some(1 << 20),
        ..Options::default()
    };
    let large = Layer::new().file("f", &"x".repeat(2 << 20)).bytes();
    let many = (0..3000).fold(Layer::new(), |layer, n| layer.file(&format!("f{n}"), ""));

    for layer in [large, many.bytes()] {
        let mut compressed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        compressed.write_all(&layer).unwrap();
        let layer = compressed.finish().unwrap();

        let applied = layer::apply(&layer[..], tree().path(), &mut Ledger::default(), &options);

        assert!(matches!(applied, Err(Error::TooLarge)), "{applied:?}");
    }
}

#[test]
fn a_layer_that_breaks_off_is_refused() {
    let tar = Layer::new().file("f", &"x".repeat(2000)).bytes();

    let error = apply_bytes(&tar[..1024], tree().path()).unwrap_err();

    assert!(matches!(error, Error::Malformed(_)), "{error}");
}

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
    run_in_namespace("inside_a_namespace_of_one_id");
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
    run_in_namespace("inside_a_mount_namespace");
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
