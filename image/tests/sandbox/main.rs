//! Scripts and tasks in real namespaces. Run as root or as an ordinary user; needs the Debian
//! packages busybox-static and squashfs-tools-ng.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by a harness that these do not have"
)]

mod debian;
mod files;
mod limits;
mod machine;
mod run;
mod scripts;
mod squashfs;

use std::panic;
use std::process::ExitCode;

type Case = (&'static str, fn());

fn main() -> ExitCode {
    cooperage_image::sandbox::enter_if_asked();

    let filter = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let cases = [
        scripts::CASES,
        limits::CASES,
        files::CASES,
        squashfs::CASES,
        debian::CASES,
        run::CASES,
    ]
    .concat();
    let chosen = cases
        .iter()
        .filter(|(name, _)| filter.as_ref().is_none_or(|f| name.contains(f)));
    let mut failed = Vec::new();
    for (name, case) in chosen {
        let is_good = panic::catch_unwind(case).is_ok();
        println!("test {name} ... {}", if is_good { "ok" } else { "FAILED" });
        if !is_good {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
