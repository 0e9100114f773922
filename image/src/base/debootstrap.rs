//! `Bootstrap: debootstrap`: a Debian mirror is the base.
//!
//! The work is done by mmdebstrap, for debootstrap itself has to make devices. It runs in the
//! sandbox with the machine's programs read-only: the packages' own scripts, which come from a
//! mirror of the definition's choice, never have the machine's root.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#debootstrap-bootstrap-agent>

use url::Url;

use super::installer::{self, Installer};
use super::{Base, Bootstrapper};
use crate::definition::Debootstrap;
use crate::error::Error;
use crate::sandbox::{Section, Workspace};

pub use super::installer::Surroundings;

const PROGRAM: &str = "/usr/bin/mmdebstrap";
/// apt cannot become another user, and terminals cannot belong to the group of terminals: the
/// sandbox's own are shown instead of fresh ones.
const FOR_ONE_ID: [&str; 4] = [
    "--aptopt=APT::Sandbox::User \"root\"",
    "--skip=chroot/mount/dev",
    "--setup-hook=mkdir -p \"$1/dev\"; for name in null zero full random urandom tty; do \
     : > \"$1/dev/$name\" && mount --bind \"/dev/$name\" \"$1/dev/$name\"; done",
    "--customize-hook=for name in null zero full random urandom tty; do \
     umount --lazy \"$1/dev/$name\" && rm \"$1/dev/$name\"; done",
];

/// Installs the release into the tree of a build.
pub(super) fn for_build(
    bootstrapper: &Bootstrapper<'_>,
    release: &Debootstrap,
) -> Result<Base, Error> {
    let installer = installer(bootstrapper.workspace, release)?;
    installer::install(bootstrapper, installer)
}

/// Fills the empty root file system of a workspace. What the programs say goes to `output`.
pub fn bootstrap(
    workspace: &Workspace,
    release: &Debootstrap,
    surroundings: Surroundings<'_>,
    output: &mut dyn FnMut(&[u8]),
) -> Result<(), Error> {
    let installer = installer(workspace, release)?;
    installer::run(workspace, &installer, surroundings, output)
}

fn installer(workspace: &Workspace, release: &Debootstrap) -> Result<Installer, Error> {
    let command = command(release, workspace.namespace().is_single())?;
    installer::require(&["mmdebstrap"], "mmdebstrap")?;
    Ok(Installer {
        program: "mmdebstrap",
        command,
        variables: Vec::new(),
        reference: format!("debootstrap:{} {}", release.os_version, release.mirror_url),
        keys: "OSVersion, MirrorURL and Include",
    })
}

/// The packages that `debootstrap --variant=minbase` installs.
fn command(release: &Debootstrap, is_single: bool) -> Result<Vec<String>, Error> {
    let mirror = check_mirror(&release.mirror_url)?;
    check_word("OSVersion", &release.os_version, "")?;
    let mut command = vec![
        PROGRAM.to_owned(),
        "--mode=root".to_owned(),
        "--variant=minbase".to_owned(),
        format!("--architectures={}", architecture()),
        "--include=apt".to_owned(),
        "--skip=chroot/mount/sys".to_owned(),
    ];
    for package in &release.include {
        check_word("Include", package, "+:=~_")?;
        command.push(format!("--include={package}"));
    }
    if is_single {
        command.extend(FOR_ONE_ID.map(str::to_owned));
    }
    command.extend([
        release.os_version.clone(),
        Section::Bootstrap.rootfs().to_owned(),
        mirror,
    ]);
    Ok(command)
}

/// # Security
/// mmdebstrap takes files and whole lines of sources.list for a mirror as well.
fn check_mirror(mirror: &str) -> Result<String, Error> {
    let url = Url::parse(mirror)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    match url {
        Some(url) if !mirror.contains(char::is_whitespace) => Ok(url.into()),
        _ => Err(Error::Base {
            message: format!("MirrorURL {mirror} is not the address of a mirror"),
            help: Some("write MirrorURL: http://mirror.example.org/debian".to_owned()),
        }),
    }
}

fn check_word(key: &str, word: &str, also: &str) -> Result<(), Error> {
    let is_known = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || ".-".contains(character)
    };
    let starts_well = word.starts_with(|first: char| first.is_ascii_alphanumeric());
    if starts_well
        && word
            .chars()
            .all(|character| is_known(character) || also.contains(character))
    {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("{key} has {word:?}, which is not a name that Debian knows"),
        help: Some("names consist of lower case letters, digits, dots and hyphens".to_owned()),
    })
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "i386",
        "aarch64" => "arm64",
        "arm" => "armhf",
        "powerpc64" => "ppc64el",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Debootstrap {
        Debootstrap {
            os_version: "bookworm".to_owned(),
            mirror_url: "http://mirror.example.org/debian".to_owned(),
            include: vec!["g++".to_owned()],
        }
    }

    #[test]
    fn a_plain_release_is_accepted() {
        let command = command(&release(), false).unwrap();

        assert!(command.contains(&"--include=g++".to_owned()));
        assert_eq!(command.last().unwrap(), "http://mirror.example.org/debian");
    }

    #[test]
    fn a_mirror_that_is_a_file_or_a_line_is_refused() {
        for mirror in [
            "/etc/passwd",
            "deb [trusted=yes] http://x y",
            "copy:///x",
            "http://a b",
            "-",
        ] {
            let release = Debootstrap {
                mirror_url: mirror.to_owned(),
                ..release()
            };
            assert!(command(&release, false).is_err(), "{mirror}");
        }
    }

    #[test]
    fn options_do_not_hide_in_names() {
        for name in ["--setup-hook=id", "a b", "", "Bookworm;id"] {
            let by_version = Debootstrap {
                os_version: name.to_owned(),
                ..release()
            };
            let by_package = Debootstrap {
                include: vec![name.to_owned()],
                ..release()
            };
            assert!(command(&by_version, false).is_err(), "{name}");
            assert!(command(&by_package, false).is_err(), "{name}");
        }
    }
}
