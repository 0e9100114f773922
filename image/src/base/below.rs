//! Where a base's layers go: into the root file system of the build, or into a tree that is kept
//! for all builds to lay their overlays over.

use std::path::PathBuf;

use super::Bootstrapper;
use crate::error::{Error, FailureKind};
use crate::lower::{Facts, Key, KeyOf, Lower, Store};

/// What a build's root file system lies over.
pub(crate) enum Below {
    /// Nothing: it is a folder with everything in it.
    Nothing,
    /// Whatever the agent has; until then it is an empty folder.
    Anything,
    /// A tree that is being filled, and the key that it will have.
    Filling { tree: PathBuf, key: String },
    /// These trees, the uppermost first; without any, an empty one.
    Trees(Vec<Lower>),
}

impl Bootstrapper<'_> {
    /// Takes the tree that `key` stands for from the cache, or has `fill` make it of layers. Without
    /// a key, or an overlay, the layers go into the root file system.
    pub(crate) fn keep(
        &mut self,
        key: Option<Key>,
        fill: &mut dyn FnMut(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(key) = key.filter(|_| matches!(self.below, Below::Anything)) else {
            return fill(self);
        };
        let store = Store {
            cache: &self.settings.cache,
            namespace: self.workspace.namespace(),
            cancel: self.cancel,
        };
        let mut is_known = true;
        let lower = store.find_or_make(&key, &mut |tree| {
            is_known = false;
            self.below = Below::Filling {
                tree: tree.to_owned(),
                key: key.as_str().to_owned(),
            };
            fill(self)?;
            Ok(Facts {
                ledger: std::mem::take(&mut self.ledger),
                bytes: self.unpacked,
            })
        })?;
        if let Some(packs) = &mut self.packs {
            if is_known {
                packs.look_up(key.as_str())?;
            } else {
                packs.write_down(key.as_str())?;
            }
        }
        if is_known {
            self.say(&format!("the base was unpacked {} ago", lower.age()));
        }
        self.unpacked = lower.facts.bytes;
        self.ledger.clone_from(&lower.facts.ledger);
        self.below = Below::Trees(vec![lower]);
        self.require_space()
    }

    /// Begins with nothing.
    pub(super) fn begin_empty(&mut self) {
        if matches!(self.below, Below::Anything) {
            self.below = Below::Trees(Vec::new());
        }
    }

    /// Begins the key of a tree.
    pub(crate) fn key(&self, kind: &str) -> KeyOf {
        Key::of(kind, self.workspace.namespace())
    }

    fn require_space(&self) -> Result<(), Error> {
        match self.request.limits.disk {
            Some(most) if self.unpacked > most => Err(Error::Limit {
                kind: FailureKind::Disk,
                message: "base takes more space than the disk limit allows".to_owned(),
                section: None,
            }),
            _ => Ok(()),
        }
    }
}
