//! Which records a PAX extended header has: `length key=value\n`, where values may hold any byte.
//!
//! See POSIX.1-2024, `pax`, "pax Extended Header".

use super::Xattrs;
use super::error::Error;

/// The records of one extended header, in order.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<(Vec<u8>, Vec<u8>)>);

impl Records {
    /// Parses the content of an extended header.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Error> {
        let mut records = Vec::new();
        while !bytes.is_empty() && bytes[0] != 0 {
            let (record, rest) = split_record(bytes).ok_or_else(|| {
                Error::Malformed("extended header has a broken record".to_owned())
            })?;
            records.push(record);
            bytes = rest;
        }
        Ok(Self(records))
    }

    /// The value of a key; a later record wins over an earlier one.
    pub(super) fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(name, _)| name == key.as_bytes());
        found
            .map(|(_, value)| value.as_slice())
            .filter(|value| !value.is_empty())
    }

    /// Whether there is such a record.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The value of a key as a number.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        std::str::from_utf8(self.get(key)?)
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// All records, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Extended attributes with their names.
    pub(super) fn xattrs(&self) -> Xattrs {
        let mut found: Xattrs = Vec::new();
        for (key, value) in self.iter() {
            let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else {
                continue;
            };
            found.retain(|(known, _)| known != name);
            found.push((name.to_vec(), value.to_vec()));
        }
        found
    }
}

type Record = (Vec<u8>, Vec<u8>);

fn split_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((
        (record[..equals].to_vec(), record[equals + 1..].to_vec()),
        &bytes[length..],
    ))
}

/// Seconds and nanoseconds of a PAX time (`1234567890.123456789`, also negative).
pub(super) fn parse_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(if whole.starts_with('-') && nanoseconds > 0 {
        (seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds)
    } else {
        (seconds, nanoseconds)
    })
}

/// Adds a record to an extended header. Its length counts its own digits.
pub(super) fn push_record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(&[key, b"=", value, b"\n"].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_line_breaks_and_equal_signs() {
        let records = Records::parse(b"14 path=a\nb=c\n11 uid=123\n").unwrap();

        assert_eq!(records.get("path"), Some(&b"a\nb=c"[..]));
        assert_eq!(records.number("uid"), Some(123));
    }

    #[test]
    fn a_record_longer_than_the_header_is_refused() {
        assert!(Records::parse(b"99 path=a\n").is_err());
        assert!(Records::parse(b"3 a\n").is_err());
    }

    #[test]
    fn times_keep_their_fraction_and_sign() {
        assert_eq!(
            parse_time(b"1234567890.5"),
            Some((1_234_567_890, 500_000_000))
        );
        assert_eq!(parse_time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(parse_time(b"7"), Some((7, 0)));
        assert_eq!(parse_time(b"soon"), None);
    }
}
