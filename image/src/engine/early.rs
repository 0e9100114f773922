//! What a machine must be able to do for a build is looked at before anything is downloaded or run.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sys::statvfs::{FsFlags, statvfs};

use super::request::Test;
use super::stage::StageBuild;
use crate::definition::{Bootstrap, Stage};
use crate::error::Error;
use crate::metadata::{head_of_program, post_with_apps};
use crate::oci::Platform;

/// Size of the whole head of a 64-bit ELF file.
const ELF_HEAD: usize = 64;

impl StageBuild<'_> {
    /// Makes sure that programs can be run in the scratch folder, and that they are for this
    /// machine or another that it can stand for, if any stage has programs to run.
    pub(super) fn check_machine(&self) -> Result<(), Error> {
        let test = self.order.request.test;
        let mut stages = self.order.definition.stages.iter();
        if !stages.any(|stage| runs_programs(stage, test)) {
            return Ok(());
        }
        let scratch = &self.order.settings.scratch;
        let found = statvfs(scratch.as_path()).map_err(io::Error::from);
        let found = found.map_err(Error::io("using", scratch))?;
        refuse_noexec(scratch, found.flags())?;
        match &self.order.request.platform {
            Some(platform) => require_emulator(platform, self.workspace.path()),
            None => Ok(()),
        }
    }
}

/// Whether anything in the image is run.
fn runs_programs(stage: &Stage, test: Test) -> bool {
    let is_installed = matches!(
        stage.header.bootstrap,
        Bootstrap::Debootstrap(_)
            | Bootstrap::Yum(_)
            | Bootstrap::Zypper(_)
            | Bootstrap::Arch(_)
            | Bootstrap::Busybox { .. }
    );
    let script = stage.sections.test.as_ref();
    let is_tested = test != Test::Skip && script.is_some_and(|script| !script.is_blank());
    is_installed || is_tested || post_with_apps(stage).is_some()
}

fn refuse_noexec(scratch: &Path, mounted: FsFlags) -> Result<(), Error> {
    if !mounted.contains(FsFlags::ST_NOEXEC) {
        return Ok(());
    }
    let scratch = scratch.display();
    Err(Error::Machine {
        message: format!("{scratch} is mounted noexec: no script of a build can run there"),
        help: Some("name a scratch folder on another file system".to_owned()),
    })
}

/// Runs what is the beginning of a program for the other machine: a kernel that has an emulator
/// for it starts that, and any other refuses.
fn require_emulator(platform: &Platform, folder: &Path) -> Result<(), Error> {
    let host = Platform::host();
    let pair = (host.architecture(), platform.architecture());
    let is_close = matches!(pair, ("amd64", "386") | ("arm64", "arm"));
    let head = head_of_program(platform.architecture());
    let Some(head) = head.filter(|_| pair.0 != pair.1 && !is_close) else {
        return Ok(());
    };
    if can_start(&head, folder).map_err(Error::io("trying a program in", folder))? {
        return Ok(());
    }
    let (host, foreign) = pair;
    Err(Error::Machine {
        message: format!("scripts for {foreign} cannot run on this machine, which is {host}"),
        help: Some(format!(
            "build on a machine with {foreign}, or install its emulator (qemu-user-static and \
             binfmt-support); without scripts, an image for {foreign} can be built here"
        )),
    })
}

fn can_start(head: &[u8], folder: &Path) -> io::Result<bool> {
    let mut program = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o700))
        .tempfile_in(folder)?;
    program.write_all(head)?;
    program.write_all(&[0; ELF_HEAD][head.len()..])?;
    // A file that is open for writing cannot be started.
    let path = program.into_temp_path();
    let started = Command::new(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let refused = started.err().and_then(|error| error.raw_os_error());
    Ok(refused != Some(Errno::ENOEXEC as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_where_no_program_can_run_is_refused() {
        let scratch = Path::new("/scratch");
        let refused = refuse_noexec(scratch, FsFlags::ST_NOSUID | FsFlags::ST_NOEXEC);

        let error = refused.unwrap_err().to_string();
        assert!(error.contains("/scratch is mounted noexec"), "{error}");
        assert!(refuse_noexec(scratch, FsFlags::ST_NOSUID).is_ok());
    }

    #[test]
    fn a_kernel_refuses_programs_of_machines_that_nobody_emulates() {
        let folder = tempfile::tempdir().unwrap();
        // A number that no machine has.
        let mut head = head_of_program("s390x").unwrap();
        head[18..].copy_from_slice(&[0xff, 0xf0]);

        assert!(!can_start(&head, folder.path()).unwrap());
        let host = Platform::host();
        assert!(require_emulator(&host, folder.path()).is_ok());
    }
}
