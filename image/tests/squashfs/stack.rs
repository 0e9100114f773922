//! Do packs that lie over each other make the tree that their layers make when they are unpacked?

use std::collections::BTreeMap;
use std::fs;

use cooperage_image::Limits;
use cooperage_image::layer::{self, Ledger, StreamOptions};
use cooperage_image::squashfs::Packing;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use tar::{EntryType, Header};

use crate::stream::{Object, Stream, noise, objects};
use crate::tools::{read, unsquashfs, write_over, write_stack};

/// One entry of a layer.
#[derive(Debug, Clone)]
enum Step {
    Folder(String, u32),
    File(String, u8),
    Symlink(String, String),
    HardLink(String, String),
    Fifo(String),
    WhiteOut(String, String),
    Opaque(String),
}

impl Step {
    fn add_to(&self, stream: Stream) -> Stream {
        match self {
            Self::Folder(path, mode) => {
                let mode = |header: &mut Header| header.set_mode(*mode);
                stream.entry(path, EntryType::Directory, mode, &[])
            }
            Self::File(path, content) => stream.file(path, &content_of(*content)),
            Self::Symlink(path, target) => stream.link(path, EntryType::Symlink, target),
            Self::HardLink(path, target) => stream.link(path, EntryType::Link, target),
            Self::Fifo(path) => stream.entry(path, EntryType::Fifo, |_| (), &[]),
            Self::WhiteOut(folder, name) => stream.file(&format!("{folder}/.wh.{name}"), &[]),
            Self::Opaque(folder) => stream.file(&format!("{folder}/.wh..wh..opq"), &[]),
        }
    }
}

/// Nothing, little, or blocks, so that layers have contents in common.
fn content_of(number: u8) -> Vec<u8> {
    let length = [0, 1, 5000, 140_000][usize::from(number % 4)];
    noise(u64::from(number % 7), length)
}

/// Names of which there are few, so that layers meet.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    vec(name(), 1..4).prop_map(|names| names.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    let targets = prop_oneof![
        path(),
        path().prop_map(|path| format!("/{path}")),
        Just("..".to_owned())
    ];
    prop_oneof![
        3 => (path(), prop_oneof![Just(0o755_u32), Just(0o1777)]).prop_map(|(path, mode)| Step::Folder(path, mode)),
        4 => (path(), any::<u8>()).prop_map(|(path, content)| Step::File(path, content)),
        1 => (path(), targets).prop_map(|(path, target)| Step::Symlink(path, target)),
        2 => (path(), path()).prop_map(|(path, target)| Step::HardLink(path, target)),
        1 => path().prop_map(Step::Fifo),
        2 => (path(), name()).prop_map(|(folder, name)| Step::WhiteOut(folder, name)),
        1 => path().prop_map(Step::Opaque),
    ]
}

fn layer_of(steps: &[Step]) -> Vec<u8> {
    let stream = Stream::new().folder("./");
    let stream = steps
        .iter()
        .fold(stream, |stream, step| step.add_to(stream));
    stream.finish()
}

/// What unpacking makes, in an empty folder; nothing if the layers cannot be unpacked.
fn unpacked(layers: &[&[u8]]) -> Option<BTreeMap<Vec<u8>, Object>> {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for layer in layers {
        layer::apply(
            *layer,
            folder.path(),
            &mut ledger,
            &layer::Options::default(),
        )
        .ok()?;
    }
    let mut tar = Vec::new();
    layer::stream_tree(folder.path(), &ledger, &mut tar, StreamOptions::default()).unwrap();
    Some(objects(&tar))
}

fn packed(layers: &[&[u8]]) -> Option<BTreeMap<Vec<u8>, Object>> {
    let image = write_stack(layers, Packing::default(), None).ok()?;
    Some(objects(&read(&image).unwrap()))
}

proptest! {
    #![proptest_config(Config { cases: 150, ..Config::default() })]

    #[test]
    fn packs_make_what_unpacking_makes(layers in vec(vec(step(), 0..12), 1..4)) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|steps| layer_of(steps)).collect();
        let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();

        assert_eq!(packed(&layers), unpacked(&layers));
    }
}

#[test]
fn a_folder_behind_a_link_that_is_replaced_has_no_time_of_today() {
    let layer = layer_of(&[
        Step::Symlink("a".to_owned(), "/b".to_owned()),
        Step::Fifo("a/a/a".to_owned()),
        Step::File("a".to_owned(), 0),
    ]);

    let made = unpacked(&[&layer]).unwrap();

    assert_eq!(made[b"b".as_slice()].modified, 0);
    assert_eq!(packed(&[&layer]), Some(made));
}

fn stack(layers: Vec<Stream>) -> Vec<u8> {
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Stream::finish).collect();
    let layers: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    write_stack(&layers, Packing::default(), None).unwrap()
}

#[test]
fn what_upper_layers_replace_or_repeat_takes_no_space() {
    let large = |seed| noise(seed, 1 << 20);
    let lower = || {
        Stream::new()
            .file("kept", &large(1))
            .file("replaced", &large(2))
    };
    let upper = Stream::new()
        .file("replaced", b"small")
        .file("copied", &large(1))
        .file(".wh.gone", b"");
    let alone = stack(vec![Stream::new().file("kept", &large(1))]);

    let image = stack(vec![lower(), Stream::new().file("gone", &large(3)), upper]);

    assert!(image.len() < alone.len() + 140_000, "{}", image.len());
    assert!(unsquashfs(&["-cat"], &image, &["copied"]) == large(1));
}

#[test]
fn a_file_of_5_gib_with_little_in_it_comes_back() {
    let size = (5_u64 << 30) + 3;
    let map = format!("2\n0\n5\n{}\n4\n", size - 4);
    let map = [map.as_bytes(), &vec![0; 512 - map.len()]].concat();
    let content = [map.as_slice(), b"begin", b"end!"].concat();
    let size = size.to_string();
    let tar = Stream::new()
        .records(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"large"),
            ("GNU.sparse.realsize", size.as_bytes()),
        ])
        .file("GNUSparseFile.0/large", &content)
        .finish();

    let image = write_stack(&[&tar], Packing::default(), None).unwrap();
    let copied = write_over(&image, &[], Packing::default(), Limits::default());
    let copied = copied.unwrap().unwrap();

    assert!(image.len() < 200_000, "{}", image.len());
    assert!(copied == image);
    let listing = String::from_utf8(unsquashfs(&["-lln"], &image, &[])).unwrap();
    assert!(listing.contains(&size), "{listing}");
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("tree");
    unsquashfs(
        &["-quiet", "-no-progress", "-dest", target.to_str().unwrap()],
        &image,
        &[],
    );
    let file = fs::File::open(target.join("large")).unwrap();
    let mut end = [0; 8];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut end, size.parse::<u64>().unwrap() - 8)
        .unwrap();
    assert_eq!(&end, b"\0\0\0\0end!");
}
