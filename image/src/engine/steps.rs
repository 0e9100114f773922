//! What scripts and files make of a base is a step. It is kept, as a tree that later builds lie over
//! and as a pack that their images share, and is not taken again as long as nothing changes that
//! it depends on.
//!
//! It does not depend on what is written into the image after it: runscript, startscript, labels,
//! environment, help and test.

use std::process;
use std::time::SystemTime;

use super::event::Phase;
use super::request::Context;
use super::stage::StageBuild;
use super::stages::Stages;
use crate::definition::{App, Files, FilesFrom};
use crate::error::Error;
use crate::files;
use crate::lower::{self, Facts, Key, Lower, Partial, Role, Store};
use crate::metadata::post_with_apps;
use crate::pack::{self, Pack, Packs};
use crate::sandbox::{Namespace, Root, Section};

impl<'a> StageBuild<'a> {
    /// Copies files and runs scripts, or takes what they made of the same base before.
    pub(super) fn change_base(&mut self, earlier: &Stages<'_>) -> Result<(), Error> {
        self.changes = self.key_of_changes(earlier)?;
        let key = self.changes.clone().filter(|_| self.is_worth_keeping());
        let (Some(key), Some(age)) = (key, self.order.request.step_age) else {
            return self.take_step(earlier);
        };
        let namespace = self.workspace.namespace().clone();
        let store = self.step_store(&namespace);
        let turn = store.place(Role::Step)?;
        let _turn = store.wait_for_turn(&turn.join(format!("{}.lock", key.as_str())))?;
        if let Some(lower) = store.find(Role::Step, &key, Some(age))?
            && let Some((step, pack)) = self.with_pack(lower, &key, &namespace)?
        {
            self.enter(Phase::Step)?;
            self.say(&format!(
                "scripts and files are as they were {} ago; --no-step-cache runs and copies them again",
                step.age()
            ));
            return self.lay_over(step, pack);
        }
        self.take_step(earlier)?;
        self.keep_step(store, &key)
    }

    fn take_step(&mut self, earlier: &Stages<'_>) -> Result<(), Error> {
        self.prepare_base()?;
        self.copy_from_stages(earlier)?;
        self.run_setup()?;
        self.copy_files()?;
        self.run_post()?;
        self.refresh_libraries()
    }

    fn step_store<'s>(&self, namespace: &'s Namespace) -> Store<'s>
    where
        'a: 's,
    {
        Store {
            cache: &self.order.settings.cache,
            namespace,
            cancel: &self.order.watch.cancel,
        }
    }

    /// Without scripts and files, there is nothing that takes time.
    fn is_worth_keeping(&self) -> bool {
        let sections = &self.stage.sections;
        let mut app_files = sections.apps.iter().flat_map(App::copies);
        post_with_apps(self.stage).is_some()
            || !sections.files.is_empty()
            || app_files.next().is_some()
    }

    /// All that the changes to the base depend on; nothing if that cannot be known.
    fn key_of_changes(&self, earlier: &Stages<'_>) -> Result<Option<Key>, Error> {
        let sections = &self.stage.sections;
        // What runs beside the image may read any file, and so may what sees the machine's.
        let is_closed = sections.pre.is_none()
            && sections.setup.is_none()
            && self.order.request.binds.is_empty();
        if !is_closed || !matches!(self.workspace.root(), Root::Overlay(_)) {
            return Ok(None);
        }
        let Some(copied) = self.copied_from_context()? else {
            return Ok(None);
        };
        let Some(given) = self.copied_from_stages(earlier)? else {
            return Ok(None);
        };
        let internal = |error: serde_json::Error| Error::Internal(error.to_string());
        let preparations = serde_json::to_string(&self.preparations()).map_err(internal)?;
        let mut key = Key::of("step", self.workspace.namespace());
        for lower in &self.lowers {
            key = key.and(lower.key.as_str());
        }
        key = key
            .and(&preparations)
            .and(&copied)
            .and(&given)
            .and(&format!("{:?}", self.order.settings.network));
        if self.makes_packs() {
            key = key.and(&format!("{:?}", self.order.request.packing));
        }
        if let Some(post) = post_with_apps(self.stage) {
            let command = post.command(Section::Post.script_path().unwrap_or_default());
            key = key.and(&command.join("\0")).and(&post.body);
        }
        Ok(Some(key.end()))
    }

    /// What `%files` copies of the context, as a hash; nothing if it cannot be read, which copying
    /// explains better.
    fn copied_from_context(&self) -> Result<Option<[u8; 32]>, Error> {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return Ok(Some([0; 32]));
        }
        let context: &Context = &self.order.request.context;
        let most_bytes = self.order.request.limits.disk;
        let hashed = files::hash(context, &pairs, most_bytes);
        self.order.watch.check()?;
        Ok(hashed.ok())
    }

    /// What is copied from earlier stages, and what those are made of.
    fn copied_from_stages(&self, earlier: &Stages<'_>) -> Result<Option<String>, Error> {
        let mut text = String::new();
        for Files { from, copies } in &self.stage.sections.files {
            let FilesFrom::Stage(index) = from else {
                continue;
            };
            let source = earlier.get(*index)?;
            let Some(changes) = &source.changes else {
                return Ok(None);
            };
            let own = format!("{:?}", source.stage.sections);
            text.extend([changes.as_str(), &own]);
            let copies = copies.iter().map(|copy| (&copy.source, &copy.destination));
            text.extend(copies.map(|copy| format!("{copy:?}\n")));
        }
        Ok(Some(text))
    }

    /// A kept step with its pack, if the image is made of packs; a step without is removed.
    fn with_pack(
        &self,
        step: Lower,
        key: &Key,
        namespace: &Namespace,
    ) -> Result<Option<(Lower, Option<Pack>)>, Error> {
        if !self.makes_packs() {
            return Ok(Some((step, None)));
        }
        let packs = Packs::of(&self.order.settings.cache)?;
        let list = packs.find_list(&self.list_of_step(key))?;
        let pack = list.and_then(|packs| packs.into_iter().next());
        let Some((_, pack)) = pack else {
            let folder = step.folder().map(ToOwned::to_owned);
            drop(step);
            if let Some(folder) = folder {
                lower::remove(&folder, namespace)?;
            }
            return Ok(None);
        };
        Ok(Some((step, Some(pack))))
    }

    fn list_of_step(&self, key: &Key) -> pack::Key {
        pack::Key::of("step", key.as_str(), self.order.request.packing)
    }

    /// Keeps what was changed just now. The pack is written down after the tree has its name, and what
    /// stood there is forgotten before, so that a tree never stands beside the pack of another run: it
    /// may not get its name, as long as somebody still uses one that is too old.
    fn keep_step(&mut self, store: Store<'_>, key: &Key) -> Result<(), Error> {
        let packs = Packs::of(&self.order.settings.cache)?;
        let list = self.list_of_step(key);
        let pack = self.makes_packs().then(|| self.pack_step(&packs, key));
        let pack = pack.transpose()?;
        packs.remove_list(&list)?;
        let partial = Partial::without_tree(&store.place(Role::Step)?, store.namespace)?;
        self.workspace.move_changes(&partial.place())?;
        let facts = Facts {
            ledger: std::mem::take(&mut self.ledger),
            bytes: 0,
        };
        let step = store.put(partial, (Role::Step, key), &facts)?;
        if let Some((own, _)) = pack.as_ref().filter(|_| step.is_kept()) {
            packs.write_list(&list, &[own])?;
        }
        self.lay_over(step, pack.map(|(_, pack)| pack))
    }

    fn pack_step(&self, packs: &Packs, key: &Key) -> Result<(pack::Key, Pack), Error> {
        let pack = self.pack(packs, &self.changes_as_layer(), &self.packs)?;
        let made = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let run = format!("{} {made:?} {}", key.as_str(), process::id());
        let own = pack::Key::of("run", &run, self.order.request.packing);
        let pack = packs.keep(&own, pack)?;
        Ok((own, pack))
    }

    fn lay_over(&mut self, step: Lower, pack: Option<Pack>) -> Result<(), Error> {
        self.ledger.clone_from(&step.facts.ledger);
        self.lowers.insert(0, step);
        let trees = self.lowers.iter().map(|lower| lower.tree.clone());
        self.workspace.lay_over(trees.collect())?;
        self.packs.extend(pack);
        Ok(())
    }
}
