//! Advice: what tells of it, and what does not.

use cooperage_image::definition::{Diagnostic, Options, Severity, ShownText, parse, render};

const BASE: &str = "Bootstrap: docker\nFrom: debian:12\n";

fn advice(text: &str) -> Vec<Diagnostic> {
    let parsed = parse(text.as_bytes(), &Options::default());
    assert!(parsed.definition.is_some(), "{text}: {parsed:?}");
    let is_advice = |it: &Diagnostic| it.severity == Severity::Advice;
    parsed.diagnostics.into_iter().filter(is_advice).collect()
}

/// That each of these, behind a header, is told once, at a place in what follows the header.
fn told(code: &str, bodies: &[&str]) {
    for body in bodies {
        let found = advice(&format!("{BASE}{body}\n"));
        let codes: Vec<_> = found.iter().map(|it| it.code).collect();
        assert_eq!(codes, [code], "{body}");
        assert!(found[0].line > 2 && found[0].help.is_some(), "{body}");
    }
}

/// The first of what is told of it, as people see it.
fn shown(text: &str) -> String {
    let shown = ShownText::of(text.as_bytes(), &Options::default());
    render(&advice(text)[0], "it", &shown)
}

fn not_told(bodies: &[&str]) {
    for body in bodies {
        assert_eq!(advice(&format!("{BASE}{body}\n")), [], "{body}");
    }
}

#[test]
fn nothing_belongs_into_the_home_of_root() {
    told(
        "installed-in-root",
        &[
            "%post\n mkdir -p /root/tool",
            "%post\n cd /opt && git clone https://example.org/a /root/a",
            "%post\n ./configure --prefix=/root/a",
            "%post\n sh conda.sh -b -p \"/root/conda\"",
            "%post\n tar -x -f a.tar \\\n   -C /root/a",
        ],
    );
    not_told(&[
        "%post\n mkdir /root/.ssh",
        "%post\n cp -r a /root/a\n mv /root/a /opt",
        "%post\n tar -x -C /root/a\n rm -rf /root/a",
        "%post\n mkdir /opt/root/a /rooted",
        "%post\n # mkdir /root/a",
        "%post\n cp /root/a /opt",
        "%post\n echo 'mkdir /root/a'",
    ]);
}

#[test]
fn libraries_that_the_loader_finds_by_its_cache_need_ldconfig() {
    told(
        "no-ldconfig",
        &[
            "%post\n ln -s /opt/a/liba.so.1 /usr/local/lib/liba.so.1",
            "%post\n cp libb.so /usr/local/lib/",
        ],
    );
    not_told(&[
        "%post\n ln -s /opt/a/liba.so.1 /usr/local/lib/liba.so.1\n ldconfig",
        "%post\n ln -s /usr/lib/liba.so.1 /usr/lib/liba.so",
        "%post\n make install",
        "%post\n cp libb.sorted /usr/local/lib/",
    ]);
}

#[test]
fn secrets_are_told_and_not_shown() {
    let bodies = [
        "%environment\n export API_TOKEN=hunter2secret",
        "%environment\n DB_PASSWORD='hunter2secret'",
        "%post\n  export AWS_SECRET=\"hunter2secret\"",
    ];
    told("secret-in-image", &bodies);
    for body in bodies {
        let text = format!("{BASE}{body}\n");
        let shown = shown(&text) + &format!("{:?}", advice(&text));
        assert!(!shown.contains("hunter2secret"), "{shown}");
    }
    not_told(&[
        "%environment\n export API_TOKEN=$(cat /run/token)",
        "%environment\n export API_TOKEN=\"$API_TOKEN\"",
        "%environment\n export PASSWORD=",
        "%environment\n export REGISTRY_AUTH_TOKEN_REALM=realm",
        "%environment\n export PASSWORD=/run/password",
    ]);
}

#[test]
fn a_password_of_a_header_is_told_unless_it_is_a_build_argument() {
    let header = "Bootstrap: docker\nFrom: debian:12\nUsername: me\n";
    let literal = format!("{header}Password: hunter2secret\n");
    let found = advice(&literal);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code, found[0].line), ("secret-in-header", 4));
    assert!(!shown(&literal).contains("hunter2secret"));

    let argument = format!("{header}Password: {{{{ P }}}}\n");
    let mut options = Options::default();
    options
        .build_args
        .insert("P".to_owned(), "hunter2secret".to_owned());
    assert_eq!(parse(argument.as_bytes(), &options).diagnostics, []);
}

#[test]
fn a_base_without_a_version_is_told() {
    let found = |from: &str| advice(&format!("Bootstrap: docker\nFrom: {from}\n"));
    for from in ["debian", "debian:latest", "localhost:5000/debian", "a/b/c"] {
        let found = found(from);
        assert_eq!(found.len(), 1, "{from}");
        assert_eq!((found[0].code, found[0].line), ("mutable-base", 2));
    }
    let digest = format!("debian@sha256:{}", "a".repeat(64));
    for from in ["debian:12", "localhost:5000/debian:12", &digest] {
        assert_eq!(found(from), [], "{from}");
    }
}

#[test]
fn files_that_nobody_sees_are_told() {
    told(
        "files-in-tmp",
        &[
            "%files\n a /tmp/a",
            "%files\n a /var/tmp/",
            "%files\n /tmp/a",
        ],
    );
    not_told(&[
        "%files\n /tmp/a /opt/a",
        "%files\n a /tmpfiles",
        "%files\n # a /tmp/a",
    ]);
}

#[test]
fn a_setup_that_only_copies_is_told() {
    told(
        "setup-copies-files",
        &[
            "%setup\n cp -r code $SINGULARITY_ROOTFS/code",
            "%setup\n # all\n mkdir -p ${APPTAINER_ROOTFS}/a\n cp b \"${APPTAINER_ROOTFS}/a/b\"",
            "%setup\n install -Dv \\\n  a.sh \\\n  ${SINGULARITY_ROOTFS}/usr/bin/a",
        ],
    );
    not_told(&[
        "%setup\n mkdir $SINGULARITY_ROOTFS/a",
        "%setup\n cp -d a $SINGULARITY_ROOTFS/a",
        "%setup\n cp a $SINGULARITY_ROOTFS/a\n touch b",
        "%setup\n cp $HOME/a $SINGULARITY_ROOTFS/a",
        "%setup\n cp a /tmp",
    ]);
}

#[test]
fn values_that_end_early_are_told() {
    told(
        "unquoted-value",
        &[
            "%environment\n export A=b c",
            "%environment\n export FLAGS=-O2 -g",
        ],
    );
    not_told(&[
        "%environment\n export A=\"b c\"",
        "%environment\n export A=b # c",
        "%environment\n export A=b C=d",
        "%environment\n export A=$(cat b c)",
        "%environment\n export A=${B:-c d}",
        "%environment\n export A=b; cd c",
        "%environment\n export A=b\\ c",
        "%environment\n A=b command",
    ]);
}

#[test]
fn include_cmd_beside_a_runscript_is_told() {
    told(
        "unused-include-cmd",
        &["IncludeCmd: yes\n%runscript\n exec a"],
    );
    not_told(&[
        "IncludeCmd: yes",
        "IncludeCmd: no\n%runscript\n exec a",
        "IncludeCmd: yes\n%runscript\n",
    ]);
}
