//! Which sections of a definition a build takes notice of.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::definition::{App, Sections};

/// A section that can be chosen or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// `%pre`.
    Pre,
    /// `%setup`.
    Setup,
    /// `%files`.
    Files,
    /// `%post`.
    Post,
    /// `%environment`.
    Environment,
    /// `%runscript`.
    Runscript,
    /// `%startscript`.
    Startscript,
    /// `%test`.
    Test,
    /// `%labels`.
    Labels,
    /// `%help`.
    Help,
}

const NAMES: [(&str, Part); 10] = [
    ("pre", Part::Pre),
    ("setup", Part::Setup),
    ("files", Part::Files),
    ("post", Part::Post),
    ("environment", Part::Environment),
    ("runscript", Part::Runscript),
    ("startscript", Part::Startscript),
    ("test", Part::Test),
    ("labels", Part::Labels),
    ("help", Part::Help),
];

/// The sections that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(BTreeSet<Part>);

impl Default for Parts {
    fn default() -> Self {
        Self(NAMES.iter().map(|(_, part)| *part).collect())
    }
}

impl FromStr for Parts {
    type Err = String;

    /// Reads names with commas between them, or one of the words `all` and `none` alone.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::default()),
            "none" => return Ok(Self(BTreeSet::new())),
            _ => {}
        }
        let names = text.split(',').map(str::trim);
        names.map(part).collect::<Result<_, _>>().map(Self)
    }
}

fn part(name: &str) -> Result<Part, String> {
    if matches!(name, "all" | "none") {
        return Err(format!("{name} stands alone, without other sections"));
    }
    let found = NAMES.iter().find(|(known, _)| *known == name);
    found.map(|(_, part)| *part).ok_or_else(|| {
        let known = NAMES.map(|(known, _)| known).join(", ");
        format!("there is no section {name:?}: name some of {known}, or all, or none")
    })
}

impl Parts {
    fn has(&self, part: Part) -> bool {
        self.0.contains(&part)
    }

    /// Takes out what does not count. Sections of apps go with the section that they are like.
    pub(super) fn keep_in(&self, sections: &mut Sections) {
        self.keep(Part::Pre, &mut sections.pre);
        self.keep(Part::Setup, &mut sections.setup);
        self.keep(Part::Files, &mut sections.files);
        self.keep(Part::Post, &mut sections.post);
        self.keep(Part::Environment, &mut sections.environment);
        self.keep(Part::Runscript, &mut sections.runscript);
        self.keep(Part::Startscript, &mut sections.startscript);
        self.keep(Part::Test, &mut sections.test);
        self.keep(Part::Labels, &mut sections.labels);
        self.keep(Part::Help, &mut sections.help);
        for app in &mut sections.apps {
            self.keep_in_app(app);
        }
        sections.apps.retain(|app| {
            let empty = App {
                name: app.name.clone(),
                ..App::default()
            };
            *app != empty
        });
    }

    fn keep_in_app(&self, app: &mut App) {
        self.keep(Part::Files, &mut app.files);
        self.keep(Part::Post, &mut app.install);
        self.keep(Part::Environment, &mut app.environment);
        self.keep(Part::Runscript, &mut app.run);
        self.keep(Part::Startscript, &mut app.start);
        self.keep(Part::Test, &mut app.test);
        self.keep(Part::Labels, &mut app.labels);
        self.keep(Part::Help, &mut app.help);
    }

    fn keep<T: Default>(&self, part: Part, section: &mut T) {
        if !self.has(part) {
            *section = T::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_named_with_commas_or_all_at_once() {
        let some: Parts = "post,labels".parse().unwrap();

        assert!(some.has(Part::Post) && some.has(Part::Labels) && !some.has(Part::Setup));
        assert_eq!("all".parse(), Ok(Parts::default()));
        assert!(!"none".parse::<Parts>().unwrap().has(Part::Post));
        assert!("all,post".parse::<Parts>().is_err());
        assert!("pots".parse::<Parts>().is_err());
    }

    #[test]
    fn what_does_not_count_is_taken_out_of_apps_too() {
        let text = b"Bootstrap: scratch\n%post\n x\n%help\n h\n%appinstall a\n x\n%apphelp b\n h\n";
        let definition = crate::definition::parse(text, &crate::definition::Options::default());
        let mut stages = definition.definition.unwrap().stages;
        let sections = &mut stages[0].sections;

        "help".parse::<Parts>().unwrap().keep_in(sections);

        assert!(sections.post.is_none() && sections.help.is_some());
        let names: Vec<_> = sections.apps.iter().map(|app| &app.name).collect();
        assert_eq!(names, ["b"]);
    }
}
