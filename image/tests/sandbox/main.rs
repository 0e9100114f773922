//! Scripts and tasks in real namespaces. Run as root or as an ordinary user; needs the Debian
//! packages busybox-static and squashfs-tools.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by a harness that these do not have"
)]

mod debian;
mod files;
mod images;
mod limits;
mod machine;
mod overlay;
mod requests;
mod scripts;
mod squashfs;
mod stages;
mod steps;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

type Case = (&'static str, fn());

fn main() -> ExitCode {
    cooperage_image::sandbox::enter_if_asked();

    let cases = [
        scripts::CASES,
        limits::CASES,
        files::CASES,
        squashfs::CASES,
        debian::CASES,
        stages::CASES,
        overlay::CASES,
        images::CASES,
        steps::CASES,
        requests::CASES,
    ];
    let trials = cases.concat().into_iter().map(|(name, case)| {
        Trial::test(name.replace(' ', "_"), move || {
            case();
            Ok(())
        })
    });
    let mut arguments = Arguments::from_args();
    // Limits are looked at while other cases would use the same processors.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}
