//! What `cooperage diff` says of real images, of our builds and of `mksquashfs`.
//!
//! Needs the Debian packages busybox-static and squashfs-tools.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const DEFINITION: &str = "Bootstrap: scratch
%files
  /bin/busybox /bin/busybox
  word /etc/word
%environment
  export WORD=cooper
%labels
  VERSION 1
%runscript
  exec /bin/busybox cat /etc/word
";

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("COOPERAGE_CACHE", folder.join("cache"))
        .env("COOPERAGE_TMPDIR", folder.join("tmp"))
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn succeed(folder: &Path, program: &str, arguments: &[&str]) {
    let output = run(folder, program, arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

fn build(folder: &Path, options: &[&str], image: &str, definition: &str) {
    fs::write(folder.join("definition"), definition).expect("the folder is ours");
    let arguments = [&["build"], options, &[image, "definition"]].concat();
    succeed(folder, env!("CARGO_BIN_EXE_cooperage"), &arguments);
}

fn diff(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let arguments = [&["diff"], arguments].concat();
    let output = run(folder, env!("CARGO_BIN_EXE_cooperage"), &arguments);
    let [out, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, told)
}

/// The differences as JSON, each by what it is about and its name.
fn found(folder: &Path, arguments: &[&str]) -> Vec<(String, Value)> {
    let arguments = [&["--format", "json"], arguments].concat();
    let (code, out, told) = diff(folder, &arguments);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{told}"));
    let differences = document["differences"].as_array().unwrap().clone();
    assert_eq!(code, Some(i32::from(!differences.is_empty())));
    assert_eq!(document["same"], differences.is_empty());
    let named = differences.into_iter().map(|it| {
        let of = it["of"].as_str().unwrap();
        (format!("{of} {}", it["name"].as_str().unwrap()), it)
    });
    named.collect()
}

fn folder_with_a_word() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("word"), "staves\n").unwrap();
    fs::set_permissions(
        folder.path().join("word"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    folder
}

#[test]
fn two_builds_of_a_definition_are_the_same() {
    let folder = folder_with_a_word();
    build(folder.path(), &[], "a.sif", DEFINITION);
    build(folder.path(), &[], "b.sif", DEFINITION);

    let (code, out, told) = diff(folder.path(), &["a.sif", "b.sif"]);

    assert_eq!(
        (code, out.as_str()),
        (Some(0), "the images are the same\n"),
        "{told}"
    );
    assert_eq!(found(folder.path(), &["a.sif", "b.sif"]), []);
}

#[test]
fn what_was_changed_in_a_definition_and_its_files_is_all_that_differs() {
    let folder = folder_with_a_word();
    build(folder.path(), &[], "a.sif", DEFINITION);
    fs::write(folder.path().join("word"), "hoops\n").unwrap();
    let changed = DEFINITION
        .replace("VERSION 1", "VERSION 2")
        .replace("WORD=cooper", "WORD=smith");
    build(folder.path(), &[], "b.sif", &changed);

    let (code, out, _) = diff(folder.path(), &["a.sif", "b.sif"]);
    let all = found(folder.path(), &["a.sif", "b.sif"]);
    let ignored = "image,object,time,definition,environment,label";
    let files = found(folder.path(), &["--ignore", ignored, "a.sif", "b.sif"]);

    assert_eq!(code, Some(1));
    for line in [
        "~ label VERSION  1 → 2\n",
        "    -   export WORD=cooper\n    +   export WORD=smith\n",
        "~ definition /.singularity.d/Singularity\n    -   export WORD=cooper\n",
    ] {
        assert!(out.contains(line), "{line}{out}");
    }
    let word = out.lines().find(|line| line.starts_with("~ /etc/word  "));
    assert!(
        word.is_some_and(|line| line.contains("size 7 B → 6 B, contents ")),
        "{out}"
    );
    assert!(
        all.iter().any(|(name, _)| name == "object definition"),
        "{all:?}"
    );
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "file /.singularity.d/Singularity",
            "file /.singularity.d/env/90-environment.sh",
            "file /.singularity.d/labels.json",
            "file /etc/word",
        ]
    );
}

#[test]
fn a_sandbox_has_the_files_of_its_image() {
    let folder = folder_with_a_word();
    build(folder.path(), &[], "a.sif", DEFINITION);
    build(folder.path(), &["--sandbox"], "box", DEFINITION);

    let forms = found(folder.path(), &["--ignore", "time,owner", "a.sif", "box"]);
    fs::write(folder.path().join("box/etc/more"), "x").unwrap();
    let more = found(
        folder.path(),
        &["--ignore", "time,owner,image", "a.sif", "box"],
    );

    let names: Vec<_> = forms.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["image form"], "{forms:?}");
    assert_eq!(more.len(), 1, "{more:?}");
    assert_eq!(more[0].1["change"], "added");
    assert_eq!(more[0].0, "file /etc/more");
}

/// An image of `mksquashfs`, with files that only root could make.
fn pack(folder: &Path, tree: &str, pseudo: &str) {
    fs::write(folder.join("pseudo"), pseudo).unwrap();
    let image = format!("{tree}.squashfs");
    let options = ["-noappend", "-quiet", "-no-progress", "-pf", "pseudo"];
    succeed(
        folder,
        "mksquashfs",
        &[&[tree, image.as_str()], &options[..]].concat(),
    );
}

#[test]
fn everything_that_a_file_can_have_is_compared() {
    let folder = tempfile::tempdir().unwrap();
    for tree in ["a", "b"] {
        let tree = folder.path().join(tree);
        fs::create_dir_all(tree.join("folder")).unwrap();
        fs::write(tree.join("folder/file"), "same").unwrap();
        fs::write(tree.join("folder-1"), "same").unwrap();
    }
    let [a, b] = ["a", "b"].map(|tree| folder.path().join(tree));
    symlink("here", a.join("link")).unwrap();
    symlink("there", b.join("link")).unwrap();
    fs::write(a.join("linked"), "one").unwrap();
    fs::write(b.join("linked"), "one").unwrap();
    fs::hard_link(a.join("linked"), a.join("other")).unwrap();
    fs::write(b.join("other"), "one").unwrap();
    fs::write(a.join("becomes"), "file").unwrap();
    fs::create_dir(b.join("becomes")).unwrap();
    fs::write(b.join("becomes/inner"), "").unwrap();
    fs::File::create(a.join("holes"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    fs::write(b.join("holes"), vec![0; 1 << 20]).unwrap();
    pack(
        folder.path(),
        "a",
        "null c 666 0 0 1 3\nowned f 644 5 6 true\n",
    );
    pack(
        folder.path(),
        "b",
        "null c 666 0 0 1 5\nowned f 600 7 6 true\n",
    );

    let differences = found(
        folder.path(),
        &["--ignore", "time", "a.squashfs", "b.squashfs"],
    );
    let of = |name: &str| {
        let found = differences.iter().find(|(known, _)| known == name);
        found.map(|(_, it)| it["facts"].clone()).unwrap_or_default()
    };

    assert_eq!(of("file /null")["device"]["b"], "1:5");
    assert_eq!(of("file /link")["target"]["a"], "here");
    assert_eq!(of("file /other")["other name"]["a"], "/linked");
    assert_eq!(of("file /other")["kind"]["b"], "file");
    assert_eq!(of("file /becomes")["kind"]["b"], "folder");
    assert_eq!(of("file /becomes/inner")["size"]["b"], 0);
    assert_eq!(of("file /owned")["owner"]["a"], "5:6");
    assert_eq!(of("file /owned")["mode"]["b"], "0600");
    let names: Vec<_> = differences.iter().map(|(name, _)| name.as_str()).collect();
    assert!(
        !names.contains(&"file /holes") && !names.contains(&"file /folder-1"),
        "{names:?}"
    );
}

#[test]
fn an_image_that_cannot_be_read_is_named_and_ends_with_2() {
    let folder = folder_with_a_word();
    build(folder.path(), &[], "a.sif", DEFINITION);
    let whole = fs::read(folder.path().join("a.sif")).unwrap();
    fs::write(folder.path().join("short.sif"), &whole[..whole.len() / 2]).unwrap();
    let mut broken = whole.clone();
    // The busybox of the image is most of it.
    let middle = whole.len() / 2;
    broken[middle..middle + 512].fill(0xa5);
    fs::write(folder.path().join("broken.sif"), &broken).unwrap();
    fs::write(folder.path().join("text"), "no image").unwrap();

    for (image, part) in [
        (
            "short.sif",
            "short.sif: SIF image is damaged: an object is not in the file",
        ),
        ("broken.sif", "broken.sif: image is damaged"),
        ("text", "text is not an image that can be used"),
        ("absent", "absent: No such file or directory"),
    ] {
        for images in [["a.sif", image], [image, "a.sif"]] {
            let (code, _, told) = diff(folder.path(), &images);

            assert_eq!(code, Some(2), "{images:?}: {told}");
            assert!(told.contains(part), "{told}");
        }
    }
}
