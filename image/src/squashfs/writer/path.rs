//! Which names does a path in a tar stream consist of?

use super::error::Error;
use crate::squashfs::format::{LONGEST_NAME, LONGEST_TARGET};

/// Splits a path into names. Leading slashes and `.` mean nothing; the root has no names.
pub(super) fn names(path: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let names: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .collect();
    for name in &names {
        check(path, name)?;
    }
    Ok(names)
}

/// Refuses a cleaned path that no file system can hold.
pub(crate) fn check_name(path: &[u8]) -> Result<(), Error> {
    names(path).map(drop)
}

/// Refuses a target of a symbolic link that Linux would not follow.
pub(crate) fn check_target(path: &[u8], target: &[u8]) -> Result<(), Error> {
    if target.is_empty() {
        return Err(Error::entry(path, "a symbolic link needs a target"));
    }
    if target.len() > LONGEST_TARGET {
        return Err(Error::entry(
            path,
            "target of a link must not be longer than 4095 bytes",
        ));
    }
    Ok(())
}

fn check(path: &[u8], name: &[u8]) -> Result<(), Error> {
    if name == b".." {
        return Err(Error::entry(path, "a path must not contain `..`"));
    }
    if name.contains(&0) {
        return Err(Error::entry(path, "a path must not contain a zero byte"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::entry(
            path,
            "a name must not be longer than 255 bytes",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_and_dotted_paths_are_relative_to_the_root() {
        let expected: Vec<&[u8]> = vec![b"usr", b"bin"];

        for path in ["usr/bin", "/usr/bin", "./usr//bin/", "usr/./bin"] {
            assert_eq!(names(path.as_bytes()).unwrap(), expected, "{path}");
        }
        assert!(names(b"./").unwrap().is_empty());
    }

    #[test]
    fn paths_that_leave_the_root_or_hold_impossible_names_are_refused() {
        let long = [b'n'; 256];

        for path in [&b"usr/../../etc"[..], b"a\0b", &long] {
            assert!(names(path).is_err(), "{path:?}");
        }
        assert!(names(&long[1..]).is_ok());
    }
}
