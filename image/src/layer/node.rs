//! How files without content come into a tree: empty ones, links, fifos and devices.

use std::fs::File;

use rustix::fs::{Dev, FileType, Mode, OFlags, makedev, mknodat, openat, symlinkat};

use super::archive::{Kind, Member};
use super::error::Error;
use super::ledger::{Device, DeviceKind, Ledger};
use super::metadata::{apply_to_place, is_refusal};
use super::tree::Place;

/// Makes an empty file, which nobody else may read yet.
pub(super) fn make_file(place: &Place) -> Result<File, Error> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    let file = openat(&place.folder, place.name(), flags, mode);
    file.map(File::from)
        .map_err(Error::io("making the file", &place.path))
}

pub(super) fn make_symlink(
    place: &Place,
    member: &Member,
    ledger: &mut Ledger,
) -> Result<(), Error> {
    symlinkat(member.link.as_slice(), &place.folder, place.name())
        .map_err(Error::io("making the symbolic link", &place.path))?;
    apply_to_place(place, member, None, ledger)
}

/// Makes a fifo or a device; where devices are not allowed an empty file stands in.
pub(super) fn make(place: &Place, member: &Member, ledger: &mut Ledger) -> Result<(), Error> {
    let (kind, number, device) = node(member);
    let mode = Mode::from_raw_mode(0o600);
    let result = mknodat(&place.folder, place.name(), kind, mode, number);
    let stands_for = match (result, device) {
        (Ok(()), _) => None,
        (Err(error), Some(device)) if is_refusal(error) => {
            make_file(place)?;
            Some(device)
        }
        (Err(error), _) => return Err(Error::io("making the device", &place.path)(error)),
    };
    apply_to_place(place, member, stands_for, ledger)
}

fn node(member: &Member) -> (FileType, Dev, Option<Device>) {
    let (major, minor) = member.device;
    let device = |kind| Some(Device { kind, major, minor });
    match member.kind {
        Kind::CharacterDevice => (
            FileType::CharacterDevice,
            makedev(major, minor),
            device(DeviceKind::Character),
        ),
        Kind::BlockDevice => (
            FileType::BlockDevice,
            makedev(major, minor),
            device(DeviceKind::Block),
        ),
        _ => (FileType::Fifo, 0, None),
    }
}
