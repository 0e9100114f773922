//! Definitions of several stages, and the two forms that an image has.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use cooperage_image::oci::Registries;
use cooperage_image::sandbox::{Identity, Network};
use cooperage_image::{
    BuiltImage, Cancel, Context, Engine, Error, Event, Output, Request, Roots, Settings,
};
use tempfile::TempDir;

use crate::Case;
use crate::machine::{IDENTITIES, is_empty};

pub(crate) const CASES: &[Case] = &[
    (
        "files of a stage are copied with owners, modes and links",
        files_of_a_stage_are_copied,
    ),
    (
        "files of a stage keep owners and capabilities",
        owners_and_capabilities_are_copied,
    ),
    (
        "a file that a stage does not have is named with its line",
        a_missing_file_of_a_stage_is_named,
    ),
    (
        "hostile links of either stage lead nowhere",
        hostile_links_lead_nowhere,
    ),
    (
        "a sandbox belongs to who built it",
        a_sandbox_belongs_to_its_builder,
    ),
    (
        "only a sandbox is replaced, and only when asked",
        only_a_sandbox_is_replaced,
    ),
    (
        "an image built to a device leaves it as it is",
        an_image_can_go_to_a_device,
    ),
    (
        "a build that fails leaves no sandbox",
        a_failed_build_leaves_nothing,
    ),
];

/// A place for builds, with a context that holds busybox.
pub(crate) struct Place {
    pub(crate) folder: TempDir,
    identity: Identity,
    pub(crate) network: Network,
    pub(crate) roots: Roots,
}

pub(crate) const BUSYBOX: &str = "
%files
    /bin/busybox /bin/busybox
    /bin/busybox /bin/sh
";

impl Place {
    pub(crate) fn new(identity: Identity) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            identity,
            network: Network::None,
            roots: Roots::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn request(&self, definition: &str, output: Output) -> Request {
        let folder = self.folder.path().to_owned();
        let context = Context::Anywhere { folder };
        Request::new("Singularity", definition.into(), context, output)
    }

    /// Builds, and tells everything that was said meanwhile.
    pub(crate) fn build(&self, request: &Request) -> (Result<BuiltImage, Error>, String) {
        let engine = Engine::new(Settings {
            cache: self.path("cache"),
            scratch: self.path("scratch"),
            registries: Registries::default(),
            sources: cooperage_image::Sources::default(),
            identity: self.identity,
            network: self.network,
            environment: std::collections::BTreeMap::new(),
            roots: self.roots,
        });
        let log = std::sync::Mutex::new(Vec::new());
        let listen = |event: Event<'_>| {
            let mut log = log.lock().unwrap();
            match event {
                Event::Info(line) | Event::Warning(line) => {
                    log.extend_from_slice(line.as_bytes());
                    log.push(b'\n');
                }
                Event::Output(bytes) => log.extend_from_slice(bytes),
                _ => {}
            }
        };
        let built = engine.build(request, &listen, &Cancel::default());
        let log = String::from_utf8_lossy(&log.lock().unwrap()).into_owned();
        let scratch = self.path("scratch");
        assert!(!scratch.exists() || is_empty(&scratch), "a tree is left");
        (built, log)
    }

    pub(crate) fn sandbox(&self, definition: &str) -> (Result<BuiltImage, Error>, String) {
        let output = Output::Sandbox(self.path("sandbox"));
        self.build(&self.request(definition, output))
    }
}

fn two_stages(first: &str, second: &str) -> String {
    format!(
        "Bootstrap: scratch\nStage: first\n{BUSYBOX}{first}\n\
         Bootstrap: scratch\nStage: second\n{BUSYBOX}{second}\n"
    )
}

fn files_of_a_stage_are_copied() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        let definition = two_stages(
            r"
%post
    bb=/bin/busybox
    $bb mkdir -p /original /copy /foo /bar /deep/sub
    echo file > /original/a_file
    $bb ln -s /original/a_file /copy/a_file
    $bb ln -s ../bar /foo/bar
    $bb ln -s a_file /original/relative
    $bb ln /original/a_file /original/hard
    $bb chmod 4751 /original/a_file
    echo bar > /bar/in_bar
    $bb ln -s /bar /link_to_bar
    $bb touch /deep/sub/.wh.a_file /deep/x.py /deep/y.py
",
            r#"
%files from first
    /original /copy
    /copy/a_file /first_level
    /foo
    /link_to_bar /taken/
    /deep/*.py /python/
    /deep/sub
%setup
    test -L "$SINGULARITY_ROOTFS/foo/bar" && echo copied before setup
%post
    set -- $(/bin/busybox stat -c '%a %h' /copy/a_file)
    test "$*" = '4751 2'
    test "$(/bin/busybox readlink /copy/relative)" = a_file
    test "$(/bin/busybox readlink /foo/bar)" = ../bar
    test -f /first_level && ! test -L /first_level
    test -f /taken/link_to_bar/in_bar
    test -f /python/x.py -a -f /python/y.py
    test -f /deep/sub/.wh.a_file
"#,
        );

        let (built, log) = place.sandbox(&definition);

        assert!(built.is_ok(), "{identity:?} {built:?}: {log}");
        assert!(log.contains("stage 2 of 2 (second)"), "{log}");
        assert!(log.contains("copied before setup"), "{log}");
        let stored = place.path("sandbox/.singularity.d/Singularity");
        assert_eq!(fs::read_to_string(stored).unwrap(), definition);
    }
}

/// Needs a range of ids.
fn owners_and_capabilities_are_copied() {
    let place = Place::new(Identity::Auto);
    let definition = two_stages(
        "
%setup
    cp /bin/busybox $APPTAINER_ROOTFS/tool
    setcap cap_net_raw+ep $APPTAINER_ROOTFS/tool
%post
    /bin/busybox mkdir /data
    echo x > /data/file
    /bin/busybox chown 33:44 /data/file
    /bin/busybox chown -h 55:66 /data
",
        "
%files from first
    /tool
    /data
%setup
    getcap $APPTAINER_ROOTFS/tool
%post
    /bin/busybox stat -c '%u:%g %n' /data /data/file
",
    );

    let (built, log) = place.sandbox(&definition);

    assert!(built.is_ok(), "{built:?}: {log}");
    for told in [
        "tool cap_net_raw=ep",
        "\n55:66 /data\n",
        "\n33:44 /data/file\n",
    ] {
        assert!(log.contains(told), "{told}: {log}");
    }
}

fn a_missing_file_of_a_stage_is_named() {
    let place = Place::new(Identity::Auto);
    let definition = two_stages("", "\n%files from first\n    /no/such /x\n");

    let (built, _) = place.sandbox(&definition);

    let error = built.unwrap_err();
    let told = "stage 2 of 2 (second): /no/such is not in stage first";
    assert_eq!(error.to_string(), told);
    let line = definition
        .lines()
        .position(|line| line.contains("/no/such"));
    assert!(
        matches!(error, Error::At { line: at, .. } if Some(at as usize) == line.map(|n| n + 1)),
        "{error:?}"
    );
}

fn hostile_links_lead_nowhere() {
    let place = Place::new(Identity::Auto);
    fs::create_dir(place.path("outside")).unwrap();
    fs::write(place.path("outside/secret"), "secret").unwrap();
    let outside = place.path("outside").display().to_string();
    let first = format!(
        "\n%post\n    /bin/busybox ln -s {outside}/secret /secret\n    \
         /bin/busybox ln -s ../../../../../../../../..{outside} /up\n    echo x > /x\n"
    );

    for line in ["/secret /stolen", "/up/secret /stolen", "/up /stolen"] {
        let (built, _) = place.sandbox(&two_stages(
            &first,
            &format!("\n%files from first\n    {line}\n"),
        ));
        assert!(built.is_err(), "{line}");
    }
    let second = format!(
        "{first}    /bin/busybox ln -s {outside} /out\n\
         Bootstrap: scratch\n%files from second\n    /out /x\n"
    );
    let (built, _) = place.sandbox(&two_stages(&first, &second));
    assert!(built.is_err());

    // A folder that is a link out of the tree is one into the tree.
    let linked = two_stages(
        &first,
        &format!("\n%setup\n    /bin/busybox true\n%files from first\n    /x {outside}/planted\n"),
    );
    let (built, log) = place.sandbox(&linked);
    assert!(built.is_ok(), "{built:?} {log}");
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 1);
}

fn a_sandbox_belongs_to_its_builder() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        let definition = format!(
            "Bootstrap: scratch\n{BUSYBOX}\n%post\n    /bin/busybox mkdir -m 0555 /locked\n    \
             echo in > /locked/file\n    /bin/busybox chmod 0400 /locked/file\n"
        );

        let (built, log) = place.sandbox(&definition);

        let built = built.unwrap_or_else(|error| panic!("{error}: {log}"));
        assert!(built.file.is_none());
        let file = place.path("sandbox/locked/file");
        let found = fs::metadata(&file).unwrap();
        let me = fs::metadata(place.folder.path()).unwrap();
        assert_eq!(found.uid(), me.uid());
        assert_eq!(found.permissions().mode() & 0o777, 0o400);
        let is_root = me.uid() == 0;
        assert!(is_root || log.contains("--fix-perms"), "{log}");
        assert_eq!(left_beside(place.folder.path()), Vec::<String>::new());
        let unlocked = fs::Permissions::from_mode(0o755);
        fs::set_permissions(place.path("sandbox/locked"), unlocked).unwrap();
    }
}

fn only_a_sandbox_is_replaced() {
    let place = Place::new(Identity::Auto);
    let definition = format!("Bootstrap: scratch\n{BUSYBOX}");
    let folder = place.path("sandbox");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("thesis.tex"), "years of work").unwrap();
    let mut request = place.request(&definition, Output::Sandbox(place.path("sandbox/")));

    let refused = place.build(&request).0.unwrap_err().to_string();
    assert!(refused.contains("is not a sandbox"), "{refused}");
    assert!(folder.join("thesis.tex").exists());

    request.overwrite = true;
    place.build(&request).0.unwrap();
    assert!(folder.join(".singularity.d").is_dir() && !folder.join("thesis.tex").exists());

    request.overwrite = false;
    let refused = place.build(&request).0.unwrap_err();
    assert!(matches!(refused, Error::Exists(_)), "{refused}");
    assert_eq!(left_beside(place.folder.path()), Vec::<String>::new());
}

fn an_image_can_go_to_a_device() {
    let place = Place::new(Identity::Auto);
    let definition = format!("Bootstrap: scratch\n{BUSYBOX}");
    let before = fs::metadata("/dev/null").unwrap();

    let request = place.request(&definition, Output::Sif("/dev/null".into()));
    let built = place.build(&request).0.unwrap();

    let after = fs::metadata("/dev/null").unwrap();
    assert_eq!((before.ino(), before.rdev()), (after.ino(), after.rdev()));
    assert!(built.file.is_some_and(|file| file.layout.size() > 0));
}

fn a_failed_build_leaves_nothing() {
    let place = Place::new(Identity::Auto);

    let (built, _) = place.sandbox(&format!(
        "Bootstrap: scratch\n{BUSYBOX}\n%test\n    exit 3\n"
    ));

    assert!(matches!(built, Err(Error::Script { status: 3, .. })));
    assert!(!place.path("sandbox").exists());
    assert_eq!(left_beside(place.folder.path()), Vec::<String>::new());
}

/// Temporary folders that are still there.
fn left_beside(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with('.')).collect()
}
