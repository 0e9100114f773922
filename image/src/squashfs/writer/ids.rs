//! Which users and groups own the files?

use std::collections::HashMap;

use super::error::Error;

/// All owners; inodes name them by their place in this table.
#[derive(Debug, Default)]
pub(super) struct Ids {
    ids: Vec<u32>,
    known: HashMap<u32, u16>,
}

impl Ids {
    /// The place of a user or group, which are not told apart.
    pub(super) fn place(&mut self, id: u32) -> Result<u16, Error> {
        if let Some(place) = self.known.get(&id) {
            return Ok(*place);
        }
        let place = u16::try_from(self.ids.len()).map_err(|_| Error::TooManyIds)?;
        if place == u16::MAX {
            return Err(Error::TooManyIds); // the superblock could not hold their number
        }
        self.ids.push(id);
        self.known.insert(id, place);
        Ok(place)
    }

    pub(super) fn count(&self) -> Result<u16, Error> {
        u16::try_from(self.ids.len()).map_err(|_| Error::TooManyIds)
    }

    /// The table: 4 bytes for each.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.ids.iter().flat_map(|id| id.to_le_bytes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_ids_fit_as_the_superblock_can_count() {
        let mut ids = Ids::default();

        for id in 0..65_535 {
            ids.place(id).unwrap();
        }

        assert_eq!(ids.place(7).unwrap(), 7);
        assert_eq!(ids.count().unwrap(), 65_535);
        assert!(matches!(ids.place(65_535), Err(Error::TooManyIds)));
    }
}
