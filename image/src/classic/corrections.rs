//! What `debugfs` has to change in the copy of a tree, so that owners, devices and attributes are
//! there which the tree's own file system could not represent.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::layer::{Correction, Device, DeviceKind};

/// The commands for `debugfs`, and whether the file system has to be repaired after them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) text: Vec<u8>,
    /// Names know of what kind their files are, and devices have no content.
    pub(super) has_devices: bool,
}

impl Commands {
    /// Turns corrections, one JSON object a line, into commands. Values of attributes get files in
    /// `folder`, which `debugfs` sees at `seen_at`.
    pub(super) fn of(corrections: &[u8], folder: &Path, seen_at: &str) -> io::Result<Self> {
        let mut commands = Self::default();
        let mut values = 0;
        for line in corrections.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let correction: Correction = serde_json::from_slice(line)?;
            let file = quoted(&correction.path)?;
            commands.set_inode(&file, &correction)?;
            for (name, value) in &correction.record.xattrs {
                let name = quoted_word(name)?;
                fs::write(folder.join(format!("value-{values}")), value)?;
                let source = format!("{seen_at}/value-{values}");
                commands.push(&[b"ea_set -f ", source.as_bytes(), b" ", &file, b" ", &name])?;
                values += 1;
            }
        }
        Ok(commands)
    }

    /// See debugfs(8), `set_inode_field`.
    fn set_inode(&mut self, file: &[u8], correction: &Correction) -> io::Result<()> {
        let mut set = |field: &str, value: String| {
            self.push(&[
                b"sif ",
                file,
                b" ",
                field.as_bytes(),
                b" ",
                value.as_bytes(),
            ])
        };
        if let Some((user, group)) = correction.record.owner {
            set("uid", user.to_string())?;
            set("gid", group.to_string())?;
        }
        if let Some(device) = correction.record.device {
            let mode = kind(device) | correction.mode & 0o7777;
            set("mode", format!("0{mode:o}"))?;
            set("block[0]", "0".to_owned())?;
            set("block[1]", number(device).to_string())?;
            self.has_devices = true;
        }
        Ok(())
    }

    fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.text.write_all(part)?;
        }
        self.text.write_all(b"\n")
    }
}

fn quoted(path: &[u8]) -> io::Result<Vec<u8>> {
    quoted_word(&[b"/", path].concat())
}

/// A word between quotes, which are doubled inside; a command ends with its line.
fn quoted_word(word: &[u8]) -> io::Result<Vec<u8>> {
    if word.contains(&b'\n') {
        let name = word.escape_ascii();
        return Err(io::Error::other(format!(
            "{name} has two lines in its name"
        )));
    }
    let mut quoted = vec![b'"'];
    for byte in word {
        quoted.push(*byte);
        if *byte == b'"' {
            quoted.push(b'"');
        }
    }
    quoted.push(b'"');
    Ok(quoted)
}

fn kind(device: Device) -> u32 {
    match device.kind {
        DeviceKind::Character => 0o020_000,
        DeviceKind::Block => 0o060_000,
    }
}

/// As the kernel writes the number of a device into the second word of an inode's map.
fn number(device: Device) -> u32 {
    device.minor & 0xff | (device.major & 0xfff) << 8 | (device.minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corrections_become_commands_whatever_is_in_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let line = br#"{"path":[97,34,32,98],"mode":33188,"record":{"inode":1,"held_by":[0,0],
            "owner":[70000,5],"device":{"kind":"character","major":1,"minor":3},
            "xattrs":[[[117,46,120],[0,255]]]}}"#;
        let line: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'\n').collect();

        let commands = Commands::of(&line, folder.path(), "/tmp").unwrap();

        assert_eq!(
            String::from_utf8(commands.text).unwrap(),
            "sif \"/a\"\" b\" uid 70000\nsif \"/a\"\" b\" gid 5\n\
             sif \"/a\"\" b\" mode 020644\nsif \"/a\"\" b\" block[0] 0\n\
             sif \"/a\"\" b\" block[1] 259\n\
             ea_set -f /tmp/value-0 \"/a\"\" b\" \"u.x\"\n"
        );
        assert!(commands.has_devices);
        assert_eq!(fs::read(folder.path().join("value-0")).unwrap(), [0, 255]);
    }

    #[test]
    fn a_name_of_two_lines_gives_no_command_of_its_own() {
        let line =
            br#"{"path":[97,10,98],"mode":0,"record":{"inode":1,"held_by":[0,0],"owner":[1,1]}}"#;

        let refused = Commands::of(line, Path::new("/"), "/").unwrap_err();

        assert!(refused.to_string().contains("two lines"), "{refused}");
    }
}
