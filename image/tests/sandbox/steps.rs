//! What scripts and files made of a base, and is taken again from the cache.

use std::fs;
use std::time::Duration;

use cooperage_image::sandbox::Identity;
use cooperage_image::{Output, Request};

use crate::Case;
use crate::machine::IDENTITIES;
use crate::overlay::{content, write_base};
use crate::stages::Place;

pub(crate) const CASES: &[Case] = &[
    (
        "metadata alone runs no script again",
        metadata_alone_runs_no_script_again,
    ),
    (
        "what a step depends on makes another",
        what_a_step_depends_on_makes_another,
    ),
    (
        "a step is not kept or taken when nobody wants it",
        a_step_is_not_kept_when_nobody_wants_it,
    ),
    (
        "a step that is too old and in use is not taken for a new one",
        a_step_that_is_too_old_and_in_use_is_not_taken_for_a_new_one,
    ),
    (
        "a later stage builds on kept steps",
        a_later_stage_builds_on_kept_steps,
    ),
];

/// Every run of it makes another file.
const POST: &str = "%post\n    echo ran\n    /bin/busybox head -c 9 /dev/urandom > /stamp\n    \
    /bin/busybox rm -r /gone\n    echo more >> /etc/shadow\n";

fn build(place: &Place, request: &Request) -> (Vec<String>, String) {
    let (built, log) = place.build(request);
    assert!(built.is_ok(), "{built:?}: {log}");
    (content(request.output.path()), log)
}

fn simple(place: &Place, rest: &str) -> (Vec<String>, String) {
    let definition = format!("Bootstrap: oci\nFrom: base\n{rest}");
    let name = format!("{}.sif", fs::read_dir(place.folder.path()).unwrap().count());
    let mut request = place.request(&definition, Output::Sif(place.path(&name)));
    request.epoch = Some(1_700_000_000);
    build(place, &request)
}

fn file<'f>(files: &'f [String], name: &str) -> &'f str {
    let found = files.iter().find(|file| file.starts_with(name));
    found.unwrap_or_else(|| panic!("{name} is not in {files:#?}"))
}

fn metadata_alone_runs_no_script_again() {
    for identity in IDENTITIES {
        let place = Place::new(identity);
        write_base(&place.path("base"));
        let (first, log) = simple(&place, &format!("{POST}%runscript\n    echo one\n"));
        assert!(log.contains("ran"), "{log}");

        let rest = "%runscript\n    echo two\n%labels\n    a b\n%environment\n    export A=b\n%help\n    no\n";
        let (second, log) = simple(&place, &format!("{POST}{rest}"));

        assert!(!log.contains("ran"), "{log}");
        assert!(log.contains("--no-step-cache"), "{log}");
        assert_eq!(file(&first, "stamp"), file(&second, "stamp"));
        // Owners that the file system cannot represent come along.
        assert!(file(&second, "etc/shadow Regular").contains(" 42:42 "));
        assert!(!second.iter().any(|file| file.starts_with("gone")));
        let runscript = ".singularity.d/runscript";
        assert_ne!(file(&first, runscript), file(&second, runscript));
        file(&second, ".singularity.d/runscript.help");
    }
}

fn what_a_step_depends_on_makes_another() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let is_run = |rest: &str| simple(&place, rest).1.contains("ran");
    fs::write(place.path("own"), "1").unwrap();
    let with_file = format!("{POST}%files\n    own /own\n");

    assert!(is_run(POST));
    assert!(!is_run(POST));
    assert!(is_run(&format!("{POST}    true\n")));
    assert!(is_run(&with_file));
    assert!(!is_run(&with_file));
    fs::write(place.path("own"), "2").unwrap();
    assert!(is_run(&with_file));
    assert!(is_run(&format!("{POST}%files\n    own /other\n")));
    // What %setup reads is not known.
    let with_setup = format!("{POST}%setup\n    true\n");
    assert!(is_run(&with_setup));
    assert!(is_run(&with_setup));
}

fn a_step_is_not_kept_when_nobody_wants_it() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let definition = format!("Bootstrap: oci\nFrom: base\n{POST}");
    let is_run = |name: &str, age| {
        let mut request = place.request(&definition, Output::Sif(place.path(name)));
        request.step_age = age;
        build(&place, &request).1.contains("ran")
    };
    let day = Some(Duration::from_hours(24));

    assert!(is_run("a.sif", None));
    assert!(is_run("b.sif", day));
    assert!(is_run("c.sif", None));
    assert!(!is_run("d.sif", day));
    // A step whose pack is gone is no step.
    let packs = fs::read_dir(place.path("cache/packs")).unwrap();
    let lists = packs.map(|pack| pack.unwrap().path());
    for list in lists.filter(|path| path.extension().is_some()) {
        fs::remove_file(list).unwrap();
    }
    assert!(is_run("e.sif", day));
    assert!(!is_run("f.sif", day));
    std::thread::sleep(Duration::from_millis(2100));
    assert!(
        is_run("g.sif", Some(Duration::from_secs(1))),
        "it is too old"
    );
}

fn a_step_that_is_too_old_and_in_use_is_not_taken_for_a_new_one() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let definition = format!("Bootstrap: oci\nFrom: base\n{POST}");
    let is_run = |name: &str, age| {
        let mut request = place.request(&definition, Output::Sif(place.path(name)));
        request.step_age = Some(age);
        build(&place, &request).1.contains("ran")
    };
    let day = Duration::from_hours(24);
    assert!(is_run("a.sif", day));
    let steps = fs::read_dir(place.path("cache/steps")).unwrap();
    let mut steps = steps.map(|step| step.unwrap().path());
    let step = steps.find(|path| path.is_dir()).unwrap();
    let used = fs::File::open(step).unwrap();
    used.lock_shared().unwrap();
    std::thread::sleep(Duration::from_millis(2100));

    assert!(is_run("b.sif", Duration::from_secs(1)));

    // What there is of the first run has no pack any more; the second's is no pack of that tree.
    assert!(is_run("c.sif", day));
    drop(used);
    assert!(is_run("d.sif", day));
    assert!(!is_run("e.sif", day));
}

fn a_later_stage_builds_on_kept_steps() {
    let place = Place::new(Identity::Auto);
    write_base(&place.path("base"));
    let definition = |runscript: &str| {
        format!(
            "Bootstrap: oci\nFrom: base\nStage: one\n{POST}\nBootstrap: oci\nFrom: base\nStage: two\n\
             %files from one\n    /stamp /copied\n%post\n    echo second\n%runscript\n    {runscript}\n"
        )
    };
    let run = |name: &str, runscript: &str| {
        let output = Output::Sif(place.path(name));
        build(&place, &place.request(&definition(runscript), output))
    };
    let (first, log) = run("a.sif", "echo one");
    assert!(log.contains("ran") && log.contains("second"), "{log}");

    let (second, log) = run("b.sif", "echo two");

    assert!(!log.contains("ran") && !log.contains("second"), "{log}");
    assert_eq!(file(&first, "copied"), file(&second, "copied"));
}
