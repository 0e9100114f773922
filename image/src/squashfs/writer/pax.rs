//! What do the pax records of a tar entry say?
//!
//! See "pax Extended Header" in POSIX `pax(1)`: `length key=value\n`, where the length counts the
//! whole record. Values are bytes and may hold line breaks, so the length alone ends a record.

use std::collections::BTreeMap;

const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
const SPARSE: &[u8] = b"GNU.sparse.";

/// Records by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Records(BTreeMap<Vec<u8>, Vec<u8>>);

impl Records {
    /// Adds the records of a header; nothing when it is malformed.
    ///
    /// An empty value takes the key away again.
    pub(super) fn add(&mut self, mut header: &[u8]) -> Option<()> {
        while !header.is_empty() {
            let (record, rest) = split_record(header)?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            if value.is_empty() && !key.starts_with(ATTRIBUTE) {
                self.0.remove(key);
            } else {
                self.0.insert(key.to_vec(), value.to_vec());
            }
            header = rest;
        }
        Some(())
    }

    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key.as_bytes()).map(Vec::as_slice)
    }

    /// A decimal number; a fraction is cut off and a negative number is zero.
    pub(super) fn number(&self, key: &str) -> Option<Result<u64, ()>> {
        let value = self.get(key)?;
        let value = value.split(|byte| *byte == b'.').next().unwrap_or_default();
        if value.starts_with(b"-") {
            return Some(Ok(0));
        }
        Some(
            str::from_utf8(value)
                .map_err(|_| ())
                .and_then(|text| text.parse().map_err(|_| ())),
        )
    }

    /// Extended attributes, sorted by name.
    pub(super) fn attributes(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(ATTRIBUTE)?.to_vec(), value.clone())))
            .collect()
    }

    /// Whether the entry's content is only the parts of a sparse file that hold something.
    pub(super) fn is_sparse(&self) -> bool {
        self.0.keys().any(|key| key.starts_with(SPARSE))
    }
}

/// The first record without its length and line break, and what follows it.
fn split_record(header: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = header.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = str::from_utf8(&header[..space]).ok()?.parse().ok()?;
    let (record, rest) = header.split_at_checked(length)?;
    Some((record.get(space + 1..)?.strip_suffix(b"\n")?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bytes_that_may_hold_line_breaks_and_equals_signs() {
        let mut records = Records::default();

        records
            .add(b"12 path=a/b\n28 SCHILY.xattr.user.x=\n=\xff\0\n")
            .unwrap();

        assert_eq!(records.get("path"), Some(&b"a/b"[..]));
        assert_eq!(
            records.attributes(),
            [(b"user.x".to_vec(), b"\n=\xff\0".to_vec())]
        );
    }

    #[test]
    fn times_before_1970_are_zero_and_fractions_are_cut_off() {
        let mut records = Records::default();

        records
            .add(b"13 mtime=-5\n15 atime=12.9\n")
            .unwrap_or_default();
        records.add(b"12 mtime=-5\n14 atime=12.9\n").unwrap();

        assert_eq!(records.number("mtime"), Some(Ok(0)));
        assert_eq!(records.number("atime"), Some(Ok(12)));
    }

    #[test]
    fn records_with_a_wrong_length_are_refused() {
        for header in [
            &b"11 path=a/b\n"[..],
            b"13 path=a/b\n",
            b"path=a/b\n",
            b"12 path/a/b\n",
        ] {
            assert!(Records::default().add(header).is_none());
        }
    }
}
