//! Scripts of a definition, and how they are run.

/// A section with a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What stands behind the section's name, raw.
    pub args: String,
    /// The lines, each ended by a newline.
    pub body: String,
}

impl Script {
    /// The command that runs this script, stored at `script_path`, while the image is built.
    ///
    /// What the section has behind its name is added to `/bin/sh -ex`; after `-c` all the rest,
    /// with the script's path, is one command for that shell.
    pub fn command(&self, script_path: &str) -> Vec<String> {
        let words = words(&self.args);
        let mut command = vec!["/bin/sh".to_owned(), "-ex".to_owned()];
        let Some(shell) = words.iter().position(|word| *word == "-c") else {
            command.extend(words.into_iter().map(str::to_owned));
            command.push(script_path.to_owned());
            return command;
        };
        command.extend(words[..=shell].iter().copied().map(str::to_owned));
        let mut inner = words[shell + 1..].to_vec();
        inner.push(script_path);
        command.push(inner.join(" "));
        command
    }

    /// The script as an executable file of the image: shebang, blank line, body.
    pub fn as_file(&self) -> String {
        let trimmed = self.body.trim_start();
        let (shebang, body) = match trimmed.strip_prefix("#!") {
            Some(_) => trimmed.split_once('\n').unwrap_or((trimmed, "")),
            None => ("#!/bin/sh", self.body.as_str()),
        };
        let args = words(&self.args).join(" ");
        let space = if args.is_empty() { "" } else { " " };
        format!("{}{space}{args}\n\n{body}\n", shebang.trim_end())
    }

    /// Whether there is nothing to run.
    pub fn is_blank(&self) -> bool {
        self.body.trim().is_empty()
    }
}

/// The words of a section's arguments, up to a comment.
pub(super) fn words(args: &str) -> Vec<&str> {
    args.split('#')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect()
}
