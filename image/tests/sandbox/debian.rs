//! A whole Debian from the mirror that this machine uses, and packages installed in it.

use std::process::Command;

use cooperage_image::base::debootstrap::{self, Surroundings};
use cooperage_image::definition::Debootstrap;
use cooperage_image::sandbox::{Identity, Namespace, Network, Section, Workspace};
use cooperage_image::{Cancel, Limits, Output};

use crate::Case;
use crate::machine::Machine;
use crate::stages::Place;

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

const PACKAGES: &str = "
    apt-get update
    apt-get install -y --no-install-recommends openssh-client
    useradd -m alice
    chown alice /home/alice
    groupadd staff2
    ldconfig
    ssh -V
";

fn with_many_ids() {
    install(Identity::Auto);
}

/// The engine's whole line, with a library where only the cache of libraries finds it.
fn with_one_id() {
    let mut place = Place::new(Identity::Single);
    place.network = Network::Host;
    let (mirror, release) = mirror();
    let definition = format!(
        "Bootstrap: debootstrap\nMirrorURL: {mirror}\nOSVersion: {release}\nInclude: netbase\n\
         %post\n{PACKAGES}    mkdir /opt/lib\n    cp /lib/*/libz.so.1 /opt/lib\n    \
         echo /opt/lib > /etc/ld.so.conf.d/ours.conf\n    rm -r /var/cache/ldconfig\n\
         %test\n    /sbin/ldconfig -p | grep /opt/lib/libz.so.1\n    \
         ! test -e /var/cache/ldconfig/aux-cache\n"
    );

    let (built, log) = place.build(&place.request(&definition, Output::Sif(place.path("x.sif"))));

    assert!(built.is_ok(), "{built:?}: {log}");
    assert!(log.contains("OpenSSH_"), "{log}");
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

    let said = machine.run(Section::Post, PACKAGES).said();
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
