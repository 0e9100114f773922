//! What a request may ask for besides an image: binds, an update, fewer sections, another machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use cooperage_image::sandbox::{Bind, Identity};
use cooperage_image::{Error, Output, Permissions};

use crate::Case;
use crate::machine::IDENTITIES;
use crate::stages::{BUSYBOX, Place};

pub(crate) const CASES: &[Case] = &[
    ("scripts see what is bound into them", binds_are_seen),
    (
        "a bind that has no place in the image is refused",
        binds_need_a_place,
    ),
    (
        "a sandbox is updated by a definition without a header",
        a_sandbox_is_updated,
    ),
    ("only chosen sections count", only_chosen_sections_count),
    (
        "files of a base that its owner may not read are fixed when asked",
        permissions_are_fixed,
    ),
    (
        "scripts for another machine are refused before anything is fetched",
        another_machine_is_refused,
    ),
    (
        "what goes wrong in one of several stages is told with its name",
        stages_are_named,
    ),
];

fn bind(place: &Place, target: &str, read_only: bool) -> Bind {
    Bind {
        source: place.path("shared"),
        target: target.into(),
        read_only,
    }
}

fn binds_are_seen() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        fs::create_dir(place.path("shared")).unwrap();
        // The sandbox of who is root has less rights than its caller.
        fs::set_permissions(place.path("shared"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(place.path("shared/in"), "from outside").unwrap();
        let definition = format!(
            "Bootstrap: scratch\n{BUSYBOX}\n%setup\n    mkdir $APPTAINER_ROOTFS/rw $APPTAINER_ROOTFS/ro\n\
             %post\n    test \"$(/bin/busybox cat /ro/in)\" = 'from outside'\n    \
             echo out > /rw/out\n    ! echo x > /ro/x\n\
             %test\n    test -f /ro/out\n"
        );
        let mut request = place.request(&definition, Output::Sandbox(place.path("sandbox")));
        request.binds = vec![bind(&place, "/rw", false), bind(&place, "/ro", true)];

        let (built, log) = place.build(&request);

        assert!(built.is_ok(), "{built:?}: {log}");
        let written = fs::read_to_string(place.path("shared/out")).unwrap();
        assert_eq!(written, "out\n");
        let left = fs::read_dir(place.path("sandbox/rw")).unwrap().count();
        assert_eq!(left, 0, "what is bound is not in the image");
    }
}

fn binds_need_a_place() {
    let place = Place::new(Identity::Auto);
    fs::create_dir(place.path("shared")).unwrap();
    let definition = format!("Bootstrap: scratch\n{BUSYBOX}\n%post\n    true\n");
    let mut request = place.request(&definition, Output::Sandbox(place.path("sandbox")));
    request.binds = vec![bind(&place, "/no/such", false)];

    let (built, log) = place.build(&request);

    let error = built.unwrap_err().to_string();
    assert!(error.contains("/no/such"), "{error}: {log}");
}

fn a_sandbox_is_updated() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        let first = format!(
            "Bootstrap: scratch\n{BUSYBOX}\n%post\n    echo first > /first\n\
             %labels\n    kept yes\n"
        );
        place.sandbox(&first).0.unwrap();
        let without_header = "%post\n    test -f /first\n    echo second > /second\n";
        let folder = place.path("sandbox");

        let (built, log) = place.build(&place.request(without_header, Output::Update(folder)));

        let built = built.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert!(place.path("sandbox/first").exists());
        assert!(place.path("sandbox/second").exists());
        assert_eq!(built.facts.labels["kept"], "yes");
        // Of a build that begins anew, nothing can be made without a base.
        let (built, _) = place.build(&place.request(without_header, Output::Sif("x.sif".into())));
        assert!(matches!(built, Err(Error::Definition(_))), "{built:?}");
        let two = format!("{without_header}Bootstrap: scratch\n{BUSYBOX}");
        let (built, _) = place.build(&place.request(&two, Output::Update(place.path("sandbox"))));
        assert!(matches!(built, Err(Error::Definition(_))), "{built:?}");
    }
}

fn only_chosen_sections_count() {
    let place = Place::new(Identity::Auto);
    let definition = format!(
        "Bootstrap: scratch\n{BUSYBOX}\n%setup\n    exit 3\n%post\n    echo in post\n\
         %labels\n    a b\n%test\n    exit 4\n%help\n    helps\n"
    );
    let mut request = place.request(&definition, Output::Sandbox(place.path("sandbox")));
    request.parts = "files,post,labels".parse().unwrap();

    let (built, log) = place.build(&request);

    let facts = built.unwrap_or_else(|error| panic!("{error}: {log}")).facts;
    assert!(log.contains("in post"), "{log}");
    assert_eq!(facts.labels["a"], "b");
    assert_eq!((facts.help, facts.test), (None, None));
}

fn permissions_are_fixed() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        let base = format!(
            "Bootstrap: scratch\n{BUSYBOX}\n%post\n    /bin/busybox mkdir /locked\n    \
             echo in > /locked/file\n    /bin/busybox chmod 0040 /locked/file\n    \
             /bin/busybox chmod 0055 /locked\n"
        );
        let image = place.path("base.sif");
        let (built, log) = place.build(&place.request(&base, Output::Sif(image.clone())));
        assert!(built.is_ok(), "{built:?}: {log}");
        let definition = format!("Bootstrap: localimage\nFrom: {}\n", image.display());
        let mut request = place.request(&definition, Output::Sandbox(place.path("sandbox")));
        request.permissions = Permissions::Fix;

        let (built, log) = place.build(&request);

        assert!(built.is_ok(), "{built:?}: {log}");
        let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode("sandbox/locked") & 0o777, 0o755);
        assert_eq!(mode("sandbox/locked/file") & 0o777, 0o640);
    }
}

/// Holds only where no emulator of this old machine is installed.
fn another_machine_is_refused() {
    let place = Place::new(Identity::Auto);
    let definition =
        "Bootstrap: docker\nFrom: 127.0.0.1:9/no/such\n%pre\n    echo ran\n%post\n    true\n";
    let mut request = place.request(definition, Output::Sif(place.path("x.sif")));
    request.platform = Some("ppc64".parse().unwrap());

    let (built, log) = place.build(&request);

    let error = built.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, Error::Machine { .. }), "{told}");
    assert!(told.contains("scripts for ppc64"), "{told}");
    assert_eq!(log, "");
    // Without scripts, nothing of the other machine has to run.
    request.definition = b"Bootstrap: scratch\n".to_vec();
    let (built, log) = place.build(&request);
    assert!(built.is_ok(), "{built:?}: {log}");
}

fn stages_are_named() {
    let place = Place::new(Identity::Auto);
    let definition = format!(
        "Bootstrap: scratch\nStage: first\n{BUSYBOX}\n%post\n    exit 3\n\
         Bootstrap: scratch\n{BUSYBOX}"
    );

    let error = place.sandbox(&definition).0.unwrap_err();

    let told = "stage 1 of 2 (first): %post ended with exit status 3";
    assert_eq!(error.to_string(), told);
}
