//! The numbers of the format.

pub(super) const LAUNCH: &[u8] = b"#!/usr/bin/env run-singularity\n";
pub(super) const MAGIC: &[u8; 10] = b"SIF_MAGIC\0";
pub(super) const VERSION: &[u8; 3] = b"01\0";

pub(super) const HEADER_SIZE: usize = 128;
pub(super) const DESCRIPTOR_SIZE: usize = 585;
pub(super) const DESCRIPTORS: usize = 48;
pub(super) const TABLE_OFFSET: u64 = 4096;
/// Behind the table, on a page of its own, where older readers look for it.
pub(super) const DATA_OFFSET: u64 = 32768;
/// What partitions are aligned to, and padded to.
pub(super) const ALIGNMENT: u64 = 4096;

pub(super) const DEFINITION: i32 = 0x4001;
pub(super) const PARTITION: i32 = 0x4004;
pub(super) const SIGNATURE: i32 = 0x4005;
pub(super) const JSON: i32 = 0x4006;

pub(super) const SQUASHFS: i32 = 1;
pub(super) const PRIMARY: i32 = 2;

/// The first group; the high bits tell groups from objects.
pub(super) const GROUP: u32 = 0xf000_0001;

pub(super) const NAME_SIZE: usize = 128;

/// Two-digit codes and Go's names of architectures.
const ARCHITECTURES: &[(&str, &str)] = &[
    ("01", "386"),
    ("02", "amd64"),
    ("03", "arm"),
    ("04", "arm64"),
    ("05", "ppc64"),
    ("06", "ppc64le"),
    ("07", "mips"),
    ("08", "mipsle"),
    ("09", "mips64"),
    ("10", "mips64le"),
    ("11", "s390x"),
    ("12", "riscv64"),
    ("13", "loong64"),
];

/// The code of an architecture with its closing NUL; `00` if it is not known.
pub(super) fn architecture_code(name: &str) -> [u8; 3] {
    let known = ARCHITECTURES.iter().find(|(_, known)| *known == name);
    let code = known.map_or("00", |(code, _)| code).as_bytes();
    [code[0], code[1], 0]
}

/// The name of an architecture by its code.
pub(super) fn architecture_name(code: [u8; 3]) -> Option<&'static str> {
    let known = ARCHITECTURES
        .iter()
        .find(|(known, _)| known.as_bytes() == &code[..2]);
    known.map(|(_, name)| *name)
}
