//! Runs a program in an image, as users of Apptainer and Singularity expect it.
//!
//! The program that is started has the caller's own id and process: signals, exit status, streams
//! and the terminal are its own, as nobody stands between it and the caller. Only with process ids
//! of its own (`--containall`, `--pid`) two processes wait for it.
//!
//! An image's files are had in the first of these ways that works:
//!
//! 1. A folder is used in place.
//! 2. A tree that was unpacked before is used again. Its name is made of all that tells one state
//!    of a file from another (device, inode, size, times of content and inode, and the id in a
//!    SIF), so an image that was changed has another name. See [`trees`].
//! 3. A squashfs is mounted by FUSE, where the caller may use it and `squashfuse_ll` or
//!    `squashfuse` is installed.
//! 4. It is unpacked into the cache, once, by whoever comes first; also when mounting it fails.
//!
//! What the image's scripts say of the environment is found out by the image's own shell, with a
//! script of ours ([`launch.sh`](launch.sh)) in place of the image's `actions`, which differ between
//! versions. In an image without `/bin/sh` the configuration of the Docker or OCI image that it was
//! made from is used as it stands, without evaluation: its `Env`, and its `Entrypoint` and `Cmd`.

mod account;
mod bind;
mod environment;
mod files;
mod image;
mod launch;
mod options;
mod plan;
mod remote;
mod trees;

pub use crate::sandbox::container::Isolation;
pub use account::Caller;
pub use bind::{Bind, parse_binds, parse_mount};
pub use files::{Files, Ways};
pub use image::Image;
pub use launch::start;
pub use options::{Action, Contain, Home, Options, Variable, Writable};
pub use remote::Remote;
pub(crate) use trees::remove as remove_tree;
pub use trees::unpack;
