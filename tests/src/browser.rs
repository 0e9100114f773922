//! Chromium without a window, driven over `WebDriver` (<https://www.w3.org/TR/webdriver2/>).

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::process::Process;
use crate::{http, hub, wait};

const START: Duration = Duration::from_mins(1);

/// The key under which `WebDriver` names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window; it ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    session: String,
    driver: Process,
}

impl Browser {
    /// Starts a browser whose window has this size.
    pub fn start(folder: &Path, width: u32, height: u32) -> anyhow::Result<Self> {
        let port = hub::free_port("127.0.0.1")?;
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env("HOME", folder);
        let driver = Process::start(&mut command, &folder.join("chromedriver.log"))?;
        let client = http::client()?;
        let url = format!("http://127.0.0.1:{port}");
        wait::until("chromedriver", START, || {
            Ok(client.get(format!("{url}/status")).send().ok().map(drop))
        })?;
        let wanted = capabilities(width, height);
        let answer = client.post(format!("{url}/session")).json(&wanted).send()?;
        let value = value_of(&answer.text()?)?;
        let id = value["sessionId"]
            .as_str()
            .context("chromedriver gave no session")?;
        Ok(Self {
            session: format!("{url}/session/{id}"),
            client,
            driver,
        })
    }

    /// Opens a page.
    pub fn open(&self, url: &str) -> anyhow::Result<()> {
        self.post("url", &json!({ "url": url })).map(drop)
    }

    /// Has the page believe that its reader prefers `light` or `dark`.
    pub fn prefer(&self, scheme: &str) -> anyhow::Result<()> {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let command =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.post("goog/cdp/execute", &command).map(drop)
    }

    /// Clicks the first link whose text contains `text`.
    pub fn follow(&self, text: &str) -> anyhow::Result<()> {
        let element = self
            .find("partial link text", text)
            .with_context(|| format!("no link {text:?}"))?;
        self.post(&format!("element/{element}/click"), &json!({}))
            .map(drop)
    }

    /// Presses the first button whose text contains `text`.
    pub fn press(&self, text: &str) -> anyhow::Result<()> {
        let xpath = format!("//button[contains(., \"{text}\")]");
        let element = self
            .find("xpath", &xpath)
            .with_context(|| format!("no button {text:?}"))?;
        self.post(&format!("element/{element}/click"), &json!({}))
            .map(drop)
    }

    /// Types into the field of a form that has this name.
    pub fn fill(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let element = self
            .find("css selector", &format!("[name={name}]:not([type=hidden])"))
            .with_context(|| format!("no field {name:?}"))?;
        self.post(
            &format!("element/{element}/value"),
            &json!({ "text": text }),
        )
        .map(drop)
    }

    /// The address of the page.
    pub fn address(&self) -> anyhow::Result<String> {
        let address = self.evaluate("return location.href")?;
        Ok(address.as_str().unwrap_or_default().to_owned())
    }

    /// What a script returns.
    pub fn evaluate(&self, script: &str) -> anyhow::Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text that a reader sees.
    pub fn text(&self) -> anyhow::Result<String> {
        let text = self.evaluate("return document.body.innerText")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn find(&self, using: &str, value: &str) -> anyhow::Result<String> {
        let found = self.post("element", &json!({ "using": using, "value": value }))?;
        let element = found[ELEMENT].as_str().context("an element has an id")?;
        Ok(element.to_owned())
    }

    fn post(&self, command: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self
            .client
            .post(format!("{}/{command}", self.session))
            .json(body)
            .send()?;
        value_of(&answer.text()?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Err(error) = self.client.delete(&self.session).send() {
            eprintln!("closing the browser: {error}");
        }
        if let Err(error) = self.driver.terminate() {
            eprintln!("ending chromedriver: {error}");
        }
    }
}

fn capabilities(width: u32, height: u32) -> Value {
    let size = format!("--window-size={width},{height}");
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        &size,
    ];
    // A phone's width is less than the least of a window; device metrics have no such limit.
    let device =
        json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0 } });
    let options = json!({ "args": arguments, "mobileEmulation": device });
    json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } })
}

fn value_of(answer: &str) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_str(answer)?;
    let value = answer["value"].take();
    if let Some(error) = value["error"].as_str() {
        anyhow::bail!("{error}: {}", value["message"].as_str().unwrap_or_default());
    }
    Ok(value)
}
