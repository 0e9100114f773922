//! What the cases have in common: a tiny tree, and scripts run in it.

use std::fs;
use std::path::Path;

use cooperage_image::files::{self, Pair};
use cooperage_image::sandbox::{self, Identity, Namespace, Network, ScriptRun, Section, Workspace};
use cooperage_image::{Cancel, Context, Error, Limits};
use tempfile::TempDir;

/// A build with a tree that holds busybox.
pub(crate) struct Machine {
    pub(crate) workspace: Option<Workspace>,
    pub(crate) scratch: TempDir,
    pub(crate) context: TempDir,
    pub(crate) network: Network,
}

/// How a script ended, and what it said.
pub(crate) struct Ran {
    pub(crate) result: Result<(), Error>,
    pub(crate) output: String,
}

pub(crate) const IDENTITIES: [Identity; 2] = [Identity::Auto, Identity::Single];

impl Machine {
    pub(crate) fn new(identity: Identity) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let context = tempfile::tempdir().unwrap();
        let namespace = Namespace::new(identity).unwrap();
        let workspace = Workspace::create(scratch.path(), &namespace).unwrap();
        let etc = context.path().join("etc");
        fs::create_dir(&etc).unwrap();
        fs::write(etc.join("resolv.conf"), "").unwrap();
        fs::write(etc.join("passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        let machine = Self {
            workspace: Some(workspace),
            scratch,
            context,
            network: Network::Host,
        };
        machine
            .copy(&[("/bin/busybox", "/bin/busybox"), ("etc", "/etc")])
            .unwrap();
        machine
            .copy(&[("/bin/busybox", "/bin/sh"), ("/bin/busybox", "/bin/cat")])
            .unwrap();
        machine
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        self.workspace.as_ref().unwrap()
    }

    pub(crate) fn anywhere(&self) -> Context {
        Context::Anywhere {
            folder: self.context.path().to_owned(),
        }
    }

    pub(crate) fn copy(&self, pairs: &[(&str, &str)]) -> Result<(), Error> {
        self.copy_from(&self.anywhere(), pairs)
    }

    pub(crate) fn copy_from(&self, context: &Context, pairs: &[(&str, &str)]) -> Result<(), Error> {
        let pairs: Vec<Pair> = pairs
            .iter()
            .map(|(from, to)| Pair {
                source: (*from).to_owned(),
                destination: (!to.is_empty()).then(|| (*to).to_owned()),
            })
            .collect();
        files::copy(self.workspace(), context, &pairs, None, &mut |_| {})
    }

    pub(crate) fn run(&self, section: Section, script: &str) -> Ran {
        self.run_limited(section, script, Limits::default())
    }

    pub(crate) fn run_limited(&self, section: Section, script: &str, limits: Limits) -> Ran {
        self.run_with(section, script, limits, &Cancel::default())
    }

    pub(crate) fn run_with(
        &self,
        section: Section,
        script: &str,
        limits: Limits,
        cancel: &Cancel,
    ) -> Ran {
        let run = ScriptRun {
            section,
            command: ["/bin/sh", "-ec", script].map(str::to_owned).to_vec(),
            body: None,
            environment: vec![(
                "PATH".to_owned(),
                "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            )],
            context: (section == Section::Setup).then(|| self.context.path()),
            binds: &[],
            network: self.network,
            limits,
        };
        let mut output = Vec::new();
        let mut collect = |bytes: &[u8]| output.extend_from_slice(bytes);
        let result = sandbox::run_script(self.workspace(), &run, &mut collect, cancel);
        Ran {
            result,
            output: String::from_utf8_lossy(&output).into_owned(),
        }
    }
}

impl Ran {
    /// What a script said that had to succeed.
    pub(crate) fn said(self) -> String {
        assert!(self.result.is_ok(), "{:?}: {}", self.result, self.output);
        self.output
    }

    pub(crate) fn error(self) -> Error {
        match self.result {
            Err(error) => error,
            Ok(()) => panic!("script succeeded: {}", self.output),
        }
    }
}

/// Whether no build is left.
pub(crate) fn is_empty(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.filter(|entry| entry.file_name() != ".lock").count() == 0
}
