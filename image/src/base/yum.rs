//! `Bootstrap: yum` and `Bootstrap: dnf`: a repository of rpm packages is the base.
//!
//! The rpm database is written to `/var/lib/rpm` by the machine's rpm. A release whose own rpm looks
//! elsewhere or is older than the machine's does not read it: run `rpm --rebuilddb` in `%post`.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#yum-bootstrap-agent>

use super::installer::{self, Installer, check_address, check_word, with_version};
use super::{Base, Bootstrapper};
use crate::definition::Yum;
use crate::error::Error;

const SCRIPT: &str = concat!(
    include_str!("installers/devices.sh"),
    include_str!("installers/yum.sh")
);
/// What is installed in any case: it makes a release recognizable, and usable.
const ALWAYS: [&str; 2] = ["/etc/redhat-release", "coreutils"];

/// Installs the base packages of the repository, and what the header includes.
pub(super) fn bootstrap(bootstrapper: &Bootstrapper<'_>, yum: &Yum) -> Result<Base, Error> {
    let installer = installer(yum)?;
    installer::require(&["dnf", "yum"], "dnf")?;
    installer::install(bootstrapper, installer)
}

fn installer(yum: &Yum) -> Result<Installer, Error> {
    let version = yum.os_version.as_deref().unwrap_or_default();
    let mut arguments = Vec::new();
    if !version.is_empty() {
        check_word("OSVersion", version, "")?;
        arguments.push(format!("--releasever={version}"));
    }
    for option in &yum.setopt {
        check_option(option)?;
        arguments.push(format!("--setopt={option}"));
    }
    arguments.push("install".to_owned());
    arguments.extend(ALWAYS.map(str::to_owned));
    for package in &yum.include {
        check_word("Include", package, "+@/:*~^=")?;
        arguments.push(package.clone());
    }
    let base = with_version("MirrorURL", &yum.mirror_url, version)?;
    let update = yum.update_url.as_deref();
    let update = update.map(|url| with_version("UpdateURL", url, version));
    Ok(Installer {
        program: "dnf",
        command: installer::script(SCRIPT, arguments),
        reference: format!("yum:{version} {base}"),
        variables: vec![
            ("BASE_URL", base),
            ("UPDATE_URL", update.transpose()?.unwrap_or_default()),
            ("GPG_URL", key(yum.gpg.as_deref())?),
        ],
        keys: "OSVersion, MirrorURL and Include",
    })
}

fn check_option(option: &str) -> Result<(), Error> {
    let name = option.split_once('=').map(|(name, _)| name);
    if name.is_some_and(|name| check_word("Setopt", name, "*").is_ok()) {
        return Ok(());
    }
    Err(Error::Base {
        message: format!("Setopt has {option:?}, which is not NAME=VALUE"),
        help: Some("write Setopt: install_weak_deps=False".to_owned()),
    })
}

/// A key that came over plain http would prove nothing.
fn key(address: Option<&str>) -> Result<String, Error> {
    let Some(address) = address else {
        return Ok(String::new());
    };
    check_address("GPG", address)?;
    if address.starts_with("https://") {
        return Ok(address.to_owned());
    }
    Err(Error::Base {
        message: format!("GPG {address} does not begin with https://"),
        help: Some("a key has to come from where nobody can exchange it".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Yum {
        Yum {
            os_version: Some("9".to_owned()),
            mirror_url: "http://mirror.example.org/%{OSVERSION}/%{osversion}/$basearch".to_owned(),
            update_url: None,
            include: vec!["@^minimal-environment".to_owned(), "gcc-c++".to_owned()],
            setopt: vec!["install_weak_deps=False".to_owned()],
            gpg: None,
        }
    }

    #[test]
    fn a_plain_release_is_accepted() {
        let installer = installer(&release()).unwrap();

        let has = |word: &str| installer.command.contains(&word.to_owned());
        assert!(has("--releasever=9") && has("gcc-c++") && has("--setopt=install_weak_deps=False"));
        let base = "http://mirror.example.org/9/9/$basearch".to_owned();
        assert!(installer.variables.contains(&("BASE_URL", base)));
    }

    #[test]
    fn options_do_not_hide_in_names() {
        for word in ["--installroot=/", "-c/etc/passwd", "a b", "", "x\ny"] {
            let words = vec![word.to_owned()];
            let by_version = Yum {
                os_version: Some(format!(" {word}")),
                ..release()
            };
            let by_package = Yum {
                include: words.clone(),
                ..release()
            };
            let by_option = Yum {
                setopt: words,
                ..release()
            };
            for yum in [by_version, by_package, by_option] {
                assert!(installer(&yum).is_err(), "{word:?}");
            }
        }
    }

    #[test]
    fn a_mirror_that_is_a_file_or_a_line_and_a_key_without_https_are_refused() {
        for url in ["file:///etc", "/etc", "http://a\ngpgcheck=0", "-"] {
            let mirror = Yum {
                mirror_url: url.to_owned(),
                ..release()
            };
            assert!(installer(&mirror).is_err(), "{url}");
            let key = Yum {
                gpg: Some(url.to_owned()),
                ..release()
            };
            assert!(installer(&key).is_err(), "{url}");
        }
        let plain = Yum {
            gpg: Some("http://mirror.example.org/key".to_owned()),
            ..release()
        };
        assert!(installer(&plain).is_err());
    }
}
