//! How are extended attributes stored?
//!
//! Each set of attributes is stored once, as a run of keys and values; an inode names its set.
//! A key is a number for the part before the first dot, and the rest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::Error;
use super::metadata::MetadataWriter;
use crate::squashfs::format::NAME_SPACES;

/// A set of attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SetId(u32);

impl SetId {
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

/// One set as it is stored.
#[derive(Debug)]
struct Set {
    count: u32,
    bytes: Vec<u8>,
}

/// All sets that are in use.
#[derive(Debug, Default)]
pub(crate) struct AttributeSets {
    sets: Vec<Set>,
    known: HashMap<Vec<u8>, SetId>,
}

impl AttributeSets {
    /// The set with these attributes, which are sorted by name; nothing for no attributes.
    pub(crate) fn intern(
        &mut self,
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<Option<SetId>, Error> {
        let mut set = Set {
            count: 0,
            bytes: Vec::new(),
        };
        for (name, value) in attributes {
            // What squashfs cannot hold is left out.
            set.add(name, value);
        }
        if set.count == 0 {
            return Ok(None);
        }
        match self.known.entry(set.bytes.clone()) {
            Entry::Occupied(known) => Ok(Some(*known.get())),
            Entry::Vacant(place) => {
                let number = u32::try_from(self.sets.len());
                let id = SetId(number.map_err(|_| Error::TooLarge("attribute table"))?);
                self.sets.push(set);
                Ok(Some(*place.insert(id)))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Writes all sets and gives the list of them: 16 bytes for each.
    pub(super) fn write(&self, table: &mut MetadataWriter<'_>) -> Vec<u8> {
        let mut list = Vec::with_capacity(self.sets.len() * 16);
        for set in &self.sets {
            list.extend_from_slice(&table.position().reference().to_le_bytes());
            list.extend_from_slice(&set.count.to_le_bytes());
            let size = u32::try_from(set.bytes.len()).unwrap_or(u32::MAX);
            list.extend_from_slice(&size.to_le_bytes());
            table.write(&set.bytes);
        }
        list
    }
}

impl Set {
    /// Adds an attribute; nothing when squashfs cannot hold it.
    fn add(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let (space, key) = NAME_SPACES
            .iter()
            .zip(0_u16..)
            .find_map(|(prefix, number)| {
                Some((number, name.strip_prefix(*prefix)?)).filter(|(_, key)| !key.is_empty())
            })?;
        let key_length = u16::try_from(key.len()).ok()?;
        let value_length = u32::try_from(value.len()).ok()?;
        self.bytes.extend_from_slice(&space.to_le_bytes());
        self.bytes.extend_from_slice(&key_length.to_le_bytes());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(&value_length.to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.count += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str) -> (Vec<u8>, Vec<u8>) {
        (name.as_bytes().to_vec(), b"value".to_vec())
    }

    #[test]
    fn equal_sets_are_stored_once() {
        let mut sets = AttributeSets::default();

        let first = sets.intern(&[attribute("user.a")]).unwrap();
        let other = sets.intern(&[attribute("trusted.a")]).unwrap();
        let again = sets.intern(&[attribute("user.a")]).unwrap();

        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(sets.len(), 2);
    }

    #[test]
    fn attributes_outside_the_three_name_spaces_are_left_out() {
        let mut sets = AttributeSets::default();

        let set = sets
            .intern(&[attribute("system.posix_acl_access")])
            .unwrap();

        assert_eq!(set, None);
    }
}
