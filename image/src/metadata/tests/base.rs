//! What every image has, whatever its definition says.

use super::*;

#[test]
fn a_fresh_base_has_what_runtimes_look_for() {
    let root = fresh();

    for script in [
        "actions/exec",
        "actions/run",
        "actions/shell",
        "runscript",
        "env/99-base.sh",
    ] {
        let path = root.path().join(".singularity.d").join(script);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755,
            "{script}"
        );
    }
    for (link, target) in [
        ("singularity", "runscript"),
        ("environment", "env/90-environment.sh"),
    ] {
        let found = fs::read_link(root.path().join(link)).unwrap();
        assert_eq!(found, Path::new(".singularity.d").join(target));
    }
    assert_eq!(read(&root, "etc/resolv.conf"), "");
    assert!(root.path().join("var/tmp").is_dir());
}

#[test]
fn the_scripts_of_the_base_are_valid_shell() {
    let root = fresh();

    for folder in ["actions", "env"] {
        for entry in fs::read_dir(root.path().join(".singularity.d").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let status = Command::new("/bin/sh")
                .arg("-n")
                .arg(&path)
                .status()
                .unwrap();
            assert!(status.success(), "{}", path.display());
        }
    }
}

#[test]
fn the_base_of_a_local_image_keeps_what_it_has() {
    let root = fresh();
    fs::write(root.path().join(".singularity.d/runscript"), "mine").unwrap();
    fs::write(root.path().join("etc/hosts"), "127.0.0.1 here").unwrap();
    fs::remove_file(root.path().join(".singularity.d/actions/test")).unwrap();

    install_base(root.path(), BaseKind::LocalImage).unwrap();

    assert_eq!(read(&root, ".singularity.d/runscript"), "mine");
    assert_eq!(read(&root, "etc/hosts"), "127.0.0.1 here");
    assert!(root.path().join(".singularity.d/actions/test").exists());
}

#[test]
fn links_that_an_image_left_are_replaced_and_not_followed() {
    let root = TempDir::new().unwrap();
    let victim = TempDir::new().unwrap();
    let file = victim.path().join("file");
    fs::write(&file, "untouched").unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    symlink(victim.path(), root.path().join(".singularity.d")).unwrap();
    symlink(victim.path(), root.path().join("scif")).unwrap();
    symlink(&file, root.path().join("etc/hosts")).unwrap();
    install_base(root.path(), BaseKind::Fresh).unwrap();
    for name in [
        "labels.json",
        "Singularity",
        "test",
        "env/90-environment.sh",
    ] {
        let path = root.path().join(".singularity.d").join(name);
        if path.exists() {
            fs::remove_file(&path).unwrap();
        }
        symlink(&file, path).unwrap();
    }

    install(
        &root,
        "Bootstrap: scratch\n%environment\nexport A=b\n%test\ntrue\n%labels\na b\n%apprun x\ntrue\n",
    );

    assert_eq!(fs::read_to_string(&file).unwrap(), "untouched");
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 1);
    assert!(read(&root, ".singularity.d/env/90-environment.sh").contains("export A=b"));
}

#[test]
fn variables_of_the_base_have_their_literal_values() {
    let root = fresh();
    let value = "a  b \"c\" 'd' $HOME `id` \\ } \n e";
    let env = vec![
        format!("ODD={value}"),
        "1BAD=x".to_owned(),
        "EMPTY".to_owned(),
    ];

    install_oci_config(
        root.path(),
        &OciConfig {
            env: Some(env),
            ..OciConfig::default()
        },
        false,
    )
    .unwrap();

    let path = root
        .path()
        .join(".singularity.d/env/10-docker2singularity.sh");
    let print = |set: Option<&str>| {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(". \"$0\"; printf %s \"$ODD\"")
            .arg(&path)
            .env_remove("ODD");
        command.envs(set.map(|value| ("ODD", value)));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(print(None), value);
    assert_eq!(print(Some("mine")), "mine");
    assert!(!fs::read_to_string(&path).unwrap().contains("1BAD"));
}

#[test]
fn the_path_of_the_base_replaces_that_of_the_runtime() {
    let root = fresh();

    install_oci_config(
        root.path(),
        &oci(r#"{"Env":["PATH=/opt/bin:/bin"]}"#),
        false,
    )
    .unwrap();

    let script = read(&root, ".singularity.d/env/10-docker2singularity.sh");
    assert_eq!(script, "#!/bin/sh\nexport PATH=\"/opt/bin:/bin\"\n");
}
