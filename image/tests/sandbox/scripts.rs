//! What a script sees, can do and leaves behind.

use std::fs;
use std::io::Read;
use std::path::Path;

use cooperage_image::Error;
use cooperage_image::inside::Task;
use cooperage_image::sandbox::{
    self, Identity, Namespace, Network, Output, Section, Streams, Workspace,
};

use crate::Case;
use crate::machine::{IDENTITIES, Machine, is_empty};

pub(crate) const CASES: &[Case] = &[
    (
        "the exit status of a script is reported",
        the_exit_status_is_reported,
    ),
    (
        "a signal is 128 and its number",
        a_signal_is_128_and_its_number,
    ),
    ("both streams arrive in order", both_streams_arrive_in_order),
    (
        "a script is root of its own machine",
        a_script_is_root_of_its_own_machine,
    ),
    (
        "post writes into the tree but not outside",
        post_writes_into_the_tree,
    ),
    (
        "temporary files are not in the tree",
        temporary_files_are_not_in_the_tree,
    ),
    ("test cannot write into the tree", test_cannot_write),
    (
        "setup sees programs and the context but no data",
        setup_sees_programs_only,
    ),
    (
        "kernel settings cannot be changed",
        kernel_settings_cannot_be_changed,
    ),
    (
        "dangerous system calls are refused",
        dangerous_calls_are_refused,
    ),
    (
        "owners can be changed with one id too",
        owners_can_be_changed,
    ),
    (
        "a script without network has no interface",
        a_script_without_network_has_no_interface,
    ),
    ("devices seem to be made", devices_seem_to_be_made),
    (
        "name resolution is lent and taken back",
        name_resolution_is_lent,
    ),
    (
        "background processes end with their script",
        background_processes_end,
    ),
    (
        "a missing interpreter is named",
        a_missing_interpreter_is_named,
    ),
    ("nothing stays behind", nothing_stays_behind),
    ("an abandoned build is swept", an_abandoned_build_is_swept),
];

fn the_exit_status_is_reported() {
    let machine = Machine::new(Identity::Auto);

    let error = machine.run(Section::Post, "exit 7").error();

    assert!(
        matches!(error, Error::Script { status: 7, .. }),
        "{error:?}"
    );
}

fn a_signal_is_128_and_its_number() {
    let machine = Machine::new(Identity::Auto);

    let error = machine.run(Section::Post, "kill -TERM $$").error();

    assert!(
        matches!(error, Error::Script { status: 143, .. }),
        "{error:?}"
    );
}

fn both_streams_arrive_in_order() {
    let machine = Machine::new(Identity::Auto);

    let said = machine
        .run(Section::Post, "echo 1; echo 2 >&2; echo 3; echo 4 >&2")
        .said();

    assert_eq!(said, "1\n2\n3\n4\n");
}

fn a_script_is_root_of_its_own_machine() {
    for identity in IDENTITIES {
        let machine = Machine::new(identity);

        let script = "busybox id -u; busybox hostname; umask; pwd; busybox ps -o pid,comm";
        let said = machine.run(Section::Post, script).said();

        assert!(said.starts_with("0\ncooperage\n0002\n/\n"), "{said}");
        assert!(
            said.lines().count() < 10,
            "sees processes of the machine: {said}"
        );
    }
}

fn post_writes_into_the_tree() {
    let machine = Machine::new(Identity::Auto);
    let outside = machine.scratch.path().join("witness");
    fs::write(&outside, "untouched").unwrap();

    let script = format!(
        "echo mine > /here; cd /; if echo broken > {0} || busybox ls {0}; then exit 9; fi 2>/dev/null",
        outside.display()
    );
    machine.run(Section::Post, &script).said();

    assert_eq!(fs::read_to_string(outside).unwrap(), "untouched");
    assert_eq!(read(&machine, "/here"), Some("mine\n".to_owned()));
}

fn temporary_files_are_not_in_the_tree() {
    let machine = Machine::new(Identity::Auto);

    machine
        .run(Section::Post, "echo x > /tmp/a; echo y > /var/tmp/b")
        .said();

    assert_eq!(read(&machine, "/tmp/a"), None);
    assert_eq!(read(&machine, "/var/tmp/b"), None);
}

fn test_cannot_write() {
    let machine = Machine::new(Identity::Auto);

    let error = machine
        .run(Section::Test, "echo x > /tmp/fine; echo x > /not")
        .error();

    assert!(matches!(error, Error::Script { .. }), "{error:?}");
    assert_eq!(read(&machine, "/not"), None);
}

fn setup_sees_programs_only() {
    let machine = Machine::new(Identity::Auto);
    fs::write(machine.context.path().join("source"), "from context\n").unwrap();
    let hidden = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();

    let script = format!(
        "test -x /usr/bin/env; cp source {rootfs}/copied; test ! -e {hidden}; \
         test -z \"$(ls -A /root /home 2>/dev/null | grep -v :)\"; \
         if touch /usr/x || touch ./x; then exit 9; fi",
        rootfs = Section::Setup.rootfs(),
        hidden = hidden.path().display()
    );
    machine.run(Section::Setup, &script).said();

    assert_eq!(read(&machine, "/copied"), Some("from context\n".to_owned()));
}

fn kernel_settings_cannot_be_changed() {
    let machine = Machine::new(Identity::Auto);

    let script = "if echo 1 > /proc/sys/kernel/panic; then exit 9; fi; \
                  if echo 1 > /proc/sys/vm/drop_caches; then exit 9; fi; \
                  if echo c > /proc/sysrq-trigger; then exit 9; fi; \
                  if busybox mkdir /sys/fs/cgroup/x; then exit 9; fi";
    machine.run(Section::Post, script).said();
}

fn dangerous_calls_are_refused() {
    let machine = Machine::new(Identity::Auto);

    let script = "if busybox mount -t tmpfs none /tmp; then exit 1; fi; \
                  if busybox umount /proc; then exit 2; fi; \
                  if busybox unshare -U true; then exit 3; fi; \
                  if busybox unshare -m true; then exit 4; fi; \
                  if busybox hostname other; then exit 5; fi; \
                  if busybox swapoff -a 2>&1 | busybox grep -q nonsense; then exit 6; fi";
    machine.run(Section::Post, script).said();
}

fn owners_can_be_changed() {
    for identity in IDENTITIES {
        let machine = Machine::new(identity);

        let script = "echo > /f; busybox chown 42:43 /f; busybox stat -c %u:%g /f";
        let said = machine.run(Section::Post, script).said();

        let is_single = machine.workspace().namespace().is_single();
        assert_eq!(said, if is_single { "0:0\n" } else { "42:43\n" });
    }
}

fn a_script_without_network_has_no_interface() {
    let mut machine = Machine::new(Identity::Auto);
    machine.network = Network::None;

    let said = machine
        .run(Section::Post, "busybox tail -n +3 /proc/net/dev")
        .said();

    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.trim_start().starts_with("lo:"), "{said}");
}

fn devices_seem_to_be_made() {
    let machine = Machine::new(Identity::Auto);

    let script = "busybox mknod /disk b 8 0; busybox mknod /tty9 c 4 9; busybox mkfifo /pipe; \
                  test ! -e /disk; test ! -e /tty9; test -p /pipe; \
                  echo gone > /dev/null; busybox head -c 4 /dev/urandom | busybox wc -c";
    let said = machine.run(Section::Post, script).said();

    assert_eq!(said.trim(), "4");
}

fn name_resolution_is_lent() {
    let machine = Machine::new(Identity::Auto);
    let ours = fs::read_to_string("/etc/resolv.conf").unwrap();

    let said = machine.run(Section::Post, "cat /etc/resolv.conf").said();

    assert_eq!(said, ours);
    assert_eq!(read(&machine, "/etc/resolv.conf"), Some(String::new()));
}

fn background_processes_end() {
    let machine = Machine::new(Identity::Auto);
    let begin = std::time::Instant::now();

    machine
        .run(
            Section::Post,
            "busybox sleep 100 & (busybox setsid busybox sleep 100 &) ; true",
        )
        .said();

    assert!(begin.elapsed().as_secs() < 20);
}

fn a_missing_interpreter_is_named() {
    let machine = Machine::new(Identity::Auto);
    machine.run(Section::Post, "busybox rm /bin/sh").said();

    let error = machine.run(Section::Post, "true").error();

    assert!(
        error.to_string().contains("/bin/sh cannot be run"),
        "{error}"
    );
}

fn nothing_stays_behind() {
    for identity in IDENTITIES {
        let mut machine = Machine::new(identity);
        let script = "busybox mkdir -p /a/b; echo > /a/b/c; busybox chown -R 5:5 /a; busybox chmod 0 /a/b /a";
        machine.run(Section::Post, script).said();

        drop(machine.workspace.take());

        assert!(is_empty(machine.scratch.path()));
    }
}

fn an_abandoned_build_is_swept() {
    let machine = Machine::new(Identity::Auto);
    let namespace = Namespace::new(Identity::Auto).unwrap();
    let abandoned = machine.scratch.path().join("build-abandoned");
    fs::create_dir_all(abandoned.join("rootfs")).unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    let running = Workspace::create(machine.scratch.path(), &namespace).unwrap();

    sandbox::sweep(machine.scratch.path(), &namespace).unwrap();

    assert!(!abandoned.exists());
    assert!(running.rootfs().exists());
    assert!(machine.workspace().rootfs().exists());
}

/// Content of a file of the tree, if there is one.
fn read(machine: &Machine, path: &str) -> Option<String> {
    let task = Task::StreamTree {
        latest: None,
        ledger: String::new(),
    };
    let mut tree = Vec::new();
    let streams = Streams {
        input: None,
        output: Output::Writer(&mut tree),
    };
    let workspace = machine.workspace();
    let streamed = workspace.perform(&task, streams);
    streamed.unwrap();
    let mut archive = tar::Archive::new(&tree[..]);
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut file =
        entries.find(|entry| Path::new("/").join(entry.path().unwrap()) == Path::new(path))?;
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    Some(content)
}
