//! The table of conformance: cases in TOML below `tests/conformance/`, each played by our program,
//! by Apptainer on our image, and by Apptainer alone.
//!
//! A case is a folder of files and a list of steps, lines of shell in which `$build` is the builder
//! (`cooperage build` or `apptainer build`) and `$use` the runtime (`cooperage` or `apptainer`);
//! `$peer NAME` is another program of Apptainer's.
//! What Apptainer alone does shows that the expectation is right; what it does with our image shows
//! that the image is right; what our program does with it, that the program is.

mod play;
mod report;
mod table;

pub use play::{Player, Verdict};
pub use report::{Row, render};
pub use table::{Case, Cast, Step, read};
