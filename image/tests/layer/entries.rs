//! Metadata of entries, compression, and streams that are not what they should be.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use cooperage_image::layer::{self, Error, Ledger, Options};
use tar::EntryType;

use crate::{Layer, apply_bytes, tree};

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
