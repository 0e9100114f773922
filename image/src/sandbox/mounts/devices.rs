//! A `/dev` with the devices that programs expect, and no others.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{attach, attach_in_new_folder, clone_of, file_system};
use crate::sandbox::failure::Failure;

const NAMES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// What a `/dev` is made of, taken hold of before the machine's is let go.
pub(in crate::sandbox) struct Devices {
    dev: OwnedFd,
    pts: OwnedFd,
    shm: OwnedFd,
    nodes: Vec<(&'static str, OwnedFd)>,
}

impl Devices {
    pub(in crate::sandbox) fn gather() -> Result<Self, Failure> {
        let nodes = NAMES
            .iter()
            .map(|name| Ok((*name, clone_of(&format!("/dev/{name}"))?)));
        Ok(Self {
            dev: file_system("tmpfs", &[("mode", "0755"), ("size", "1m")])?,
            pts: file_system("devpts", &[("ptmxmode", "0666"), ("mode", "0620")])?,
            shm: file_system("tmpfs", &[("mode", "1777"), ("size", "64m")])?,
            nodes: nodes.collect::<Result<_, Failure>>()?,
        })
    }

    pub(in crate::sandbox) fn show(&self) -> Result<(), Failure> {
        attach_in_new_folder(&self.dev, "/dev")?;
        for (name, tree) in &self.nodes {
            let path = format!("/dev/{name}");
            fs::File::create(&path).map_err(Failure::io("creating", &path))?;
            attach(tree, Path::new(&path))?;
        }
        for (name, target) in LINKS {
            let path = format!("/dev/{name}");
            symlink(target, &path).map_err(Failure::io("creating", &path))?;
        }
        attach_in_new_folder(&self.pts, "/dev/pts")?;
        attach_in_new_folder(&self.shm, "/dev/shm")
    }
}
