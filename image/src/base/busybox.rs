//! `Bootstrap: busybox`: one program that is many is the base.
//!
//! It is downloaded here and runs in the image alone, where it makes the links to itself.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#busybox-bootstrap-agent>

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;
use url::Url;

use super::download::Downloader;
use super::installer::check_address;
use super::{Base, Bootstrapper};
use crate::engine::Event;
use crate::error::Error;
use crate::sandbox::{Network, ScriptRun, Section, run_script};

/// No busybox is larger.
const LARGEST: u64 = 64 << 20;
const MAGIC: &[u8; 4] = b"\x7fELF";
const FOLDERS: [&str; 8] = [
    "bin", "sbin", "etc", "root", "usr", "usr/bin", "usr/sbin", "var",
];
const FILES: [(&str, &str); 3] = [
    ("etc/passwd", "root:!:0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/hosts", "127.0.0.1   localhost\n"),
];

/// Downloads the program and gives it all of its names.
pub(super) fn bootstrap(
    bootstrapper: &mut Bootstrapper<'_>,
    mirror_url: &str,
) -> Result<Base, Error> {
    check_address("MirrorURL", mirror_url)?;
    let program = download(bootstrapper, mirror_url)?;
    let tree = tree(&program).map_err(Error::io("reading", program.path()))?;
    bootstrapper.apply(&mut tree.as_slice(), None)?;
    install_links(bootstrapper, mirror_url)?;
    Ok(Base {
        reference: Some((format!("busybox:{mirror_url}"), None)),
        ..Base::default()
    })
}

fn download(bootstrapper: &Bootstrapper<'_>, mirror_url: &str) -> Result<NamedTempFile, Error> {
    bootstrapper.say(&format!("downloading {mirror_url}"));
    let folder = bootstrapper.workspace.path();
    let mut file =
        NamedTempFile::new_in(folder).map_err(Error::io("creating a file in", folder))?;
    let not_a_program = |why: &str| Error::Base {
        message: format!("MirrorURL {mirror_url} is not a busybox: {why}"),
        help: Some("it should be the address of the program itself, linked statically".to_owned()),
    };
    let url = Url::parse(mirror_url).map_err(|error| not_a_program(&error.to_string()))?;
    let mut downloader = Downloader::new(bootstrapper.cancel)?;
    downloader.most_bytes = Some(LARGEST);
    downloader.file(&url, &mut file, &|_, _| {})?;
    let mut magic = [0; 4];
    if file.as_file().read_exact_at(&mut magic, 0).is_err() || &magic != MAGIC {
        return Err(not_a_program("it is not a program"));
    }
    Ok(file)
}

/// The program and the few files that there have to be, as a tar archive.
fn tree(program: &NamedTempFile) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for folder in FOLDERS {
        let mut header = header(EntryType::Directory, 0o755, 0);
        archive.append_data(&mut header, folder, io::empty())?;
    }
    for (name, text) in FILES {
        let mut header = header(EntryType::Regular, 0o644, text.len() as u64);
        archive.append_data(&mut header, name, text.as_bytes())?;
    }
    let program = File::open(program.path())?;
    let size = program.metadata()?.len();
    let mut header = header(EntryType::Regular, 0o755, size);
    archive.append_data(&mut header, "bin/busybox", program.take(size))?;
    archive.into_inner()
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn install_links(bootstrapper: &Bootstrapper<'_>, mirror_url: &str) -> Result<(), Error> {
    let run = ScriptRun {
        section: Section::Post,
        command: ["/bin/busybox", "--install", "/bin"]
            .map(str::to_owned)
            .to_vec(),
        body: None,
        environment: Vec::new(),
        context: None,
        binds: &[],
        network: Network::None,
        limits: bootstrapper.request.limits,
    };
    let mut output = |bytes: &[u8]| (bootstrapper.events)(Event::Output(bytes));
    match run_script(
        bootstrapper.workspace,
        &run,
        &mut output,
        bootstrapper.cancel,
    ) {
        Err(Error::Script { status, .. }) => Err(Error::Base {
            message: format!(
                "MirrorURL {mirror_url} is not a busybox: it ended with exit status {status} \
                 instead of installing itself"
            ),
            help: None,
        }),
        other => other,
    }
}
