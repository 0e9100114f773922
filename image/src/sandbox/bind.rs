//! Files and folders of the machine that a sandbox shows inside of the image.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether what is shown can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Access {
    /// As the caller may.
    #[default]
    Write,
    /// Not at all.
    Read,
}

/// A file or folder of the machine, and where the image has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Its path on the machine.
    pub source: PathBuf,
    /// Its path in the image, from the root.
    pub target: PathBuf,
    /// Whether it can be written to.
    pub access: Access,
}

impl FromStr for Bind {
    type Err = String;

    /// Reads `SOURCE[:TARGET[:OPTION]]`; without a target, it is the source's path.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let source = parts.next().unwrap_or_default();
        let target = parts.next().filter(|target| !target.is_empty());
        let access = parts.next().map_or(Ok(Access::Write), access)?;
        if parts.next().is_some() {
            return Err(format!("{text} has more parts than SOURCE:TARGET:OPTION"));
        }
        Self::new(source, target.unwrap_or(source), access)
    }
}

impl Bind {
    /// Reads `type=bind,source=SOURCE,target=TARGET[,ro]`, with the other names that these have.
    pub fn from_mount(text: &str) -> Result<Self, String> {
        let (mut source, mut target, mut mode) = (None, None, Access::Write);
        let mut is_bind = false;
        for field in text.split(',') {
            match field.split_once('=').unwrap_or((field, "")) {
                ("type", "bind") => is_bind = true,
                ("type", other) => return Err(format!("type={other} is not bind")),
                ("source" | "src", path) => source = Some(path),
                ("destination" | "dst" | "target", path) => target = Some(path),
                ("ro" | "readonly", "" | "true" | "1") => mode = Access::Read,
                ("ro" | "readonly", "false" | "0") | ("rw", "") => mode = Access::Write,
                ("bind-propagation", _) => {}
                _ => return Err(format!("{field} is none of type, source, target and ro")),
            }
        }
        match (is_bind, source, target) {
            (true, Some(source), Some(target)) => Self::new(source, target, mode),
            _ => Err(format!(
                "{text} should be type=bind,source=PATH,target=PATH"
            )),
        }
    }

    fn new(source: &str, target: &str, access: Access) -> Result<Self, String> {
        if source.is_empty() {
            return Err("there is no path of this machine before the colon".to_owned());
        }
        if !Path::new(target).is_absolute() {
            return Err(format!("{target} is a path in the image and begins with /"));
        }
        Ok(Self {
            source: PathBuf::from(source),
            target: PathBuf::from(target),
            access,
        })
    }
}

fn access(options: &str) -> Result<Access, String> {
    match options {
        "ro" => Ok(Access::Read),
        "rw" | "" => Ok(Access::Write),
        other => Err(format!("option {other} of a bind is neither ro nor rw")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str, access: Access) -> Bind {
        Bind {
            source: source.into(),
            target: target.into(),
            access,
        }
    }

    #[test]
    fn a_bind_has_a_source_and_perhaps_a_target_and_an_option() {
        let same = bind("/data", "/data", Access::Write);
        assert_eq!("/data".parse(), Ok(same));
        let read = bind("data", "/mnt", Access::Read);
        assert_eq!("data:/mnt:ro".parse(), Ok(read.clone()));
        let mount = "type=bind,source=data,destination=/mnt,ro";
        assert_eq!(Bind::from_mount(mount), Ok(read));
    }

    #[test]
    fn a_bind_that_says_nothing_sensible_is_refused() {
        for text in ["", ":/mnt", "/a:b", "/a:/b:execute", "/a:/b:ro:rw", "data"] {
            assert!(text.parse::<Bind>().is_err(), "{text}");
        }
        for text in [
            "",
            "type=tmpfs,target=/a",
            "type=bind,source=/a",
            "source=/a,target=/b",
        ] {
            assert!(Bind::from_mount(text).is_err(), "{text}");
        }
    }
}
