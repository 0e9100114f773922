//! `Bootstrap: zypper`: a SUSE's repositories are the base.
//!
//! A repository that is signed is checked with the key that it comes with. SLE is registered by
//! `SUSEConnect`, which only SUSE's own systems have; that way cannot be tested without a subscription
//! and follows SUSE's documentation.
//!
//! <https://apptainer.org/docs/user/main/appendix.html#zypper-bootstrap-agent>

use secrecy::ExposeSecret;

use super::installer::{self, Installer, check_address, check_word, with_version};
use super::{Base, Bootstrapper};
use crate::definition::{Registration, Zypper};
use crate::error::Error;

const SCRIPT: &str = concat!(
    include_str!("installers/devices.sh"),
    include_str!("installers/zypper.sh")
);
const ALWAYS: &str = "aaa_base";

/// Installs the base package of the repositories, and what the header includes.
pub(super) fn bootstrap(bootstrapper: &Bootstrapper<'_>, zypper: &Zypper) -> Result<Base, Error> {
    let installer = installer(zypper)?;
    installer::require(&["zypper"], "zypper")?;
    if zypper.registration.is_some() {
        require_registration()?;
    }
    installer::install(bootstrapper, installer)
}

fn require_registration() -> Result<(), Error> {
    installer::require(&["SUSEConnect"], "SUSEConnect").map_err(|_| Error::Machine {
        message: "SUSEConnect is not installed, and Product needs it to register a SLE".to_owned(),
        help: Some(
            "build on a SUSE that has the package SUSEConnect, or leave out Product and write \
             MirrorURL for an openSUSE"
                .to_owned(),
        ),
    })
}

fn installer(zypper: &Zypper) -> Result<Installer, Error> {
    let version = zypper.os_version.as_deref().unwrap_or_default();
    if !version.is_empty() {
        check_word("OSVersion", version, "")?;
    }
    let mut arguments = repositories(zypper, version)?;
    let from = match (&zypper.registration, arguments.first()) {
        (Some(registration), _) => registration.product.clone(),
        (None, first) => first.cloned().unwrap_or_default(),
    };
    arguments.push("--".to_owned());
    arguments.push(ALWAYS.to_owned());
    for package in &zypper.include {
        check_word("Include", package, "+:~=")?;
        arguments.push(package.clone());
    }
    let mut variables = match &zypper.registration {
        Some(registration) => registered(registration)?,
        None => [
            "PRODUCT",
            "REG_CODE",
            "REG_USER",
            "REG_URL",
            "MODULES",
            "PRODUCT_PGP",
        ]
        .map(|name| (name, String::new()))
        .to_vec(),
    };
    variables.push(("OS_VERSION", version.to_owned()));
    Ok(Installer {
        program: "zypper",
        command: installer::script(SCRIPT, arguments),
        reference: format!("zypper:{version} {from}"),
        variables,
        keys: "OSVersion, MirrorURL and Include",
    })
}

fn repositories(zypper: &Zypper, version: &str) -> Result<Vec<String>, Error> {
    let mirror = zypper.mirror_url.iter().map(|url| ("MirrorURL", url));
    let update = zypper.update_url.iter().map(|url| ("UpdateURL", url));
    let others = zypper.other_urls.iter().map(|url| ("OtherURL", url));
    mirror
        .chain(update)
        .chain(others)
        .map(|(key, url)| with_version(key, url, version))
        .collect()
}

fn registered(registration: &Registration) -> Result<Vec<(&'static str, String)>, Error> {
    check_word("Product", &registration.product, "")?;
    for module in &registration.modules {
        check_word("Modules", module, "")?;
    }
    if let Some(url) = &registration.register_url {
        check_address("RegisterURL", url)?;
    }
    if let Some(user) = &registration.user {
        check_word("User", user, "@+")?;
    }
    let code = registration.regcode.as_ref();
    let code = code.map(|code| code.expose_secret().to_owned());
    Ok(vec![
        ("PRODUCT", registration.product.clone()),
        ("REG_CODE", code.unwrap_or_default()),
        ("REG_USER", registration.user.clone().unwrap_or_default()),
        (
            "REG_URL",
            registration.register_url.clone().unwrap_or_default(),
        ),
        ("MODULES", registration.modules.join(" ")),
        (
            "PRODUCT_PGP",
            registration.product_pgp.clone().unwrap_or_default(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Zypper {
        Zypper {
            os_version: Some("15.6".to_owned()),
            mirror_url: Some("http://mirror.example.org/leap/%{OSVERSION}".to_owned()),
            update_url: None,
            other_urls: vec!["https://mirror.example.org/other".to_owned()],
            include: vec!["gcc-c++".to_owned()],
            registration: None,
        }
    }

    #[test]
    fn repositories_come_first_and_packages_behind_them() {
        let installer = installer(&release()).unwrap();

        let expected = [
            "http://mirror.example.org/leap/15.6",
            "https://mirror.example.org/other",
            "--",
            "aaa_base",
            "gcc-c++",
        ];
        assert!(installer.command.ends_with(&expected.map(str::to_owned)));
    }

    #[test]
    fn options_do_not_hide_in_names() {
        for word in ["--root=/", "-r", "a b", "", "x\ny"] {
            let by_package = Zypper {
                include: vec![word.to_owned()],
                ..release()
            };
            let by_mirror = Zypper {
                mirror_url: Some(word.to_owned()),
                ..release()
            };
            let registration = Registration {
                product: word.to_owned(),
                user: None,
                regcode: None,
                product_pgp: None,
                register_url: None,
                modules: Vec::new(),
            };
            let by_product = Zypper {
                registration: Some(registration),
                ..release()
            };
            for zypper in [by_package, by_mirror, by_product] {
                assert!(installer(&zypper).is_err(), "{word:?}");
            }
        }
    }
}
