//! `%files`: what is found, where it goes, and that nothing leaves a stranger's folder.

use std::fs;
use std::os::unix::fs::symlink;

use cooperage_image::files::{self, Pair};
use cooperage_image::sandbox::{Identity, Section};
use cooperage_image::{Context, FailureKind};

use crate::Case;
use crate::machine::Machine;

pub(crate) const CASES: &[Case] = &[
    ("files are copied like cp does it", files_are_copied_like_cp),
    (
        "links in the image do not lead out",
        links_in_the_image_do_not_lead_out,
    ),
    (
        "a stranger's links do not lead out",
        a_strangers_links_do_not_lead_out,
    ),
    ("a missing source is named", a_missing_source_is_named),
    (
        "links that make files without end meet the disk limit",
        links_without_end_meet_the_limit,
    ),
];

fn files_are_copied_like_cp() {
    let machine = Machine::new(Identity::Auto);
    let context = machine.context.path();
    fs::create_dir_all(context.join("dir/sub")).unwrap();
    fs::write(context.join("dir/sub/a.txt"), "a").unwrap();
    fs::write(context.join("dir/b.txt"), "b").unwrap();
    symlink("b.txt", context.join("dir/link.txt")).unwrap();

    machine
        .copy(&[
            ("dir", "/opt/"),
            ("dir", "/renamed"),
            ("dir/*.txt", "/flat/"),
            ("dir/b.txt", ""),
        ])
        .unwrap();

    let said = machine
        .run(
            Section::Post,
            "busybox find /opt /renamed /flat /dir -type f | busybox sort",
        )
        .said();
    let expected = "/dir/b.txt\n/flat/b.txt\n/flat/link.txt\n/opt/dir/b.txt\n/opt/dir/link.txt\n\
                    /opt/dir/sub/a.txt\n/renamed/b.txt\n/renamed/link.txt\n/renamed/sub/a.txt\n";
    assert_eq!(said, expected);
}

fn links_in_the_image_do_not_lead_out() {
    let machine = Machine::new(Identity::Auto);
    let outside = machine.scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(machine.context.path().join("f"), "f").unwrap();
    let script = format!(
        "busybox ln -s {} /out; busybox ln -s ../../../../.. /up",
        outside.display()
    );
    machine.run(Section::Post, &script).said();

    let copied = machine.copy(&[("f", "/up/up-is-root"), ("f", "/out/f")]);

    assert!(copied.is_err());
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
    machine.run(Section::Post, "test -e /up-is-root").said();
}

fn a_strangers_links_do_not_lead_out() {
    let machine = Machine::new(Identity::Auto);
    let root = machine.context.path().to_owned();
    fs::create_dir(root.join("sub")).unwrap();
    fs::write(root.join("top"), "inside").unwrap();
    symlink("/etc/shadow", root.join("sub/shadow")).unwrap();
    symlink("../../../../../etc/shadow", root.join("sub/up")).unwrap();
    symlink("/top", root.join("sub/absolute")).unwrap();
    let context = Context::Confined {
        root,
        folder: "sub".into(),
    };

    for source in [
        "shadow",
        "up",
        "/etc/shadow",
        "../../../../etc/shadow",
        "/proc/self/environ",
    ] {
        assert!(
            machine.copy_from(&context, &[(source, "/stolen")]).is_err(),
            "{source}"
        );
    }
    machine
        .copy_from(
            &context,
            &[("absolute", "/a"), ("top", "/b"), ("/top", "/c")],
        )
        .unwrap();

    let said = machine
        .run(Section::Post, "cat /a /b /c; test ! -e /stolen")
        .said();
    assert_eq!(said, "insideinsideinside");
}

fn a_missing_source_is_named() {
    let machine = Machine::new(Identity::Auto);

    let error = machine.copy(&[("no/such/file", "/x")]).unwrap_err();

    assert_eq!(error.to_string(), "no/such/file is not there");
}

fn links_without_end_meet_the_limit() {
    let machine = Machine::new(Identity::Auto);
    let context = machine.context.path();
    // Few enough that the kernel, which counts the links of all its tries together, never says ELOOP.
    for level in 0..12 {
        let folder = context.join(format!("l{level}"));
        fs::create_dir(&folder).unwrap();
        for name in ["a", "b", "c"] {
            symlink(format!("../l{}", level + 1), folder.join(name)).unwrap();
        }
    }
    fs::create_dir(context.join("l12")).unwrap();
    let pair = Pair {
        source: "l0".to_owned(),
        destination: Some("/l".to_owned()),
    };

    let copied = files::copy(
        machine.workspace(),
        &machine.anywhere(),
        &[pair],
        Some(8 << 20),
        &mut |_| {},
    );

    let error = copied.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Disk, "{error:?}");
}
