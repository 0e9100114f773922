//! The list of commands in `--help`, by what somebody wants to do.

use clap::Command;

/// The commands by heading, in the order in which they are shown.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "The hub",
        &[
            "up",
            "serve",
            "work",
            "collection",
            "builds",
            "logs",
            "cancel",
            "worker",
            "user",
            "team",
            "login",
            "logout",
            "store",
            "key",
        ],
    ),
    (
        "Images, with or without a hub",
        &[
            "build", "check", "run", "exec", "shell", "test", "pull", "inspect", "apps", "diff",
            "registry", "cache",
        ],
    ),
    (
        "Images that can be written to, as in Singularity 2",
        &["create", "import", "bootstrap", "copy", "export", "expand"],
    ),
    ("This program", &["completion", "man"]),
];

/// The command line with its commands in groups.
pub(crate) fn grouped(command: Command) -> Command {
    let list = list(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}Options:\n{{options}}{{after-help}}"
    ))
}

fn list(command: &Command) -> String {
    let heading = command.get_styles().get_header();
    let group = |(title, names): &(&str, &[&str])| {
        let found = names
            .iter()
            .filter_map(|name| command.find_subcommand(name));
        let lines: String = found.map(|below| line(command, below)).collect();
        format!("{heading}{title}:{heading:#}\n{lines}\n")
    };
    GROUPS.iter().map(group).collect()
}

fn line(command: &Command, below: &Command) -> String {
    let literal = command.get_styles().get_literal();
    let about = below.get_about().map(ToString::to_string);
    let (name, about) = (below.get_name(), about.unwrap_or_default());
    format!("  {literal}{name:<12}{literal:#}{about}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group_and_every_group_names_commands_that_exist() {
        let command = crate::command_line();
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).collect();
        let mut shown: Vec<_> = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set())
            .map(Command::get_name)
            .collect();
        grouped.sort_unstable();
        shown.sort_unstable();

        assert_eq!(grouped, shown.iter().collect::<Vec<_>>());
    }
}
