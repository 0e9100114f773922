//! Docker images that hold everything a layer may hold become the right trees.

use std::path::Path;

use cooperage_protocol::BuildState;
use cooperage_tests::apptainer::apptainer;
use cooperage_tests::{Forge, Hub, pull, sif};

/// Tags of recipes and the images they build on.
const IMAGES: [(&str, &str); 13] = [
    ("gzip", "busybox"),
    ("zstd", "busybox:zstd"),
    ("mixed", "busybox:mixed"),
    ("docker", "busybox:docker"),
    ("index", "busybox:index"),
    ("list", "busybox:list"),
    ("kitchen-sink", "test/kitchen-sink"),
    ("layers-101", "test/layers-101"),
    ("config-rich", "test/config-rich"),
    ("config-empty", "test/config-empty"),
    ("config-nulls", "test/config-nulls"),
    ("entrypoint-only", "test/entrypoint-only"),
    ("hostile", "test/hostile"),
];

/// The time that nearly every entry has; the trees below leave it out.
const USUAL_TIME: &str = " 2023-11-14 22:13";

/// What `kitchen-sink` is once its layers lie on each other. The folders that no layer has an entry
/// for have the mode of a folder and no time.
const KITCHEN_SINK: &str = r"
-rw-r--r-- 0/0 6 data/becomes-file
drwxr-xr-x 0/0 data/becomes-folder
-rw-r--r-- 0/0 6 data/becomes-folder/x
-rwxr-xr-x 0/0 1 data/capable
lrwxrwxrwx 0/0 8 data/dangling -> /nowhere
drwxr-xr-x 0/0 1970-01-01 00:00 data/deep
drwxr-xr-x 0/0 1970-01-01 00:00 data/deep/er
-rw-r--r-- 0/0 26 data/deep/er/file
-rw-r--r-- 60000/60001 0 data/far
prw------- 0/0 0 data/fifo
-rw-r--r-- 0/0 10 data/hard-a
-rw-r--r-- 0/0 10 data/hard-b
-rw-r--r-- 0/0 6 data/hard-lower
-rw-r--r-- 0/0 6 data/keep
drwxr-xr-x 0/0 data/late
-rw-r--r-- 0/0 6 data/late/fresh
lrwxrwxrwx 0/0 6 data/link -> target
drwxr-xr-x 0/0 data/link-gone
-rw-r--r-- 0/0 6 data/link-gone/real
-rw-r--r-- 0/0 0 data/new\nline
-rw-r--r-- 0/0 0 data/(255 times n)
drwxr-xr-x 0/0 data/opaque
-rw-r--r-- 0/0 6 data/opaque/fresh
-rw-r--r-- 1234/5678 0 data/owned
---------- 0/0 1 data/secret
drwxrwxrwt 0/0 data/sticky
-rwsr-xr-x 0/0 10 data/suid
drwxr-xr-x 0/0 data/target
-rw-r--r-- 0/0 6 data/target/through
-rw-r--r-- 0/0 7 data/twice
-rw-r--r-- 0/0 0 data/unicode-é-日
-rw-r--r-- 0/0 0 data/with space
crw-rw-rw- 0/0 1, 3 dev/null-copy
";

/// `CAP_NET_RAW`, permitted, in the second revision of the attribute.
const NET_RAW: &str = "security.capability=0x0100000200200000000000000000000000000000\n";

/// Where `hostile` ends: each of its ways out leads to its own `/tmp`, and `passwd` to its own.
const HOSTILE: &str = r"
-rw-r--r-- 0/0 30 etc/passwd
lrwxrwxrwx 0/0 4 evil -> /tmp
-rw-r--r-- 0/0 30 passwd
drwxrwxrwt 0/0 tmp
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-1
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-2
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-3
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-4
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-5
-rw-r--r-- 0/0 0 tmp/cooperage-escaped-6
lrwxrwxrwx 0/0 15 up -> ../../../../tmp
lrwxrwxrwx 0/0 4 var -> /tmp
";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn torture_images_give_the_right_trees_and_nothing_escapes() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/torture")?;
    for (tag, image) in IMAGES {
        let recipe = format!("Bootstrap: docker\nFrom: {image}\n");
        repository.write(&format!("Singularity.{tag}"), recipe)?;
    }

    repository.push()?;
    let builds = hub.finished_builds("lab/torture", IMAGES.len())?;

    for build in &builds {
        let log = hub.build_log(build)?;
        assert_eq!(
            build.state,
            BuildState::Succeeded,
            "{}: {:?}\n{log}",
            build.tag,
            build.failure
        );
        let image = build
            .image
            .as_ref()
            .expect("a build that succeeded has an image");
        pull::download(&hub, &format!("lab/torture:{}", build.tag), image.digest)?;
    }
    let image = |tag: &str| hub.folder().join(format!("lab_torture_{tag}.sif"));
    assert_kitchen_sink(hub.folder(), &image("kitchen-sink"))?;
    assert_eq!(
        sif::content(&image("mixed"), "etc/second")?,
        "second layer\n"
    );
    assert_hundred_layers(&image("layers-101"))?;
    for index in ["index", "list"] {
        assert_eq!(
            sif::line_of(&sif::listing(&image(index))?, "etc/foreign"),
            None,
            "{index}"
        );
    }
    assert_same_trees(hub.folder())?;
    assert_configurations(hub.folder())?;
    assert_nothing_escaped(&image("hostile"))
}

fn assert_kitchen_sink(folder: &Path, image: &Path) -> anyhow::Result<()> {
    let tree = tree(image, &["data/", "dev/"])?;
    let content = |path: &str| sif::content(image, &format!("data/{path}"));
    let names = [
        "/data/hard-a",
        "/data/hard-b",
        "/data/keep",
        "/data/hard-lower",
    ];
    let name = image.to_string_lossy();
    let inodes = [&["exec", &name, "stat", "-c", "%h %i"], &names[..]].concat();
    let inodes = apptainer(folder, &inodes)?.success()?;
    let inodes: Vec<_> = inodes.lines().collect();

    assert_eq!(tree, expected(KITCHEN_SINK));
    for (path, text) in [
        ("becomes-file", "upper\n"),
        ("becomes-folder/x", "upper\n"),
        ("deep/er/file", "no entries of its parents\n"),
        ("hard-a", "one inode\n"),
        ("hard-b", "one inode\n"),
        ("hard-lower", "lower\n"),
        ("keep", "lower\n"),
        ("late/fresh", "upper\n"),
        ("link-gone/real", "upper\n"),
        ("opaque/fresh", "upper\n"),
        ("secret", "x"),
        ("target/through", "upper\n"),
        ("twice", "second\n"),
    ] {
        assert_eq!(content(path)?, text, "{path}");
    }
    assert_eq!(sif::attributes(image, "data/capable")?, NET_RAW);
    assert!(inodes.len() == 4 && inodes.iter().all(|inode| inode.starts_with("2 ")));
    assert_eq!((inodes[0], inodes[2]), (inodes[1], inodes[3]));
    assert_ne!(inodes[0], inodes[2]);
    Ok(())
}

/// The entries of an image whose paths start like one of those.
fn tree(image: &Path, starts: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut entries = sif::entries(image)?;
    entries.retain(|(_, path)| starts.iter().any(|start| path.starts_with(start)));
    let line = |(facts, path): (String, String)| {
        let path = path.replace(&"n".repeat(255), "(255 times n)");
        format!("{} {path}", facts.trim_end_matches(USUAL_TIME))
    };
    Ok(entries.into_iter().map(line).collect())
}

fn expected(tree: &str) -> Vec<String> {
    tree.trim().lines().map(str::to_owned).collect()
}

fn assert_hundred_layers(image: &Path) -> anyhow::Result<()> {
    let of_each = (0..100).map(|layer| format!("-rw-r--r-- 0/0 0 layers/{layer:03}"));
    let last = "-rw-r--r-- 0/0 2 layers/last".to_owned();

    assert_eq!(
        tree(image, &["layers/"])?,
        of_each.chain([last]).collect::<Vec<_>>()
    );
    assert_eq!(sif::content(image, "layers/last")?, "99");
    Ok(())
}

/// The trees of one image in other wrappings are the same, one line for another.
fn assert_same_trees(folder: &Path) -> anyhow::Result<()> {
    let busybox = |tag: &str| tree(&folder.join(format!("lab_torture_{tag}.sif")), &["bin/"]);
    let gzip = busybox("gzip")?;

    assert!(gzip.len() > 100, "{gzip:?}");
    for tag in ["zstd", "mixed", "docker", "index", "list"] {
        assert_eq!(busybox(tag)?, gzip, "{tag}");
    }
    Ok(())
}

fn assert_configurations(folder: &Path) -> anyhow::Result<()> {
    let image = |tag: &str| format!("lab_torture_{tag}.sif");

    let entry = apptainer(folder, &["run", &image("entrypoint-only"), "more"])?.success()?;
    let rich = apptainer(folder, &["run", &image("config-rich"), "more"])?.success()?;
    let command = apptainer(folder, &["run", &image("config-rich")])?.success()?;
    let environment = apptainer(folder, &["exec", &image("config-rich"), "env"])?.success()?;
    let labels = apptainer(folder, &["inspect", "--labels", &image("config-rich")])?.success()?;

    assert_eq!(entry, "entry more\n");
    assert_eq!(rich, "entry point more\n");
    assert_eq!(command, "entry point two\"quotes $three \n");
    assert!(
        environment.contains("GREETING=hello world\n"),
        "{environment}"
    );
    assert!(
        environment.contains("QUOTED=a\"b'c $HOME `x`\n"),
        "{environment}"
    );
    assert!(environment.contains("\nEMPTY=\n"), "{environment}");
    assert!(environment.contains("EQUALS=a=b=c\n"), "{environment}");
    assert!(labels.contains("maintainer: A <a@example.org>"), "{labels}");
    assert!(labels.contains("lines: one\ntwo\n"), "{labels}");
    for tag in ["config-empty", "config-nulls"] {
        apptainer(folder, &["exec", &image(tag), "/bin/true"])?.success()?;
    }
    Ok(())
}

fn assert_nothing_escaped(image: &Path) -> anyhow::Result<()> {
    let starts = ["evil", "etc/passwd", "passwd", "tmp", "up", "var"];

    assert_eq!(tree(image, &starts)?, expected(HOSTILE));
    assert_eq!(
        sif::content(image, "passwd")?,
        "root:x:0:0:root:/root:/bin/sh\n"
    );
    for entry in std::fs::read_dir("/tmp")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with("cooperage-escaped"), "{name}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn private_images_are_built_with_the_account_in_the_header_and_it_is_shown_nowhere()
-> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/private")?;
    let recipe = |registry: &str| {
        format!(
            "Bootstrap: docker\nFrom: {registry}/private/busybox\nUsername: tester\nPassword: s3cret\n"
        )
    };
    repository.write("Singularity.basic", recipe(&hub.world.password_registry))?;
    repository.write("Singularity.token", recipe(&hub.world.token_registry))?;

    repository.push()?;
    let builds = hub.finished_builds("lab/private", 2)?;

    for build in &builds {
        let log = hub.build_log(build)?;
        assert_eq!(
            build.state,
            BuildState::Succeeded,
            "{}: {:?}\n{log}",
            build.tag,
            build.failure
        );
        assert!(!log.contains("s3cret"), "{log}");
        let image = build
            .image
            .as_ref()
            .expect("a build that succeeded has an image");
        let file = pull::download(&hub, &format!("lab/private:{}", build.tag), image.digest)?;
        let file = file.to_string_lossy();
        let definition = apptainer(hub.folder(), &["inspect", "--deffile", &file])?.success()?;
        assert!(definition.contains("Bootstrap: docker"), "{definition}");
        assert!(!definition.contains("s3cret"), "{definition}");
    }
    Ok(())
}
