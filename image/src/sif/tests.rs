use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use tempfile::TempDir;

use super::format::{ALIGNMENT, DATA_OFFSET, DESCRIPTOR_SIZE, TABLE_OFFSET};
use super::{FileSystem, Object, ObjectKind, SifContents, SifError, Squashfs, head, open};

struct Folder {
    folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder }
    }

    fn store(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("stored.sif");
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn contents() -> SifContents<'static> {
    SifContents {
        definition: "Bootstrap: scratch\n",
        objects: vec![
            ("inspect-metadata.json", b"{\"a\":1}"),
            ("oci-config.json", b"{}"),
        ],
        squashfs: Squashfs {
            size: 8192,
            identity: [7; 32],
        },
        architecture: "amd64",
        time: 1_700_000_000,
    }
}

fn bytes() -> Vec<u8> {
    image(&contents())
}

fn image(contents: &SifContents<'_>) -> Vec<u8> {
    let mut squashfs = b"hsqs".to_vec();
    squashfs.resize(position(contents.squashfs.size), 7);
    [head(contents).unwrap(), squashfs].concat()
}

fn number(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

#[test]
fn what_is_written_can_be_read() {
    let folder = Folder::new();
    let path = folder.store(&bytes());

    let sif = open(&path).unwrap();

    assert_eq!(
        sif.definition().unwrap().as_deref(),
        Some("Bootstrap: scratch\n")
    );
    assert_eq!(
        sif.json("inspect-metadata.json").unwrap().as_deref(),
        Some(&b"{\"a\":1}"[..])
    );
    assert_eq!(sif.json("other.json").unwrap(), None);
    assert_eq!(sif.created, 1_700_000_000);
    let root = sif.primary_partition().unwrap();
    assert_eq!(root.file_system, FileSystem::Squashfs);
    assert_eq!(root.architecture, Some("amd64"));
    let bytes = fs::read(&path).unwrap();
    assert!(bytes[position(root.offset)..].starts_with(b"hsqs\x07"));
}

#[test]
fn the_root_is_aligned_and_padded_for_loop_devices() {
    let folder = Folder::new();
    let bytes = bytes();

    let root = open(&folder.store(&bytes))
        .unwrap()
        .primary_partition()
        .unwrap();

    assert_eq!((root.offset % ALIGNMENT, root.size), (0, 8192));
    assert_eq!(root.offset + root.size, u64::try_from(bytes.len()).unwrap());
}

#[test]
fn the_header_has_its_fields_where_other_programs_look() {
    let bytes = bytes();

    assert!(bytes.starts_with(b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\x0001\x0002\0"));
    let id = uuid::Uuid::from_slice(&bytes[48..64]).unwrap();
    assert_eq!(id.get_version_num(), 8);
    let fields: Vec<u64> = (0..8).map(|index| number(&bytes, 64 + index * 8)).collect();
    let size = u64::try_from(bytes.len()).unwrap() - DATA_OFFSET;
    let time = 1_700_000_000;
    assert_eq!(
        fields,
        [time, time, 44, 48, TABLE_OFFSET, 28080, DATA_OFFSET, size]
    );
}

#[test]
fn a_descriptor_has_its_fields_where_other_programs_look() {
    let bytes = bytes();
    let start = position(TABLE_OFFSET) + 3 * DESCRIPTOR_SIZE;

    let root = &bytes[start..start + DESCRIPTOR_SIZE];

    assert_eq!(
        &root[..17],
        b"\x04\x40\0\0\x01\x04\0\0\0\x01\0\0\xf0\0\0\0\0"
    );
    assert_eq!(
        number(root, 33),
        number(root, 17) - (DATA_OFFSET + 28) + number(root, 25)
    );
    assert_eq!(&root[201..212], b"\x01\0\0\0\x02\0\0\x0002\0");
    let next = &bytes[start + DESCRIPTOR_SIZE..start + 2 * DESCRIPTOR_SIZE];
    assert!(next.iter().all(|byte| *byte == 0));
}

#[test]
fn the_same_contents_give_the_same_bytes_and_others_another_id() {
    let first = image(&contents());
    let again = image(&contents());
    let other_text = SifContents {
        definition: "x",
        ..contents()
    };
    let other_files = SifContents {
        squashfs: Squashfs {
            size: 8192,
            identity: [8; 32],
        },
        ..contents()
    };

    assert_eq!(first, again);
    for other in [other_text, other_files] {
        assert_ne!(first[48..64], image(&other)[48..64]);
    }
}

#[test]
fn an_unknown_architecture_is_written_as_unknown() {
    let folder = Folder::new();
    let bytes = image(&SifContents {
        architecture: "pdp11",
        ..contents()
    });

    let root = open(&folder.store(&bytes))
        .unwrap()
        .primary_partition()
        .unwrap();
    assert_eq!(root.architecture, None);
}

#[test]
fn too_many_objects_are_refused() {
    let refused = head(&SifContents {
        objects: vec![("x.json", b"{}".as_slice()); 47],
        ..contents()
    });

    assert!(matches!(refused, Err(SifError::Contents(_))));
}

#[test]
fn a_file_system_that_loop_devices_would_cut_off_is_refused() {
    let refused = head(&SifContents {
        squashfs: Squashfs {
            size: 5000,
            identity: [7; 32],
        },
        ..contents()
    });

    assert!(matches!(refused, Err(SifError::Contents(_))));
}

#[test]
fn other_files_are_not_sif_images() {
    let folder = Folder::new();

    for bytes in [&b""[..], b"hsqs", &[0; 5000]] {
        assert!(matches!(open(&folder.store(bytes)), Err(SifError::NotSif)));
    }
    assert!(matches!(open(Path::new("/")), Err(SifError::NotSif)));
}

#[test]
fn another_version_is_told() {
    let folder = Folder::new();
    let mut bytes = bytes();
    bytes[42..45].copy_from_slice(b"02\0");

    let refused = open(&folder.store(&bytes)).unwrap_err();

    assert!(refused.to_string().contains("02"));
}

#[test]
fn objects_and_tables_beyond_the_file_are_refused() {
    let folder = Folder::new();
    let table = position(TABLE_OFFSET);
    for (position, value) in [
        (88, u64::MAX),
        (88, 5000),
        (96, u64::MAX),
        (96, 1 << 40),
        (table + 17, u64::MAX),
        (table + 17, 1 << 30),
        (table + 25, u64::MAX),
    ] {
        let mut bytes = bytes();
        bytes[position..position + 8].copy_from_slice(&value.to_le_bytes());

        let refused = open(&folder.store(&bytes));

        assert!(
            matches!(refused, Err(SifError::Damaged(_))),
            "{position}: {refused:?}"
        );
    }
}

#[test]
fn a_huge_object_is_not_read_whole() {
    let folder = Folder::new();
    let path = folder.store(&bytes());
    let sif = open(&path).unwrap();
    let huge = Object {
        id: 1,
        kind: ObjectKind::Definition,
        name: String::new(),
        offset: 0,
        size: u64::MAX,
        descriptor: Vec::new(),
    };

    assert!(matches!(sif.read(&huge), Err(SifError::Damaged(_))));
}

proptest! {
    #[test]
    fn damaged_images_are_answered(changes in vec((0_usize..40_000, any::<u8>()), 0..20)) {
        let folder = Folder::new();
        let mut bytes = bytes();
        for (position, value) in changes {
            // Most of the file is empty table: aim at what has a meaning.
            let position = if position < 30_000 { position % 8000 } else { position };
            if let Some(byte) = bytes.get_mut(position) {
                *byte = value;
            }
        }
        if let Ok(sif) = open(&folder.store(&bytes)) {
            for object in &sif.objects {
                if let Ok(bytes) = sif.read(object) {
                    assert_eq!(u64::try_from(bytes.len()).unwrap(), object.size);
                }
            }
        }
    }
}
