//! The images of Singularity 2 and the commands that write into them: an ext3 file system behind a
//! line of text, as large as it was made, or a plain folder.
//!
//! Nothing is mounted: a file system is made from a tree by `mke2fs`, as any user, and an image is
//! replaced when its successor is complete.

mod corrections;
mod create;
mod expand;
mod export;
mod file_system;
mod fill;
mod import;
mod target;

pub use self::create::{Create, create};
pub use self::expand::Expand;
pub use self::file_system::LAUNCH_LINE;
pub(crate) use self::fill::Content;
pub use self::import::Source;
pub(crate) use self::target::Target;
