//! What runs when an image is run.

use super::*;

#[test]
fn entrypoint_and_cmd_become_the_runscript() {
    let both = r#"{"Entrypoint":["echo","-e p '$HOME'"],"Cmd":["c 1","\"2\""]}"#;
    let cases: [(&str, bool, &[&str], &str); 9] = [
        (both, false, &[], "-e p '$HOME' c 1 \"2\"\n"),
        (both, false, &["x  y"], "-e p '$HOME' x  y\n"),
        (
            r#"{"Entrypoint":["echo","e"],"Cmd":null}"#,
            false,
            &["x"],
            "e x\n",
        ),
        (
            r#"{"Entrypoint":null,"Cmd":["echo","c"]}"#,
            false,
            &[],
            "c\n",
        ),
        (
            r#"{"Entrypoint":[],"Cmd":["echo","c"]}"#,
            false,
            &["echo", "x"],
            "x\n",
        ),
        (
            r#"{"Entrypoint":["echo","e"],"Cmd":["echo","c"]}"#,
            true,
            &[],
            "c\n",
        ),
        (
            r#"{"Entrypoint":["echo","e"],"Cmd":["echo","c"]}"#,
            true,
            &["x"],
            "c x\n",
        ),
        (r#"{"Entrypoint":["echo","e"]}"#, true, &[], "e\n"),
        ("{}", false, &["echo", "x"], "x\n"),
    ];
    for (config, include_cmd, args, expected) in cases {
        let root = fresh();

        install_oci_config(root.path(), &oci(config), include_cmd).unwrap();

        for no_eval in [false, true] {
            let printed = run(&root, ".singularity.d/runscript", args, no_eval);
            assert_eq!(printed, expected, "{config} {args:?} {no_eval}");
        }
    }
}

#[test]
fn arguments_of_the_runscript_are_evaluated_unless_that_is_switched_off() {
    let root = fresh();
    install_oci_config(root.path(), &oci(r#"{"Cmd":["sh"]}"#), false).unwrap();

    let evaluated = run(&root, ".singularity.d/runscript", &["echo", "$HOME"], false);
    let literal = run(&root, ".singularity.d/runscript", &["echo", "$HOME"], true);

    assert_eq!(
        (evaluated.as_str(), literal.as_str()),
        ("/home/me\n", "$HOME\n")
    );
    let runscript = read(&root, ".singularity.d/runscript");
    assert!(
        runscript
            .lines()
            .any(|line| line == r#"eval "set ${SINGULARITY_OCI_RUN}""#)
    );
}

#[test]
fn configurations_with_nulls_or_of_old_images_are_read() {
    let config = oci(r#"{"Env":null,"Labels":{"a":null},"Cmd":"ls -l","User":null,"OnBuild":[]}"#);

    assert_eq!(config.cmd, Some(vec!["ls -l".to_owned()]));
    assert_eq!(oci("{}"), OciConfig::default());
    let again = oci(&serde_json::to_string(&config).unwrap());
    assert_eq!(again, config);
    assert!(again.other.contains_key("OnBuild"));
}

#[test]
fn the_runscript_of_the_definition_replaces_that_of_the_base() {
    let root = fresh();
    install_oci_config(root.path(), &oci(r#"{"Cmd":["ls"]}"#), false).unwrap();

    let facts = install(&root, "Bootstrap: docker\nFrom: x\n%runscript\necho mine\n");

    assert_eq!(run(&root, ".singularity.d/runscript", &[], false), "mine\n");
    assert_eq!(facts.runscript.as_deref(), Some("#!/bin/sh\n\necho mine"));
}
