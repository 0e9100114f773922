//! An image is built and then run by the engine, without Apptainer.

use std::path::{Path, PathBuf};

use cooperage_image::oci::Registries;
use cooperage_image::sandbox::{Identity, Network};
use cooperage_image::{Cancel, Context, Engine, Error, FailureKind, Output, Request, Settings};

use crate::Case;
use crate::machine::IDENTITIES;

pub(crate) const CASES: &[Case] = &[
    (
        "an image is run with its environment and arguments, and read-only",
        run_built_image,
    ),
    (
        "an image whose runscript fails tells its status",
        run_failing_image,
    ),
];

const RECIPE: &str = "\
Bootstrap: scratch

%files
    /bin/busybox /bin/busybox
    /bin/busybox /bin/sh

%environment
    export GREETING=hello

%runscript
    echo \"$GREETING $*\"
    /bin/busybox touch /new && echo 'it can be written to'
    test \"$1\" != fail || exit 7
";

fn run_built_image() {
    for identity in IDENTITIES {
        let (result, said) = run(identity, &["to", "two words"]);

        assert!(result.is_ok(), "{result:?}: {said}");
        assert!(said.contains("hello to two words\n"), "{said}");
        assert!(!said.contains("it can be written to"), "{said}");
    }
}

fn run_failing_image() {
    let (result, _) = run(Identity::Auto, &["fail"]);

    let error = result.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Script);
    assert!(matches!(error, Error::Script { status: 7, .. }), "{error}");
}

fn run(identity: Identity, arguments: &[&str]) -> (Result<(), Error>, String) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(settings(identity, folder.path()));
    let image = build(&engine, folder.path());
    let arguments: Vec<_> = arguments.iter().map(|&word| word.to_owned()).collect();
    let mut output = Vec::new();
    let mut collect = |bytes: &[u8]| output.extend_from_slice(bytes);

    let result = engine.run_image(&image, &arguments, &mut collect, &Cancel::default());

    (result, String::from_utf8_lossy(&output).into_owned())
}

fn settings(identity: Identity, folder: &Path) -> Settings {
    Settings {
        cache: folder.join("cache"),
        scratch: folder.join("scratch"),
        registries: Registries::default(),
        sources: cooperage_image::Sources::default(),
        identity,
        network: Network::None,
        environment: std::collections::BTreeMap::new(),
    }
}

fn build(engine: &Engine, folder: &Path) -> PathBuf {
    let context = Context::Anywhere {
        folder: folder.to_owned(),
    };
    let output = Output::Sif(folder.join("image.sif"));
    let request = Request::new("Singularity", RECIPE.as_bytes().to_vec(), context, output);
    let built = engine.build(&request, &|_| {}, &Cancel::default());
    built.unwrap().path
}
