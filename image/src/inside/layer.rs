//! Layers into the tree and the tree into an archive, with the ledger carried along as text.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::Reply;
use crate::layer::{self, Ledger, Needs, Options, StreamOptions};
use crate::sandbox::{Failure, ROOTFS, UPPER};

/// Puts a layer over the tree.
pub(super) fn apply(
    options: &Options,
    ledger: &str,
    input: impl Read + Send,
) -> Result<Reply, Failure> {
    let mut ledger = parse(ledger)?;
    let input = BufReader::with_capacity(256 << 10, input);
    let applied = layer::apply(input, Path::new("/"), &mut ledger, options)?;

    Ok(Reply::Applied {
        ledger: text_of(&ledger)?,
        bytes: applied.bytes,
    })
}

/// Puts a tree into an empty folder; what its file system cannot represent is lost.
pub(super) fn put_tree(input: impl Read) -> Result<(), Failure> {
    let input = BufReader::with_capacity(256 << 10, input);
    let mut same_name = |name: &[u8]| Ok(name.to_vec());
    layer::put(
        input,
        Path::new("/"),
        &mut Ledger::default(),
        None,
        &mut same_name,
    )?;
    Ok(())
}

/// Writes the tree as a tar archive.
pub(super) fn stream(latest: Option<i64>, ledger: &str, output: impl Write) -> Result<(), Failure> {
    let ledger = parse(ledger)?;
    layer::stream_tree(Path::new("/"), &ledger, output, StreamOptions { latest })?;
    Ok(())
}

/// Writes what was changed in an overlay as a layer.
pub(super) fn stream_changes(
    latest: Option<i64>,
    ledger: &str,
    output: impl Write,
) -> Result<(), Failure> {
    let ledger = parse(ledger)?;
    let [upper, merged] = [UPPER, ROOTFS].map(|name| Path::new("/").join(name));
    layer::stream_upper(&upper, &merged, &ledger, output, StreamOptions { latest })?;
    Ok(())
}

/// Tells what the tree needs, and writes what has to be corrected in a copy of it.
pub(super) fn survey(ledger: &str, mut output: impl Write) -> Result<Needs, Failure> {
    let ledger = parse(ledger)?;
    let needs = layer::survey(Path::new("/"), &ledger, &mut |correction| {
        serde_json::to_writer(&mut output, &correction)?;
        output.write_all(b"\n")
    })?;
    output
        .flush()
        .map_err(Failure::io("writing", "corrections"))?;
    Ok(needs)
}

/// Reads a ledger that came from outside.
pub(super) fn parse(ledger: &str) -> Result<Ledger, Failure> {
    Ledger::read(ledger.as_bytes()).map_err(Failure::io("reading", "ledger"))
}

/// A ledger as it is sent outside.
pub(super) fn text_of(ledger: &Ledger) -> Result<String, Failure> {
    let mut text = Vec::new();
    ledger
        .write(&mut text)
        .map_err(Failure::io("writing", "ledger"))?;
    String::from_utf8(text).map_err(|error| Failure::machine("ledger", error))
}
