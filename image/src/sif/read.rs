//! Reads the table of a SIF; nothing in it is trusted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::SifError;
use super::format::{
    DEFINITION, DESCRIPTOR_SIZE, HEADER_SIZE, JSON, MAGIC, NAME_SIZE, PARTITION, PRIMARY,
    SIGNATURE, VERSION, architecture_name,
};

/// No writer makes more, and each costs memory.
const MOST_DESCRIPTORS: u64 = 4096;

/// Texts and JSON objects are read whole.
const LARGEST_TEXT: u64 = 64 << 20;

/// An opened SIF.
#[derive(Debug)]
pub struct Sif {
    pub(super) file: File,
    pub(super) header: [u8; HEADER_SIZE],
    /// Id of the image.
    pub id: uuid::Uuid,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// What is in it.
    pub objects: Vec<Object>,
}

/// An object in a SIF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its number, from 1.
    pub id: u32,
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, often empty.
    pub name: String,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its descriptor, which signatures cover in parts.
    pub(super) descriptor: Vec<u8>,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// The text of a definition.
    Definition,
    /// A JSON object.
    Json,
    /// A file system.
    Partition {
        /// Which one.
        file_system: FileSystem,
        /// Whether it is the root.
        is_primary: bool,
        /// Its architecture in Go's spelling, if it is known.
        architecture: Option<&'static str>,
    },
    /// A signature of other objects.
    Signature,
    /// Anything else, by its number.
    Other(i32),
}

/// The file system of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// Squashfs.
    Squashfs,
    /// Ext3.
    Ext3,
    /// Squashfs, encrypted.
    EncryptedSquashfs,
    /// Anything else, by its number.
    Other(i32),
}

/// The root file system of a SIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which file system it is.
    pub file_system: FileSystem,
    /// Where it starts in the file.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its architecture in Go's spelling, if it is known.
    pub architecture: Option<&'static str>,
}

/// Opens a SIF and reads its table.
pub fn open(path: &Path) -> Result<Sif, SifError> {
    from_file(File::open(path).map_err(SifError::Read)?)
}

/// Reads the table of a SIF that is open already.
pub fn from_file(file: File) -> Result<Sif, SifError> {
    let metadata = file.metadata().map_err(SifError::Read)?;
    if !metadata.is_file() {
        return Err(SifError::NotSif);
    }
    let mut header = [0; HEADER_SIZE];
    file.read_exact_at(&mut header, 0)
        .map_err(|_| SifError::NotSif)?;
    let mut fields = Fields(&header);
    check_magic(&mut fields)?;
    fields.skip(3);
    let id = uuid::Uuid::from_bytes(fields.take::<16>());
    let created = i64::from_le_bytes(fields.take());
    fields.skip(16);
    let (total, offset) = (fields.u64(), fields.u64());
    let objects = objects(&file, total, offset, metadata.len())?;
    Ok(Sif {
        file,
        header,
        id,
        created,
        objects,
    })
}

fn check_magic(header: &mut Fields<'_>) -> Result<(), SifError> {
    header.skip(32);
    if &header.take::<10>() != MAGIC {
        return Err(SifError::NotSif);
    }
    let version: [u8; 3] = header.take();
    if &version == VERSION {
        return Ok(());
    }
    Err(SifError::Version(version.escape_ascii().to_string()))
}

fn objects(file: &File, total: u64, offset: u64, end: u64) -> Result<Vec<Object>, SifError> {
    if total > MOST_DESCRIPTORS {
        return Err(SifError::Damaged("it has too many descriptors"));
    }
    let size = usize::try_from(total).unwrap_or_default() * DESCRIPTOR_SIZE;
    let mut table = vec![0; size];
    file.read_exact_at(&mut table, offset)
        .map_err(|_| SifError::Damaged("its table of descriptors is not in the file"))?;
    table
        .chunks_exact(DESCRIPTOR_SIZE)
        .filter_map(|bytes| object(bytes, end).transpose())
        .collect()
}

/// The object of a descriptor; nothing if the slot is free.
fn object(bytes: &[u8], end_of_file: u64) -> Result<Option<Object>, SifError> {
    let mut fields = Fields(bytes);
    let kind = fields.i32();
    let [is_used] = fields.take::<1>();
    if is_used == 0 {
        return Ok(None);
    }
    let id = u32::from_le_bytes(fields.take());
    fields.skip(8);
    let (offset, size) = (fields.u64(), fields.u64());
    if offset.checked_add(size).is_none_or(|end| end > end_of_file) {
        return Err(SifError::Damaged("an object is not in the file"));
    }
    fields.skip(40);
    let name: [u8; NAME_SIZE] = fields.take();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Some(Object {
        id,
        kind: object_kind(kind, &mut fields),
        name,
        offset,
        size,
        descriptor: bytes.to_vec(),
    }))
}

fn object_kind(kind: i32, extra: &mut Fields<'_>) -> ObjectKind {
    match kind {
        DEFINITION => ObjectKind::Definition,
        JSON => ObjectKind::Json,
        SIGNATURE => ObjectKind::Signature,
        PARTITION => ObjectKind::Partition {
            file_system: match extra.i32() {
                1 => FileSystem::Squashfs,
                2 => FileSystem::Ext3,
                5 => FileSystem::EncryptedSquashfs,
                other => FileSystem::Other(other),
            },
            is_primary: extra.i32() == PRIMARY,
            architecture: architecture_name(extra.take()),
        },
        other => ObjectKind::Other(other),
    }
}

impl Sif {
    /// The root file system.
    pub fn primary_partition(&self) -> Option<Partition> {
        self.objects.iter().find_map(|object| match object.kind {
            ObjectKind::Partition {
                file_system,
                is_primary: true,
                architecture,
            } => {
                let Object { offset, size, .. } = *object;
                Some(Partition {
                    file_system,
                    offset,
                    size,
                    architecture,
                })
            }
            _ => None,
        })
    }

    /// The text of the definition.
    pub fn definition(&self) -> Result<Option<String>, SifError> {
        let definition = self
            .objects
            .iter()
            .find(|object| object.kind == ObjectKind::Definition);
        let bytes = definition.map(|object| self.read(object)).transpose()?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The JSON object of that name.
    pub fn json(&self, name: &str) -> Result<Option<Vec<u8>>, SifError> {
        let named = |object: &&Object| object.kind == ObjectKind::Json && object.name == name;
        self.objects
            .iter()
            .find(named)
            .map(|object| self.read(object))
            .transpose()
    }

    /// The bytes of a small object.
    pub fn read(&self, object: &Object) -> Result<Vec<u8>, SifError> {
        if object.size > LARGEST_TEXT {
            return Err(SifError::Damaged("an object is too large to be read whole"));
        }
        let mut bytes = vec![0; usize::try_from(object.size).unwrap_or_default()];
        self.file
            .read_exact_at(&mut bytes, object.offset)
            .map_err(SifError::Read)?;
        Ok(bytes)
    }
}

/// Takes fields from the front of bytes; behind their end there are zeros.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut field = [0; N];
        let count = N.min(self.0.len());
        let (start, rest) = self.0.split_at(count);
        field[..count].copy_from_slice(start);
        self.0 = rest;
        field
    }

    fn skip(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }
}
