//! How one file of a tree becomes the head of a tar entry.

use std::io::{self, Write};

use rustix::fs::Statx;
use tar::EntryType;

use super::ledger::{Device, Record};
use super::{Xattrs, header};

/// One entry as it goes into the tar.
pub(super) struct Entry<'a> {
    pub(super) path: &'a [u8],
    pub(super) kind: EntryType,
    pub(super) status: &'a Statx,
    pub(super) record: Option<&'a Record>,
    pub(super) link: Vec<u8>,
    pub(super) device: Option<Device>,
    pub(super) xattrs: Xattrs,
    pub(super) size: u64,
}

impl<'a> Entry<'a> {
    /// An entry of what the file system knows, without content.
    pub(super) fn plain(path: &'a [u8], kind: EntryType, status: &'a Statx) -> Self {
        Self {
            path,
            kind,
            status,
            record: None,
            link: Vec::new(),
            device: None,
            xattrs: Vec::new(),
            size: 0,
        }
    }

    /// Writes its head under a name; it is not younger than `latest`, in seconds since 1970.
    pub(super) fn write(
        &self,
        out: &mut impl Write,
        name: &[u8],
        latest: Option<i64>,
    ) -> io::Result<()> {
        let status = self.status;
        let owner = self.record.and_then(|record| record.owner);
        let (uid, gid) = owner.unwrap_or((status.stx_uid, status.stx_gid));
        let modified = status.stx_mtime.tv_sec.min(latest.unwrap_or(i64::MAX));
        let device = self.device.map(|device| (device.major, device.minor));
        let header = header::Entry {
            path: name,
            kind: self.kind,
            link: &self.link,
            mode: u32::from(status.stx_mode) & 0o7777,
            uid,
            gid,
            modified: u64::try_from(modified).unwrap_or(0),
            device: device.unwrap_or_default(),
            xattrs: &self.xattrs,
            size: self.size,
            real_size: None,
        };
        out.write_all(&header.encode()?)
    }
}
