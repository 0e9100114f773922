//! `Bootstrap: arch`: the repositories of an Arch Linux are the base.
//!
//! Without `ConfURL` these are Arch's own, whose packages are signed: the machine then needs Arch's
//! keys (the Debian package archlinux-keyring).
//!
//! <https://apptainer.org/docs/user/main/appendix.html#arch-bootstrap-agent>

use url::Url;

use super::download::Downloader;
use super::installer::{self, Installer, check_address, check_word};
use super::{Base, Bootstrapper};
use crate::definition::Arch;
use crate::error::Error;

const SCRIPT: &str = concat!(
    include_str!("installers/devices.sh"),
    include_str!("installers/arch.sh")
);
const ALWAYS: &str = "base";
const ARCHS_OWN: &str = "[options]\nArchitecture = auto\nSigLevel = Required DatabaseOptional\n\
    [core]\nInclude = /etc/pacman.d/mirrorlist\n[extra]\nInclude = /etc/pacman.d/mirrorlist\n";

/// Installs Arch's base package, and what the header includes.
pub(super) fn bootstrap(bootstrapper: &Bootstrapper<'_>, arch: &Arch) -> Result<Base, Error> {
    check_architecture(std::env::consts::ARCH)?;
    let arguments = packages(arch)?;
    installer::require(&["pacman"], "pacman-package-manager")?;
    let configuration = match &arch.conf_url {
        None => ARCHS_OWN.to_owned(),
        Some(url) => configuration(bootstrapper, url)?,
    };
    let from = arch.conf_url.as_deref().unwrap_or("archlinux.org");
    let installer = Installer {
        program: "pacman",
        command: installer::script(SCRIPT, arguments),
        reference: format!("arch:{from}"),
        variables: vec![("CONFIGURATION", configuration)],
        keys: "ConfURL and Include; packages that are signed need the machine to have the Debian \
               package archlinux-keyring",
    };
    installer::install(bootstrapper, installer)
}

fn check_architecture(machine: &str) -> Result<(), Error> {
    if machine == "x86_64" {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("there is no Arch Linux for {machine}"),
        help: Some("build it on an x86_64".to_owned()),
    })
}

fn packages(arch: &Arch) -> Result<Vec<String>, Error> {
    let mut packages = vec![ALWAYS.to_owned()];
    for package in &arch.include {
        check_word("Include", package, "+@=/")?;
        packages.push(package.clone());
    }
    Ok(packages)
}

fn configuration(bootstrapper: &Bootstrapper<'_>, url: &str) -> Result<String, Error> {
    check_address("ConfURL", url)?;
    let missing = || Error::Base {
        message: format!("ConfURL {url} is no configuration of pacman"),
        help: Some("write ConfURL: https://example.org/pacman.conf, or leave it out".to_owned()),
    };
    let address = Url::parse(url).map_err(|_| missing())?;
    let text = Downloader::new(bootstrapper.cancel)?.find_text(&address)?;
    text.and_then(|text| String::from_utf8(text).ok())
        .filter(|text| text.contains("[options]"))
        .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_do_not_hide_in_names() {
        for word in ["--root=/", "-S", "a b", "", "x\ny", "$(id)"] {
            let arch = Arch {
                conf_url: None,
                include: vec![word.to_owned()],
            };
            assert!(packages(&arch).is_err(), "{word:?}");
        }
    }

    #[test]
    fn an_architecture_without_an_arch_is_named() {
        assert!(check_architecture("x86_64").is_ok());
        let error = check_architecture("aarch64").unwrap_err().to_string();
        assert!(error.contains("aarch64"), "{error}");
    }
}
