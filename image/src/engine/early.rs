//! What a machine must be able to do for a build is looked at before anything is downloaded or run.

use std::fs::{Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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
        self.warn_of_binds()?;
        match &self.order.request.platform {
            Some(platform) => require_emulator(platform, self.workspace.path()),
            None => Ok(()),
        }
    }
}

impl StageBuild<'_> {
    /// Tells, once in a build, of what is bound to be written to and cannot be.
    ///
    /// # Security
    /// Root of the machine is nobody in a build. If it were not so in a folder that is bound, a
    /// script could put programs there that run with root's rights.
    fn warn_of_binds(&self) -> Result<(), Error> {
        let mut stages = self.order.definition.stages.iter();
        if !stages
            .next()
            .is_some_and(|first| std::ptr::eq(first, self.stage))
        {
            return Ok(());
        }
        let binds = self.order.request.binds.iter();
        for bind in binds.filter(|bind| !bind.read_only) {
            let source = &bind.source;
            let found = source.metadata().map_err(Error::io("binding", source))?;
            let is_ours = self.workspace.namespace().has_user(found.uid());
            if let Some(warning) = stays_as_it_is(source, &found).filter(|_| !is_ours) {
                self.warn(&warning);
            }
        }
        Ok(())
    }
}

/// What is to be said of something that belongs to nobody in the sandbox.
fn stays_as_it_is(source: &Path, found: &Metadata) -> Option<String> {
    const BY_OTHERS: u32 = 0o022;
    (found.mode() & BY_OTHERS == 0).then(|| {
        format!(
            "{} can be read in %post and %test but not written to: it belongs to user {} of this \
             machine, who is nobody in a build; bind a folder that others may write to, or say :ro",
            source.display(),
            found.uid()
        )
    })
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
    fn a_folder_of_somebody_else_is_told_unless_others_may_write_there() {
        let folder = tempfile::tempdir().unwrap();
        let said = |mode| {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            stays_as_it_is(folder.path(), &folder.path().metadata().unwrap())
        };

        let warning = said(0o755).unwrap();

        assert!(warning.contains("not written to"), "{warning}");
        assert_eq!(said(0o777), None);
        assert_eq!(said(0o775), None);
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
