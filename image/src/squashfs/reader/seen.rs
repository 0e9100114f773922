//! Which inodes were written?

use std::collections::HashMap;

use crate::error::Error;
use crate::squashfs::damaged;

/// Memory of names that further hard links may lead to.
const MOST_BYTES: usize = 64 << 20;

/// What is known of the inodes, by their numbers.
#[derive(Debug)]
pub(super) struct Seen {
    /// How many there are.
    inodes: u32,
    /// A bit for each.
    bits: Vec<u64>,
    /// Those that have names left.
    linked: HashMap<u32, Linked>,
    bytes: usize,
}

/// An inode with several names.
#[derive(Debug)]
struct Linked {
    first: Box<[u8]>,
    names_left: u32,
}

impl Seen {
    pub(super) fn new(inodes: u32) -> Self {
        Self {
            inodes,
            bits: Vec::new(),
            linked: HashMap::new(),
            bytes: 0,
        }
    }

    /// Notes an inode that is met at a path; gives the first path of one that was met before.
    pub(super) fn meet(
        &mut self,
        number: u32,
        names: u32,
        path: &[u8],
    ) -> Result<Option<Box<[u8]>>, Error> {
        if let Some(first) = self.again(number) {
            return Ok(Some(first));
        }
        self.mark(number)?;
        if names > 1 {
            self.bytes += path.len();
            if self.bytes > MOST_BYTES {
                return Err(damaged("it has more hard links than can be followed"));
            }
            let linked = Linked {
                first: path.into(),
                names_left: names - 1,
            };
            self.linked.insert(number, linked);
        }
        Ok(None)
    }

    fn again(&mut self, number: u32) -> Option<Box<[u8]>> {
        let linked = self.linked.get_mut(&number)?;
        linked.names_left -= 1;
        if linked.names_left > 0 {
            return Some(linked.first.clone());
        }
        self.bytes -= linked.first.len();
        self.linked.remove(&number).map(|linked| linked.first)
    }

    /// An inode with one name leads to itself when it is met again: folders lie in each other, or
    /// files have more names than they say.
    fn mark(&mut self, number: u32) -> Result<(), Error> {
        if number == 0 || number > self.inodes {
            return Err(damaged("a file of it has an impossible number"));
        }
        let word = usize::try_from(number / 64).unwrap_or_default();
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        if self.bits[word] & bit != 0 {
            return Err(damaged("a folder or file of it lies in several places"));
        }
        self.bits[word] |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inode_has_as_many_names_as_it_says() {
        let mut seen = Seen::new(1000);

        assert_eq!(seen.meet(1000, 3, b"a").unwrap(), None);
        assert_eq!(
            seen.meet(1000, 3, b"b").unwrap().as_deref(),
            Some(&b"a"[..])
        );
        assert_eq!(
            seen.meet(1000, 3, b"c").unwrap().as_deref(),
            Some(&b"a"[..])
        );
        assert!(seen.meet(1000, 3, b"d").is_err());
        assert_eq!(seen.bytes, 0);
    }

    #[test]
    fn numbers_that_no_inode_has_are_refused() {
        let mut seen = Seen::new(64);

        assert!(seen.meet(0, 1, b"a").is_err());
        assert!(seen.meet(65, 1, b"a").is_err());
        assert!(seen.meet(64, 1, b"a").is_ok());
        assert!(seen.meet(64, 1, b"b").is_err());
    }
}
