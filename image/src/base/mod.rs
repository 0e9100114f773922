//! Where the root file system of an image comes from.

pub mod debootstrap;
pub mod localimage;
