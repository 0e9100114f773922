mod base;
mod runscript;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{
    BaseKind, InspectFacts, MetadataOfStage, OciConfig, build_date, install_apps, install_base,
    install_oci_config, install_stage, post_with_apps,
};
use crate::definition::{Definition, Options, parse};

const HELLO_ELF: [u8; 20] = [
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 183, 0,
];

fn definition(text: &str) -> Definition {
    let parsed = parse(text.as_bytes(), &Options::default());
    parsed
        .definition
        .unwrap_or_else(|| panic!("{:?}", parsed.diagnostics))
}

/// A fresh tree with the base of an image.
fn fresh() -> TempDir {
    let root = TempDir::new().unwrap();
    install_base(root.path(), BaseKind::Fresh).unwrap();
    root
}

fn read(root: &TempDir, path: &str) -> String {
    fs::read_to_string(root.path().join(path)).unwrap()
}

fn install(root: &TempDir, text: &str) -> InspectFacts {
    let definition = definition(text);
    let stage = definition.stages.last().unwrap();
    let metadata = MetadataOfStage::new(&definition, stage, 1_627_913_376);
    let travelled = serde_json::from_str(&serde_json::to_string(&metadata).unwrap()).unwrap();
    install_apps(root.path(), &metadata.apps).unwrap();
    install_stage(root.path(), &travelled).unwrap()
}

fn oci(json: &str) -> OciConfig {
    serde_json::from_str(json).unwrap()
}

/// What a shell prints that runs a script of the tree.
fn run(root: &TempDir, script: &str, args: &[&str], no_eval: bool) -> String {
    let mut command = Command::new("/bin/sh");
    command
        .arg(root.path().join(script))
        .args(args)
        .env("HOME", "/home/me");
    if no_eval {
        command.env("SINGULARITY_NO_EVAL", "1");
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn labels_are_merged_and_those_of_the_base_are_kept() {
    let root = fresh();
    let config = oci(r#"{"Labels":{"base":"1","both":"base"}}"#);
    install_oci_config(root.path(), &config, false).unwrap();
    fs::write(root.path().join(".build.labels"), "post 2\nbase 3\n").unwrap();

    let facts = install(
        &root,
        "Bootstrap: docker\nFrom: x\nPassword: hidden\nUsername: u\n%labels\nboth mine\nown 4\n",
    );

    let expected = [("base", "3"), ("both", "base"), ("own", "4"), ("post", "2")];
    for (name, value) in expected {
        assert_eq!(facts.labels[name], value, "{name}");
    }
    assert_eq!(
        facts.labels["org.label-schema.build-date"],
        "Monday_2_August_2021_14:9:36_UTC"
    );
    assert_eq!(
        facts.labels["org.label-schema.usage.singularity.deffile.from"],
        "x"
    );
    assert!(!read(&root, ".singularity.d/labels.json").contains("hidden"));
    assert_eq!(facts.warnings.len(), 1);
    assert!(!root.path().join(".build.labels").exists());
}

#[test]
fn an_earlier_definition_becomes_history() {
    let root = fresh();
    install(&root, "Bootstrap: scratch\n# first\n");
    install(&root, "Bootstrap: scratch\n# second\n");

    let facts = install(&root, "Bootstrap: scratch\n# third\n");

    assert_eq!(
        facts.definition.as_deref(),
        Some("Bootstrap: scratch\n# third")
    );
    let old = ["Singularity0", "Singularity1"]
        .map(|name| read(&root, &format!(".singularity.d/bootstrap_history/{name}")));
    assert_eq!(
        old,
        [
            "Bootstrap: scratch\n# first\n",
            "Bootstrap: scratch\n# second\n"
        ]
    );
}

#[test]
fn the_environment_is_appended_behind_its_comment() {
    let root = fresh();

    let facts = install(
        &root,
        "Bootstrap: scratch\n%environment\nTOPSECRET pancakes\n",
    );

    let script = &facts.environment["/.singularity.d/env/90-environment.sh"];
    assert!(script.starts_with("#!/bin/sh\n#"));
    assert!(script.ends_with("\n\n\nexport TOPSECRET=\"pancakes\""));
}

#[test]
fn inspect_tells_what_was_written() {
    let root = fresh();

    let facts = install(
        &root,
        "Bootstrap: scratch\n%help\nUse it.\n%test\ntrue\n%startscript\nsleep 1\n\
         %apprun foo\necho foo\n%appenv foo\nexport V=1\n%applabels foo\nA b\n",
    );

    let json: serde_json::Value = serde_json::from_str(&facts.inspect_json).unwrap();
    assert_eq!(json["type"], "container");
    let attributes = &json["data"]["attributes"];
    assert_eq!(attributes["helpfile"], "Use it.");
    assert_eq!(attributes["test"], "#!/bin/sh\n\ntrue");
    assert_eq!(attributes["startscript"], "#!/bin/sh\n\nsleep 1");
    assert_eq!(attributes["apps"]["foo"]["labels"]["SCIF_APP_NAME"], "foo");
    assert_eq!(
        attributes["apps"]["foo"]["runscript"],
        "#!/bin/sh\n\necho foo"
    );
    let environment = &attributes["apps"]["foo"]["environment"];
    assert!(environment["/scif/apps/foo/scif/env/90-environment.sh"].is_string());
    let travelled: InspectFacts =
        serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
    assert_eq!(travelled, facts);
}

#[test]
fn help_and_environment_of_an_app_are_as_they_were_written() {
    let root = fresh();

    install(
        &root,
        "Bootstrap: scratch\n%apphelp a\n\n  one\n\n%appenv a\nexport A=1\n%apphelp b\n%apphelp c\nlast",
    );

    let meta = |path: &str| format!("scif/apps/{path}");
    assert_eq!(read(&root, &meta("a/scif/runscript.help")), "\n  one\n\n");
    assert_eq!(
        read(&root, &meta("a/scif/env/90-environment.sh")),
        "export A=1\n"
    );
    assert!(!root.path().join(meta("b/scif/runscript.help")).exists());
    assert_eq!(read(&root, &meta("c/scif/runscript.help")), "last\n");
}

#[test]
fn apps_are_installed_at_the_end_of_post() {
    let definition = definition(
        "Bootstrap: scratch\n%post -c /bin/bash\necho post\n%appinstall it's\necho app\n%apprun b\nx\n",
    );

    let post = post_with_apps(&definition.stages[0]).unwrap();

    assert_eq!(post.args, "-c /bin/bash");
    let lines: Vec<&str> = post.body.lines().filter(|line| !line.is_empty()).collect();
    let root = "'/scif/apps/it'\"'\"'s'";
    assert_eq!(lines[0], "echo post");
    assert_eq!(lines[3], format!("cd {root}"));
    assert_eq!(lines[4..], ["echo app", "cd /"]);
}

#[test]
fn the_architecture_is_that_of_the_shell_inside_of_the_tree() {
    let root = fresh();
    fs::create_dir_all(root.path().join("usr/bin")).unwrap();
    fs::write(root.path().join("usr/bin/dash"), HELLO_ELF).unwrap();
    symlink("/usr/bin", root.path().join("bin")).unwrap();
    symlink("../../../usr/bin/dash", root.path().join("usr/bin/sh")).unwrap();

    let facts = install(&root, "Bootstrap: scratch\n");

    assert_eq!(facts.architecture, "arm64");
}

#[test]
fn without_a_shell_the_first_program_tells_the_architecture() {
    let root = fresh();
    fs::create_dir_all(root.path().join("opt/a")).unwrap();
    fs::write(root.path().join("opt/a/program"), HELLO_ELF).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();

    let facts = install(&root, "Bootstrap: scratch\n");

    assert_eq!(facts.architecture, "arm64");
}

#[test]
fn the_build_date_has_no_leading_zeros() {
    assert_eq!(build_date(0), "Thursday_1_January_1970_0:0:0_UTC");
}
