//! Where the data of a sparse file lies: GNU's old format and the PAX formats 0.0, 0.1 and 1.0.
//!
//! See the GNU tar manual, appendix "Storing Sparse Files".

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::error::Error;
use super::pax::Records;

/// A run of data in a sparse file; holes lie between runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// What a map says about a file: how long it is, and where its data lies.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) real_size: u64,
    pub(super) runs: Vec<Run>,
}

const MOST_RUNS: usize = 1 << 20;

/// Reads the old GNU form, whose map goes on in blocks after the header.
pub(super) fn from_gnu(
    header: &Header,
    mut next_block: impl FnMut() -> Result<[u8; 512], Error>,
) -> Result<Map, Error> {
    let gnu = header
        .as_gnu()
        .ok_or_else(|| malformed("sparse file without a GNU header"))?;
    let mut runs = Vec::new();
    push_runs(&mut runs, &gnu.sparse)?;
    let mut more = gnu.is_extended();
    while more {
        let mut extension = GnuExtSparseHeader::new();
        extension.as_mut_bytes().copy_from_slice(&next_block()?);
        push_runs(&mut runs, extension.sparse())?;
        more = extension.is_extended();
    }
    let real_size = gnu
        .real_size()
        .map_err(|error| malformed(&error.to_string()))?;
    checked(Map { real_size, runs })
}

fn push_runs(runs: &mut Vec<Run>, blocks: &[GnuSparseHeader]) -> Result<(), Error> {
    for block in blocks.iter().filter(|block| !block.is_empty()) {
        let offset = block
            .offset()
            .map_err(|error| malformed(&error.to_string()))?;
        let length = block
            .length()
            .map_err(|error| malformed(&error.to_string()))?;
        push(runs, Run { offset, length })?;
    }
    Ok(())
}

fn push(runs: &mut Vec<Run>, run: Run) -> Result<(), Error> {
    if runs.len() == MOST_RUNS {
        return Err(malformed("sparse file has too many pieces"));
    }
    runs.push(run);
    Ok(())
}

/// Reads the PAX forms. `next_block` gives the member's data, where version 1.0 has its map.
pub(super) fn from_pax(
    records: &Records,
    mut next_block: impl FnMut() -> Result<[u8; 512], Error>,
) -> Result<Option<Map>, Error> {
    let real_size = records
        .number("GNU.sparse.realsize")
        .or(records.number("GNU.sparse.size"));
    let Some(real_size) = real_size else {
        return Ok(None);
    };
    let numbers = if records.number("GNU.sparse.major") == Some(1) {
        numbers_of_data(&mut next_block)?
    } else if let Some(map) = records.get("GNU.sparse.map") {
        map.split(|byte| *byte == b',')
            .map(number)
            .collect::<Result<_, _>>()?
    } else {
        let is_map = |key: &[u8]| key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes";
        let values = records.iter().filter(|(key, _)| is_map(key));
        values
            .map(|(_, value)| number(value))
            .collect::<Result<_, _>>()?
    };
    let mut runs = Vec::new();
    for pair in numbers.chunks(2) {
        let [offset, length] = *pair else {
            return Err(malformed("sparse map has an odd end"));
        };
        push(&mut runs, Run { offset, length })?;
    }
    checked(Map { real_size, runs }).map(Some)
}

/// Version 1.0: decimal numbers, a line each, the first is how many pairs follow; whole blocks.
fn numbers_of_data(
    next_block: &mut impl FnMut() -> Result<[u8; 512], Error>,
) -> Result<Vec<u64>, Error> {
    let mut numbers = Vec::new();
    let mut digits = Vec::new();
    let mut wanted = None;
    loop {
        for byte in next_block()? {
            if byte != b'\n' {
                digits.push(byte);
                if digits.len() > 20 {
                    return Err(malformed("sparse map has no numbers"));
                }
                continue;
            }
            let value = number(&digits)?;
            digits.clear();
            match wanted {
                None if value > MOST_RUNS as u64 => {
                    return Err(malformed("sparse file has too many pieces"));
                }
                None => wanted = Some(value * 2),
                Some(_) => numbers.push(value),
            }
            if wanted == Some(numbers.len() as u64) {
                return Ok(numbers);
            }
        }
    }
}

fn number(digits: &[u8]) -> Result<u64, Error> {
    let text = std::str::from_utf8(digits).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed("sparse map has no numbers"))
}

/// Runs must follow each other inside the file, or writing them would go anywhere.
fn checked(map: Map) -> Result<Map, Error> {
    let mut position = 0;
    for run in &map.runs {
        let end = run.offset.checked_add(run.length);
        match end {
            Some(end) if run.offset >= position && end <= map.real_size => position = end,
            _ => {
                return Err(malformed(
                    "sparse map is out of order or longer than its file",
                ));
            }
        }
    }
    Ok(map)
}

fn malformed(reason: &str) -> Error {
    Error::Malformed(reason.to_owned())
}
