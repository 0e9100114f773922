//! What packs a tree into the file system that lies in an image?

pub mod writer;
