//! A whole Debian from the mirror that this machine uses, and packages installed in it.

use std::process::Command;

use cooperage_image::base::debootstrap::{self, Surroundings};
use cooperage_image::definition::Debootstrap;
use cooperage_image::sandbox::{Identity, Namespace, Section, Workspace};
use cooperage_image::{Cancel, Limits};

use crate::Case;
use crate::machine::Machine;

pub(crate) const CASES: &[Case] = &[
    (
        "packages are installed in a debian with many ids",
        with_many_ids,
    ),
    (
        "packages are installed in a debian with one id",
        with_one_id,
    ),
];

fn with_many_ids() {
    install(Identity::Auto);
}

fn with_one_id() {
    install(Identity::Single);
}

fn install(identity: Identity) {
    let mut machine = Machine::new(identity);
    let namespace = Namespace::new(identity).unwrap();
    machine.workspace = Some(Workspace::create(machine.scratch.path(), &namespace).unwrap());
    let (mirror_url, os_version) = mirror();
    let release = Debootstrap {
        os_version,
        mirror_url,
        include: vec!["netbase".to_owned()],
    };
    let cancel = Cancel::default();
    let (limits, proxies) = (Limits::default(), Vec::new());
    let surroundings = Surroundings {
        limits,
        proxies,
        cancel: &cancel,
    };
    let mut log = Vec::new();

    let done = debootstrap::bootstrap(machine.workspace(), &release, surroundings, &mut |bytes| {
        log.extend_from_slice(bytes);
    });
    assert!(done.is_ok(), "{done:?}: {}", String::from_utf8_lossy(&log));

    let script = "apt-get update; apt-get install -y --no-install-recommends openssh-client; \
                  useradd -m alice; chown alice /home/alice; groupadd staff2; ldconfig; ssh -V";
    let said = machine.run(Section::Post, script).said();
    assert!(said.contains("OpenSSH_"), "{said}");
}

/// Mirror and release of this machine's own packages.
fn mirror() -> (String, String) {
    let format = "$(SITE) $(RELEASE) $(COMPONENT)";
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", format, "Created-By: Packages"])
        .output()
        .unwrap();
    let targets = String::from_utf8(targets.stdout).unwrap();
    let main = targets
        .lines()
        .find(|line| line.ends_with(" main") && !line.contains('-'))
        .unwrap();
    let mut words = main.split(' ').map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}
