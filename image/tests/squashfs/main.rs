//! Squashfs images: what we write is read by the usual tools, and what they write is read by us.
//!
//! Needs the Debian package squashfs-tools.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copied;
mod hostile;
mod reader;
mod stack;
mod stream;
mod tools;
mod writer;
