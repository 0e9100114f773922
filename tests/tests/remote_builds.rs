//! `singularity build --remote`: the calls of its client in their order, then Apptainer pulls.
//! <https://github.com/sylabs/scs-build-client>

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooperage_tests::{Account, Client, Hub, Options, http, process};
use reqwest::header;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;

/// A remote of Apptainer has no place for a port.
const HOST: &str = "127.0.0.19";

const DEFINITION: &str = "Bootstrap: docker\nFrom: busybox\n\n%files\n    notes/today.txt /today.txt\n    \
    /srv/shared/rule.txt /rule.txt\n\n%post\n    echo built remotely\n    cat /rule.txt >> /today.txt\n";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn what_somebody_sends_is_built_told_and_pulled() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    let ada = Account::make(&hub, "ada", &["read", "build"])?;
    let remote = Remote {
        hub: &hub,
        token: &ada.token,
    };

    let services: Value = http::client()?
        .get(hub.url("/assets/config/config.prod.json"))
        .send()?
        .json()?;
    assert_eq!(services["builderAPI"]["uri"], services["libraryAPI"]["uri"]);

    let context = remote.send_context(hub.folder())?;
    let built = remote.build(DEFINITION, &context)?;
    assert!(built.log.contains("built remotely"), "{}", built.log);
    assert!(
        built.told["imageSize"].as_u64() > Some(0),
        "{:?}",
        built.told
    );
    remote.forget_context(&context)?;

    let library = built.told["libraryRef"].as_str().context("no address")?;
    let machine = Client::new(&hub, "ada-laptop", Some(&ada.token))?;
    machine
        .apptainer(&["pull", "out.sif", library])?
        .success()?;
    let shown = machine.apptainer(&["exec", "out.sif", "cat", "/today.txt"])?;
    assert_eq!(shown.success()?, "sunny\nalways test\n");

    let stranger = Client::new(&hub, "stranger", None)?;
    assert!(
        !stranger
            .apptainer(&["pull", "no.sif", library])?
            .status
            .success()
    );

    let broken = DEFINITION.replace("echo built remotely", "exit 7");
    let failed = remote.build(&broken, &remote.send_context(hub.folder())?)?;
    assert!(failed.log.contains("ERROR:"), "{}", failed.log);
    assert!(failed.told["imageSize"].is_null(), "{:?}", failed.told);
    Ok(())
}

/// The remote builder, for somebody.
struct Remote<'a> {
    hub: &'a Hub,
    token: &'a str,
}

/// How a build ended.
struct Built {
    log: String,
    told: Value,
}

impl Remote<'_> {
    fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<(Value, Option<String>)> {
        let answer = http::client()?
            .request(method.parse()?, self.hub.url(path))
            .header(header::AUTHORIZATION, format!("BEARER {}", self.token))
            .json(body)
            .send()?;
        let status = answer.status();
        let location = answer.headers().get(header::LOCATION).cloned();
        let text = answer.text()?;
        anyhow::ensure!(status.is_success(), "{method} {path}: {status} {text}");
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        let location = location.map(|it| it.to_str().map(ToOwned::to_owned));
        Ok((told["data"].clone(), location.transpose()?))
    }

    /// Packs what the definition copies as the client does: by paths from the root.
    fn send_context(&self, folder: &Path) -> anyhow::Result<String> {
        let top = folder.join("sent");
        for (path, text) in [
            ("home/ada/notes/today.txt", "sunny\n"),
            ("srv/shared/rule.txt", "always test\n"),
        ] {
            let path = top.join(path);
            std::fs::create_dir_all(path.parent().context("no folder")?)?;
            std::fs::write(path, text)?;
        }
        let archive = folder.join("sent.tar.gz");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&top).arg("-czf").arg(&archive);
        process::run(tar.args(["home", "srv"]), Duration::from_mins(1))?.success()?;
        let bytes = std::fs::read(&archive)?;
        let digest = format!("sha256.{}", hex::encode(Sha256::digest(&bytes)));
        let body = json!({ "size": bytes.len(), "digest": digest });
        let (_, address) = self.call("POST", "/v1/build-context", &body)?;
        let sent = http::client()?
            .put(address.context("nowhere to send it")?)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(bytes)
            .send()?;
        sent.error_for_status()?;
        Ok(digest)
    }

    fn forget_context(&self, digest: &str) -> anyhow::Result<()> {
        let path = format!("/v1/build-context/{digest}");
        self.call("DELETE", &path, &Value::Null).map(drop)
    }

    fn build(&self, definition: &str, context: &str) -> anyhow::Result<Built> {
        let body = json!({
            "definitionRaw": STANDARD.encode(definition), "libraryRef": "",
            "builderRequirements": { "arch": "amd64" }, "contextDigest": context,
            "workingDir": "/home/ada",
        });
        let (told, _) = self.call("POST", "/v1/build", &body)?;
        let id = told["id"].as_str().context("no id")?;
        let log = self.follow(id)?;
        let (told, _) = self.call("GET", &format!("/v1/build/{id}"), &Value::Null)?;
        anyhow::ensure!(told["isComplete"] == true, "{told}");
        Ok(Built { log, told })
    }

    /// Reads the log to its end, which has to be a normal one.
    fn follow(&self, build: &str) -> anyhow::Result<String> {
        let url = self.hub.url(&format!("/v1/build-ws/{build}"));
        let mut request = url.replace("http://", "ws://").into_client_request()?;
        let bearer = format!("BEARER {}", self.token).parse()?;
        request.headers_mut().insert("authorization", bearer);
        let (mut socket, _) = tungstenite::connect(request)?;
        let mut log = String::new();
        loop {
            match socket.read()? {
                Message::Text(text) => log.push_str(&text),
                Message::Close(frame) => {
                    let code = frame.context("closed without a word")?.code;
                    anyhow::ensure!(u16::from(code) == 1000, "closed with {code}");
                    return Ok(log);
                }
                _ => {}
            }
        }
    }
}
