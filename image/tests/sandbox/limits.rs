//! Each limit ends a script, and says which one it was.

use std::time::{Duration, Instant};

use cooperage_image::sandbox::{Identity, Section};
use cooperage_image::{Cancel, Error, FailureKind, Limits};

use crate::Case;
use crate::machine::{IDENTITIES, Machine};

pub(crate) const CASES: &[Case] = &[
    (
        "the memory limit ends a script",
        the_memory_limit_ends_a_script,
    ),
    (
        "the process limit ends a fork bomb",
        the_process_limit_ends_a_fork_bomb,
    ),
    ("the disk limit ends a script", the_disk_limit_ends_a_script),
    (
        "many small files reach the disk limit",
        many_files_reach_the_disk_limit,
    ),
    (
        "a modest script keeps all limits",
        a_modest_script_keeps_all_limits,
    ),
    ("cancelling ends a script", cancelling_ends_a_script),
];

const MIB: u64 = 1 << 20;

fn kind_of(error: &Error) -> FailureKind {
    assert!(
        matches!(
            error,
            Error::Limit {
                section: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    error.kind()
}

fn the_memory_limit_ends_a_script() {
    for identity in IDENTITIES {
        let machine = Machine::new(identity);
        let limits = Limits {
            memory: Some(64 * MIB),
            ..Limits::default()
        };

        // Nobody alone is over the limit; all together are.
        let hog = "x=$(busybox head -c 30000000 /dev/zero | busybox tr '\\0' x); busybox sleep 20";
        let script = format!("for i in 1 2 3 4; do ( {hog} ) & done; wait");
        let error = machine.run_limited(Section::Post, &script, limits).error();

        assert_eq!(kind_of(&error), FailureKind::Memory);
    }
}

fn the_process_limit_ends_a_fork_bomb() {
    for identity in IDENTITIES {
        let machine = Machine::new(identity);
        let limits = Limits {
            processes: Some(40),
            ..Limits::default()
        };

        let bomb = "bomb() { bomb | bomb & }; bomb; busybox sleep 5; exit 7";
        let error = machine.run_limited(Section::Post, bomb, limits).error();

        assert_eq!(kind_of(&error), FailureKind::Processes, "{error}");
    }
}

fn the_disk_limit_ends_a_script() {
    let machine = Machine::new(Identity::Auto);
    let limits = Limits {
        disk: Some(32 * MIB),
        ..Limits::default()
    };

    let script = "busybox dd if=/dev/zero of=/tmp/large bs=1M count=64";
    let error = machine.run_limited(Section::Post, script, limits).error();

    assert_eq!(kind_of(&error), FailureKind::Disk);
}

fn many_files_reach_the_disk_limit() {
    let machine = Machine::new(Identity::Auto);
    let limits = Limits {
        disk: Some(32 * MIB),
        ..Limits::default()
    };

    let script = "for i in $(busybox seq 64); do busybox dd if=/dev/zero of=/f$i bs=1M count=1; done; \
                  busybox sleep 15";
    let error = machine.run_limited(Section::Post, script, limits).error();

    assert_eq!(kind_of(&error), FailureKind::Disk);
}

fn a_modest_script_keeps_all_limits() {
    let machine = Machine::new(Identity::Auto);
    let limits = Limits {
        time: None,
        memory: Some(256 * MIB),
        processes: Some(40),
        disk: Some(64 * MIB),
    };

    let said = machine
        .run_limited(Section::Post, "busybox sleep 1; echo done", limits)
        .said();

    assert_eq!(said, "done\n");
}

fn cancelling_ends_a_script() {
    let machine = Machine::new(Identity::Auto);
    let cancel = Cancel::default();
    let other = cancel.clone();
    let begin = Instant::now();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        other.cancel();
    });

    let limits = Limits::default();
    let ran = machine.run_with(Section::Post, "busybox sleep 60", limits, &cancel);

    canceller.join().unwrap();
    assert!(matches!(ran.error(), Error::Cancelled));
    assert!(begin.elapsed() < Duration::from_secs(10));
}
