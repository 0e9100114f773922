//! The stages that were built so far; a tree is kept as long as a later stage copies from it.

use super::stage::StageBuild;
use crate::definition::{Definition, FilesFrom, Stage};
use crate::error::Error;

/// Built stages by their place in the definition.
pub(super) struct Stages<'a> {
    definition: &'a Definition,
    built: Vec<Option<StageBuild<'a>>>,
}

impl<'a> Stages<'a> {
    pub(super) fn of(definition: &'a Definition) -> Self {
        Self {
            definition,
            built: Vec::new(),
        }
    }

    /// Keeps a stage, and removes the trees that nobody needs any more.
    pub(super) fn add(&mut self, build: StageBuild<'a>) {
        self.built.push(Some(build));
        let later = &self.definition.stages[self.built.len()..];
        let last = self.definition.stages.len() - 1;
        for (index, built) in self.built.iter_mut().enumerate() {
            let is_needed = index == last || later.iter().any(|stage| copies_from(stage, index));
            if !is_needed {
                *built = None;
            }
        }
    }

    /// Which stage is next, when there are several.
    pub(super) fn announce(&self, stage: &Stage, say: &dyn Fn(&str)) {
        let (number, count) = (self.built.len() + 1, self.definition.stages.len());
        if count > 1 {
            let name = stage.name().map(|name| format!(": {name}"));
            say(&format!(
                "stage {number} of {count}{}",
                name.unwrap_or_default()
            ));
        }
    }

    /// The stage at a place of the definition.
    pub(super) fn get(&self, index: usize) -> Result<&StageBuild<'a>, Error> {
        let built = self.built.get(index).and_then(Option::as_ref);
        built.ok_or_else(|| Error::Internal(format!("stage {index} was removed too early")))
    }

    /// The stage that becomes the image.
    pub(super) fn into_last(self) -> Result<StageBuild<'a>, Error> {
        let last = self.built.into_iter().next_back().flatten();
        last.ok_or_else(|| Error::Internal("definition has no stage".to_owned()))
    }
}

fn copies_from(stage: &Stage, index: usize) -> bool {
    let mut files = stage.sections.files.iter();
    files.any(|files| files.from == FilesFrom::Stage(index))
}
