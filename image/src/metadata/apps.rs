//! Apps of the Scientific Filesystem: `/scif` and what finds its way there.
//!
//! See <https://sci-f.github.io/specification>.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::oci::single_quoted;
use super::tree::{PLAIN, SCRIPT, Tree};
use super::{Labels, Result, Scripts, labels};
use crate::definition::{App, Script, Stage};

/// An app, as it is written into the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppOfStage {
    /// Its name; one component of a path.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its scripts.
    pub scripts: Scripts,
}

impl From<&App> for AppOfStage {
    fn from(app: &App) -> Self {
        let file = |script: &Option<Script>| script.as_ref().map(Script::as_file);
        // These are no programs: they are as they were written, and not there when that is nothing.
        let body = |script: &Option<Script>| {
            let body = &script.as_ref()?.body;
            (!body.is_empty()).then(|| body.clone())
        };
        Self {
            name: app.name.clone(),
            labels: app.labels.iter().cloned().collect(),
            scripts: Scripts {
                runscript: file(&app.run),
                startscript: file(&app.start),
                test: file(&app.test),
                help: body(&app.help),
                environment: body(&app.environment),
            },
        }
    }
}

/// `%post`, and the installation of the apps after it.
pub fn post_with_apps(stage: &Stage) -> Option<Script> {
    let mut post = stage.sections.post.clone();
    for app in &stage.sections.apps {
        let Some(install) = app.install.as_ref().filter(|install| !install.is_blank()) else {
            continue;
        };
        let root = single_quoted(&format!("/scif/apps/{}", app.name));
        let base = single_quoted(&format!("/scif/apps/{}/scif/env/01-base.sh", app.name));
        let script = post.get_or_insert_with(|| Script {
            args: String::new(),
            body: String::new(),
        });
        let body = &install.body;
        script
            .body
            .extend(["\ncd /\n. ", &base, "\ncd ", &root, "\n", body, "\ncd /\n"]);
    }
    post.filter(|post| !post.is_blank())
}

/// Makes the folders and files of apps; to be called before `%post`, also when there are none.
pub fn install_apps(root: &Path, apps: &[AppOfStage]) -> Result<()> {
    let tree = Tree::new(root);
    let mut variables = "#!/bin/sh\n".to_owned();
    for app in apps {
        install_app(&tree, app)?;
        variables.push_str(&variables_of(app));
    }
    tree.folder(".singularity.d/env")?;
    tree.write(".singularity.d/env/94-appsbase.sh", &variables, SCRIPT)
}

fn install_app(tree: &Tree, app: &AppOfStage) -> Result<()> {
    let (root, data) = (
        format!("scif/apps/{}", app.name),
        format!("scif/data/{}", app.name),
    );
    for folder in ["bin", "lib", "scif/env"] {
        tree.folder(&format!("{root}/{folder}"))?;
    }
    for folder in ["input", "output"] {
        tree.folder(&format!("{data}/{folder}"))?;
    }
    tree.write(
        &format!("{root}/scif/env/01-base.sh"),
        &base_environment(&app.name),
        SCRIPT,
    )?;
    let scripts = &app.scripts;
    let files = [
        ("env/90-environment.sh", &scripts.environment, SCRIPT),
        ("runscript", &scripts.runscript, SCRIPT),
        ("startscript", &scripts.startscript, SCRIPT),
        ("test", &scripts.test, SCRIPT),
        ("runscript.help", &scripts.help, PLAIN),
    ];
    for (name, content, mode) in files {
        if let Some(content) = content {
            tree.write(&format!("{root}/scif/{name}"), content, mode)?;
        }
    }
    let mut labels = app.labels.clone();
    labels.insert("SCIF_APP_NAME".to_owned(), app.name.clone());
    labels::write_to(tree, &format!("{root}/scif/labels.json"), &labels)
}

fn base_environment(name: &str) -> String {
    let apps = |rest: &str| single_quoted(&format!("/scif/apps/{name}{rest}"));
    let data = |rest: &str| single_quoted(&format!("/scif/data/{name}{rest}"));
    let variables = [
        ("SCIF_APPNAME", single_quoted(name)),
        ("SCIF_APPROOT", apps("")),
        ("SCIF_APPMETA", apps("/scif")),
        ("SCIF_DATA", "/scif/data".to_owned()),
        ("SCIF_APPDATA", data("")),
        ("SCIF_APPINPUT", data("/input")),
        ("SCIF_APPOUTPUT", data("/output")),
    ];
    let mut script = "#!/bin/sh\n".to_owned();
    for (variable, value) in variables {
        script.extend(["export ", variable, "=", &value, "\n"]);
    }
    script
}

/// The variables by which an app is known to all others.
fn variables_of(app: &AppOfStage) -> String {
    let name = &app.name;
    let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let suffix: String = name
        .chars()
        .map(|letter| if word(letter) { letter } else { '_' })
        .collect();
    let scripts = &app.scripts;
    let variables = [
        ("SCIF_APPDATA", Some(format!("/scif/data/{name}"))),
        ("SCIF_APPMETA", Some(format!("/scif/apps/{name}/scif"))),
        ("SCIF_APPROOT", Some(format!("/scif/apps/{name}"))),
        ("SCIF_APPBIN", Some(format!("/scif/apps/{name}/bin"))),
        ("SCIF_APPLIB", Some(format!("/scif/apps/{name}/lib"))),
        (
            "SCIF_APPLABELS",
            Some(format!("/scif/apps/{name}/scif/labels.json")),
        ),
        (
            "SCIF_APPENV",
            scripts
                .environment
                .is_some()
                .then(|| format!("/scif/apps/{name}/scif/env/90-environment.sh")),
        ),
        (
            "SCIF_APPRUN",
            scripts
                .runscript
                .is_some()
                .then(|| format!("/scif/apps/{name}/scif/runscript")),
        ),
        (
            "SCIF_APPSTART",
            scripts
                .startscript
                .is_some()
                .then(|| format!("/scif/apps/{name}/scif/startscript")),
        ),
    ];
    let mut script = String::new();
    for (variable, value) in variables {
        if let Some(value) = value {
            let value = single_quoted(&value);
            script.extend(["export ", variable, "_", &suffix, "=", &value, "\n"]);
        }
    }
    script
}
