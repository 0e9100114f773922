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

    /// Says which stage is next, when there are several.
    pub(super) fn announce(&self, say: &dyn Fn(&str)) {
        if let Some(next) = self.next() {
            say(&next);
        }
    }

    /// What went wrong in the next stage, with its name when there are several.
    pub(super) fn name_next(&self, error: Error) -> Error {
        match self.next() {
            Some(next) => error.in_stage(&next),
            None => error,
        }
    }

    /// The next of several stages: its number, and its name if it has one.
    fn next(&self) -> Option<String> {
        let (index, stages) = (self.built.len(), &self.definition.stages);
        let stage = stages.get(index).filter(|_| stages.len() > 1)?;
        let name = stage.name().map(|name| format!(" ({name})"));
        let (number, count) = (index + 1, stages.len());
        Some(format!(
            "stage {number} of {count}{}",
            name.unwrap_or_default()
        ))
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
