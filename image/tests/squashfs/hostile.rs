//! Does a stranger's image do no harm?

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use cooperage_image::{Cancel, Error, Limits};
use proptest::prelude::*;
use tar::EntryType;

use crate::stream::{Stream, noise, objects};
use crate::tools::{packing_of, read, read_within, sqfstar, write_over};

const LIMITS: Limits = Limits {
    disk: Some(64 << 20),
    time: None,
    memory: None,
    processes: None,
};

fn small() -> Vec<u8> {
    let attributes: [(&str, &[u8]); 2] = [
        ("SCHILY.xattr.user.a", &[b'v'; 100]),
        ("SCHILY.xattr.user.b", b"value"),
    ];
    Stream::new()
        .folder("one")
        .folder("one/two")
        .file("one/two/three", &noise(1, 5000))
        .file("one/two/text", &[b't'; 9000])
        .file("one/holes", &[&[0; 8192][..], b"end"].concat())
        .link("one/hard", EntryType::Link, "one/holes")
        .link("one/soft", EntryType::Symlink, "two/three")
        .entry("one/pipe", EntryType::Fifo, |_| (), &[])
        .records(&attributes)
        .file("xattrs", b"small")
        .records(&attributes)
        .folder("yattrs")
        .finish()
}

/// Small images: one whose structures lie open, and one of each compressor.
static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let options = [
        "-nopad -b 4096 -noI -noD -noF -noX",
        "-nopad -b 4096 -comp gzip",
        "-nopad -b 4096 -comp xz",
        "-nopad -b 4096 -comp lz4",
        "-nopad -b 4096 -comp zstd",
    ];
    let image = |options: &str| sqfstar(&small(), &options.split(' ').collect::<Vec<_>>());
    options.map(image).to_vec()
});

#[track_caller]
fn assert_harmless(image: &[u8]) {
    let begin = Instant::now();
    let read = read_within(image, LIMITS, &Cancel::default());
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_harmless_base(image, read.as_ref().ok());
    match read {
        Ok(tar) => drop(objects(&tar)),
        Err(Error::Base { message, .. }) => assert!(message.starts_with("image "), "{message}"),
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

/// What blocks are copied of has the files that are read of it, or is an error.
#[track_caller]
fn assert_harmless_base(image: &[u8], tree: Option<&Vec<u8>>) {
    let Some(packing) = packing_of(image) else {
        return;
    };
    match write_over(image, &[], packing, LIMITS) {
        Ok(Some(copied)) => {
            let copied = read(&copied).unwrap();
            assert!(names_and_contents(&copied) == names_and_contents(tree.unwrap()));
        }
        Ok(None) => panic!("{packing:?} is not the packing of the image"),
        Err(Error::Base { message, .. }) => assert!(
            message.starts_with("image ")
                || message.starts_with("layer entry ")
                || message.starts_with("files cannot be packed"),
            "{message}"
        ),
        Err(Error::Limit { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
}

fn names_and_contents(tar: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let objects = objects(tar).into_iter();
    objects.map(|(path, it)| (path, it.content)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn changed_bytes_give_an_error_or_a_tree(
        which in 0..12_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        // The image whose structures lie open as often as all others.
        let mut image = IMAGES[which.saturating_sub(7)].clone();
        for (place, value) in changes {
            let place = place.index(image.len());
            image[place] = value;
        }
        assert_harmless(&image);
    }

    #[test]
    fn changed_numbers_give_an_error_or_a_tree(
        place in any::<prop::sample::Index>(),
        number in prop_oneof![Just(0), Just(u32::MAX), Just(1 << 24), any::<u32>()],
    ) {
        let mut image = IMAGES[0].clone();
        // Behind the contents, whose bytes are nobody's numbers.
        let metadata = image.len() - 2048;
        let place = metadata + place.index(2048 - 4);
        image[place..place + 4].copy_from_slice(&number.to_le_bytes());
        assert_harmless(&image);
    }
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_an_error() {
    for image in IMAGES.iter() {
        assert!(read(image).is_ok());
        for length in (0..image.len()).step_by(97).chain([image.len() - 1]) {
            let error = read(&image[..length]).unwrap_err();
            assert!(matches!(error, Error::Base { .. }), "{length}: {error:?}");
        }
    }
}

/// Where the entry of a name begins in the list of its folder.
fn entry(image: &[u8], name: &str) -> usize {
    let name = name.as_bytes();
    let length = u16::try_from(name.len() - 1).unwrap().to_le_bytes();
    let bytes = [&length[..], name].concat();
    let found: Vec<usize> = (0..image.len() - bytes.len())
        .filter(|at| image[*at..].starts_with(&bytes))
        .collect();
    assert_eq!(found.len(), 1);
    found[0] - 6
}

#[test]
fn a_folder_that_lies_in_itself_is_found() {
    let mut image = IMAGES[0].clone();
    let (outer, inner) = (entry(&image, "one"), entry(&image, "two"));
    image.copy_within(outer..outer + 2, inner);

    let error = read(&image).unwrap_err().to_string();

    assert!(error.contains("lies in several places"), "{error}");
}

#[test]
fn a_file_with_more_names_than_it_says_is_found() {
    let mut image = IMAGES[0].clone();
    let (text, three) = (entry(&image, "text"), entry(&image, "three"));
    image.copy_within(text..text + 2, three);

    let error = read(&image).unwrap_err().to_string();

    assert!(error.contains("lies in several places"), "{error}");
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, reason) in [
        ("..e", "are not in their order"),
        ("t/o", "cannot be the name"),
        ("t\0o", "cannot be the name"),
    ] {
        let mut image = IMAGES[0].clone();
        let at = entry(&image, "two") + 8;
        image[at..at + 3].copy_from_slice(name.as_bytes());

        let error = read(&image).unwrap_err().to_string();

        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_name_that_is_the_folder_above_is_refused() {
    let tar = Stream::new().folder("+1").file("+1/a", b"").finish();
    for name in ["..", ".\0"] {
        let mut image = sqfstar(&tar, &["-noI", "-noX"]);
        let at = entry(&image, "+1") + 8;
        image[at..at + 2].copy_from_slice(name.as_bytes());

        let error = read(&image).unwrap_err().to_string();

        assert!(error.contains("cannot be the name"), "{error}");
    }
}
