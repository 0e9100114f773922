//! What of the machine a script sees that runs with the machine's programs.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::{CONTEXT, ROOTFS, clone_of};
use crate::sandbox::failure::Failure;

/// What `%setup` sees of the machine: its programs and what they need, nobody's data.
const HOST_FOLDERS: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
];
const HOST_SETTINGS: [&str; 24] = [
    "alternatives",
    "apt/trusted.gpg.d",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "gai.conf",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki",
    "protocols",
    "resolv.conf",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
];

/// What `%setup` is shown.
pub(super) struct Host {
    pub(super) folders: Vec<(String, OwnedFd)>,
    pub(super) links: Vec<(String, PathBuf)>,
    pub(super) rootfs: OwnedFd,
    pub(super) context: Option<OwnedFd>,
}

impl Host {
    /// Takes hold of everything, as long as the machine's tree is the root directory.
    pub(super) fn gather() -> Result<Self, Failure> {
        let settings = HOST_SETTINGS.iter().map(|name| format!("/etc/{name}"));
        let paths = HOST_FOLDERS
            .iter()
            .map(|path| (*path).to_owned())
            .chain(settings);
        let (mut folders, mut links) = (Vec::new(), Vec::new());
        for path in paths {
            match fs::read_link(&path) {
                Ok(target) if !path.ends_with("/resolv.conf") => links.push((path, target)),
                _ if Path::new(&path).exists() => {
                    let tree = clone_of(&path)?;
                    folders.push((path, tree));
                }
                _ => {}
            }
        }
        let has_context = Path::new(CONTEXT).is_dir();
        let context = if has_context {
            Some(clone_of(CONTEXT)?)
        } else {
            None
        };
        Ok(Self {
            folders,
            links,
            rootfs: clone_of(ROOTFS)?,
            context,
        })
    }
}
