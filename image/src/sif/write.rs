//! Writes what surrounds a file system in a SIF.

use sha2::{Digest, Sha256};
use uuid::Builder;

use super::SifError;
use super::format::{
    ALIGNMENT, DATA_OFFSET, DEFINITION, DESCRIPTOR_SIZE, DESCRIPTORS, GROUP, HEADER_SIZE, JSON,
    LAUNCH, MAGIC, NAME_SIZE, PARTITION, PRIMARY, SQUASHFS, TABLE_OFFSET, VERSION,
    architecture_code,
};

/// What goes into a SIF.
#[derive(Debug)]
pub struct SifContents<'a> {
    /// The definition's text.
    pub definition: &'a str,
    /// JSON objects by name.
    pub objects: Vec<(&'a str, &'a [u8])>,
    /// The root file system.
    pub squashfs: Squashfs,
    /// Its architecture, in Go's spelling.
    pub architecture: &'a str,
    /// The time that everything gets, in seconds since 1970.
    pub time: i64,
}

/// A file system that follows its head, and ends the file.
#[derive(Debug, Clone, Copy)]
pub struct Squashfs {
    /// Its size in bytes, a multiple of 4096: the kernel's loop device sees whole sectors only.
    pub size: u64,
    /// What tells it from all others: the SIF's id is made of it.
    pub identity: [u8; 32],
}

/// All bytes before the file system; the same contents always give the same bytes.
pub fn head(contents: &SifContents<'_>) -> Result<Vec<u8>, SifError> {
    if !contents.squashfs.size.is_multiple_of(ALIGNMENT) {
        return Err(SifError::Contents(format!(
            "squashfs of {} bytes is not padded to whole pages",
            contents.squashfs.size
        )));
    }
    let layout = layout(contents)?;
    let mut head = header(contents, &layout, content_id(contents));
    pad_to(&mut head, TABLE_OFFSET);
    for (index, object) in layout.iter().enumerate() {
        head.extend(descriptor(contents, index, object));
    }
    pad_to(&mut head, DATA_OFFSET);
    for object in &layout {
        pad_to(&mut head, object.offset);
        if let Data::Bytes(bytes) = object.data {
            head.extend_from_slice(bytes);
        }
    }
    Ok(head)
}

fn pad_to(head: &mut Vec<u8>, offset: u64) {
    head.resize(usize::try_from(offset).unwrap_or(usize::MAX), 0);
}

struct Placed<'a> {
    kind: i32,
    name: &'a str,
    data: Data<'a>,
    offset: u64,
    size: u64,
    size_with_padding: u64,
}

#[derive(Clone, Copy)]
enum Data<'a> {
    Bytes(&'a [u8]),
    Squashfs,
}

fn layout<'a>(contents: &SifContents<'a>) -> Result<Vec<Placed<'a>>, SifError> {
    let definition = contents.definition.as_bytes();
    let mut objects = vec![(DEFINITION, "", Data::Bytes(definition), length(definition))];
    for &(name, bytes) in &contents.objects {
        objects.push((JSON, name, Data::Bytes(bytes), length(bytes)));
    }
    objects.push((PARTITION, "", Data::Squashfs, contents.squashfs.size));
    if objects.len() > DESCRIPTORS {
        let most = DESCRIPTORS - 2;
        return Err(SifError::Contents(format!(
            "a SIF has room for {most} JSON objects"
        )));
    }
    let mut end = DATA_OFFSET;
    let mut placed = Vec::with_capacity(objects.len());
    for (kind, name, data, size) in objects {
        if name.len() >= NAME_SIZE {
            return Err(SifError::Contents(format!(
                "object name {name} is too long"
            )));
        }
        let offset = if kind == PARTITION {
            end.next_multiple_of(ALIGNMENT)
        } else {
            end
        };
        let size_with_padding = offset - end + size;
        end = offset + size;
        placed.push(Placed {
            kind,
            name,
            data,
            offset,
            size,
            size_with_padding,
        });
    }
    Ok(placed)
}

fn length(bytes: &[u8]) -> u64 {
    length_of(bytes.len())
}

/// A UUID of version 8, made of everything that is in the image.
fn content_id(contents: &SifContents<'_>) -> [u8; 16] {
    let mut hash = Sha256::new();
    let objects = contents
        .objects
        .iter()
        .flat_map(|(name, bytes)| [name.as_bytes(), *bytes]);
    let parts = [
        contents.definition.as_bytes(),
        contents.architecture.as_bytes(),
    ];
    for part in parts.into_iter().chain(objects) {
        hash.update(length(part).to_le_bytes());
        hash.update(part);
    }
    hash.update(contents.time.to_le_bytes());
    hash.update(contents.squashfs.identity);
    let digest: [u8; 32] = hash.finalize().into();
    let (first, _) = digest.split_at(16);
    let id = first.try_into().unwrap_or([0; 16]);
    *Builder::from_custom_bytes(id).as_uuid().as_bytes()
}

fn header(contents: &SifContents<'_>, layout: &[Placed<'_>], id: [u8; 16]) -> Vec<u8> {
    let end = layout
        .last()
        .map_or(DATA_OFFSET, |last| last.offset + last.size);
    let total = length_of(DESCRIPTORS);
    let mut header = LAUNCH.to_vec();
    header.resize(32, 0);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(VERSION);
    header.extend_from_slice(&architecture_code(contents.architecture));
    header.extend_from_slice(&id);
    header.extend_from_slice(&contents.time.to_le_bytes());
    header.extend_from_slice(&contents.time.to_le_bytes());
    let numbers = [
        total - length_of(layout.len()),
        total,
        TABLE_OFFSET,
        total * length_of(DESCRIPTOR_SIZE),
        DATA_OFFSET,
        end - DATA_OFFSET,
    ];
    for number in numbers {
        header.extend_from_slice(&number.to_le_bytes());
    }
    debug_assert_eq!(header.len(), HEADER_SIZE);
    header
}

fn length_of(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn descriptor(contents: &SifContents<'_>, index: usize, object: &Placed<'_>) -> Vec<u8> {
    let id = u32::try_from(index + 1).unwrap_or(u32::MAX);
    let mut bytes = object.kind.to_le_bytes().to_vec();
    bytes.push(1);
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&GROUP.to_le_bytes());
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    for number in [object.offset, object.size, object.size_with_padding] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    // Created and modified; the user and group that follow have no meaning any more.
    for number in [contents.time, contents.time, 0, 0] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    let name_start = bytes.len();
    bytes.extend_from_slice(object.name.as_bytes());
    bytes.resize(name_start + NAME_SIZE, 0);
    if object.kind == PARTITION {
        bytes.extend_from_slice(&SQUASHFS.to_le_bytes());
        bytes.extend_from_slice(&PRIMARY.to_le_bytes());
        bytes.extend_from_slice(&architecture_code(contents.architecture));
    }
    bytes.resize(DESCRIPTOR_SIZE, 0);
    bytes
}
