//! `%files from`: copies from the trees of earlier stages.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;

use super::event::Phase;
use super::stage::StageBuild;
use super::stages::Stages;
use crate::base;
use crate::definition::{FileCopy, FilesFrom};
use crate::error::Error;
use crate::inside::{CopyTarget, FoundFile, Reply, Task};
use crate::sandbox::{Output, Streams};

/// What one tree gives to another.
#[derive(Default)]
struct Copies {
    paths: Vec<PathBuf>,
    targets: Vec<CopyTarget>,
}

impl StageBuild<'_> {
    /// Copies `%files from` other stages into the image.
    pub(super) fn copy_from_stages(&mut self, stages: &Stages<'_>) -> Result<(), Error> {
        for files in &self.stage.sections.files {
            let FilesFrom::Stage(index) = files.from else {
                continue;
            };
            self.enter(Phase::Files)?;
            let source = stages.get(index)?;
            let copies = source.find(&files.copies)?;
            self.take(source, copies)?;
        }
        Ok(())
    }

    /// Finds what is to be copied out of this stage.
    fn find(&self, copies: &[FileCopy]) -> Result<Copies, Error> {
        let words = copies.iter().map(|copy| copy.source.clone()).collect();
        let found = match self.inside(&Task::FindFiles(words))? {
            Reply::Found(found) => found,
            other => return Err(Error::Internal(format!("search was answered by {other:?}"))),
        };
        let mut all = Copies::default();
        for (copy, found) in copies.iter().zip(found) {
            if found.is_empty() {
                return Err(self.missing(copy));
            }
            for file in found {
                self.say(&format!("copying {} from this stage", file.path.display()));
                all.targets.push(target(copy, &file));
                all.paths.push(file.real);
            }
        }
        Ok(all)
    }

    fn missing(&self, copy: &FileCopy) -> Error {
        let stage = self.stage.name().unwrap_or("without a name");
        Error::At {
            error: Box::new(Error::Base {
                message: format!("{} is not in stage {stage}", copy.source),
                help: Some("paths start at the root of that stage's files".to_owned()),
            }),
            line: copy.line,
            column: 1,
        }
    }

    fn take(&mut self, source: &StageBuild<'_>, copies: Copies) -> Result<(), Error> {
        let (mut archive, writer) = io::pipe().map_err(Error::io("creating", "a pipe"))?;
        let give = Task::StreamFiles {
            paths: copies.paths,
            ledger: source.ledger.clone(),
        };
        let take = Task::PutFiles {
            targets: copies.targets,
            ledger: std::mem::take(&mut self.ledger),
            most_bytes: self.order.request.limits.disk,
        };
        let (given, taken) = thread::scope(|scope| {
            let giving = scope.spawn(move || source.give(&give, writer.into()));
            let cancel = &self.order.watch.cancel;
            let taken = base::apply(&self.workspace, &take, &mut archive, cancel);
            // Who still gives learns that nobody takes any more.
            drop(archive);
            (giving.join(), taken)
        });
        self.order.watch.check()?;
        let given = given.map_err(|_| Error::Internal("giving files panicked".to_owned()))?;
        // Giving fails too when taking does, and then says less.
        match (given, taken) {
            (given, Ok(taken)) => {
                self.ledger = taken.ledger;
                given
            }
            (_, Err(error)) => Err(error),
        }
    }

    fn give(&self, task: &Task, writer: OwnedFd) -> Result<(), Error> {
        let streams = Streams {
            input: None,
            output: Output::File(writer),
        };
        self.workspace.perform(task, streams).map(drop)
    }
}

/// In a folder, the copy has the name that was written, not that of what a link leads to.
fn target(copy: &FileCopy, file: &FoundFile) -> CopyTarget {
    let destination = copy.destination.as_deref().unwrap_or_default();
    CopyTarget {
        is_folder: destination.ends_with('/'),
        name: file.path.file_name().map(PathBuf::from).unwrap_or_default(),
        destination: if destination.is_empty() {
            file.path.clone()
        } else {
            PathBuf::from(destination)
        },
    }
}
