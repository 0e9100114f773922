//! Layers into the tree and the tree into an archive, with the ledger carried along as text.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::Reply;
use crate::layer::{self, Ledger, Options, StreamOptions};
use crate::sandbox::Failure;

/// Puts a layer over the tree.
pub(super) fn apply(options: &Options, ledger: &str, input: impl Read) -> Result<Reply, Failure> {
    let mut ledger = parse(ledger)?;
    let input = BufReader::with_capacity(256 << 10, input);
    let applied = layer::apply(input, Path::new("/"), &mut ledger, options)?;

    let mut text = Vec::new();
    ledger
        .write(&mut text)
        .map_err(Failure::io("writing", "ledger"))?;
    let text = String::from_utf8(text).map_err(|error| Failure::machine("ledger", error))?;
    Ok(Reply::Applied {
        ledger: text,
        bytes: applied.bytes,
    })
}

/// Writes the tree as a tar archive.
pub(super) fn stream(latest: Option<i64>, ledger: &str, output: impl Write) -> Result<(), Failure> {
    let ledger = parse(ledger)?;
    layer::stream_tree(Path::new("/"), &ledger, output, StreamOptions { latest })?;
    Ok(())
}

fn parse(ledger: &str) -> Result<Ledger, Failure> {
    Ledger::read(ledger.as_bytes()).map_err(Failure::io("reading", "ledger"))
}
