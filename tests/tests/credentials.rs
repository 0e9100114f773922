//! A collection's account for a registry: checked at the press of a button, and used by its builds.

use std::time::Duration;

use anyhow::Context;
use cooperage_protocol::BuildState;
use cooperage_protocol::check::{Progress, RegistryCheck, Subject, Verdict};
use cooperage_tests::{Browser, Forge, Hub, wait};

const LONGEST: Duration = Duration::from_mins(1);
const NAME: &str = "lab/private";
const SETTINGS: &str = "/lab/private/settings";
const SIZES: [(u32, u32); 2] = [(390, 844), (1600, 1000)];

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_wrong_password_is_found_by_a_button_and_the_right_one_builds() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, NAME)?;
    let registry = hub.world.password_registry.clone();
    let base = format!("{registry}/private/busybox:latest");
    let browser = Browser::start(hub.folder(), SIZES[0].0, SIZES[0].1)?;
    log_in(&browser, &hub)?;

    add_account(&browser, &hub, &registry, "hunter22")?;
    let wrong = press_check(&browser, &hub, &base, "does not accept account")?;
    assert!(wrong.to_lowercase().contains("login"), "{wrong}");
    let (exit, told) = check(&hub, &base)?;
    assert_eq!((exit, end(&told)?), (1, (Subject::Login, Verdict::Bad)));

    add_account(&browser, &hub, &registry, "s3cret")?;
    let right = press_check(
        &browser,
        &hub,
        &base,
        "A build of lab/private gets this image",
    )?;
    let (exit, told) = check(&hub, &base)?;
    assert_eq!((exit, end(&told)?), (0, (Subject::Image, Verdict::Good)));

    repository.write("Singularity", format!("Bootstrap: docker\nFrom: {base}\n"))?;
    repository.push()?;
    let build = hub.finished_builds(NAME, 1)?.remove(0);
    assert_eq!(build.state, BuildState::Succeeded, "{:?}", build.failure);
    let log = hub.build_log(&build)?;
    for place in [wrong, right, serde_json::to_string(&told)?, log, hub.log()] {
        assert!(
            !place.contains("hunter22") && !place.contains("s3cret"),
            "{place}"
        );
    }
    pages_fit(&hub)
}

fn log_in(browser: &Browser, hub: &Hub) -> anyhow::Result<()> {
    let password = std::fs::read_to_string(hub.data().join("admin-password"))?;
    browser.open(&hub.url("/login"))?;
    let fields = [("name", "admin"), ("password", password.trim())];
    send(browser, "/login", &fields)?;
    seen(browser, "Log out").map(drop)
}

fn add_account(browser: &Browser, hub: &Hub, registry: &str, password: &str) -> anyhow::Result<()> {
    browser.open(&hub.url(SETTINGS))?;
    let fields = [
        ("registry", registry),
        ("username", "tester"),
        ("password", password),
    ];
    // The last of these forms adds, those before replace.
    send(browser, &format!("{SETTINGS}/accounts"), &fields)?;
    wait::until("the account on the page", LONGEST, || {
        let place = browser.evaluate("return location.hash").unwrap_or_default();
        Ok((place == "#accounts").then_some(()))
    })?;
    seen(browser, registry).map(drop)
}

/// The page of a check once it says this.
fn press_check(browser: &Browser, hub: &Hub, base: &str, told: &str) -> anyhow::Result<String> {
    browser.open(&hub.url(SETTINGS))?;
    let image = format!("docker://{base}");
    send(browser, &format!("{SETTINGS}/checks"), &[("uri", &image)])?;
    seen(browser, told)
}

/// Fills the last form for an address, and presses its button.
fn send(browser: &Browser, action: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
    let fields = serde_json::to_string(fields)?;
    let filled = browser.evaluate(&format!(
        "const form = [...document.querySelectorAll('form[action=\"{action}\"]')].pop();
        if (!form) return false;
        for (const [name, value] of {fields}) form.elements[name].value = value;
        form.querySelector('button').click();
        return true;"
    ))?;
    anyhow::ensure!(filled == true, "no form for {action}: {}", browser.text()?);
    Ok(())
}

fn seen(browser: &Browser, told: &str) -> anyhow::Result<String> {
    wait::until(told, LONGEST, || {
        // While a page is left there is no text.
        let text = browser.text().unwrap_or_default();
        Ok(Some(text).filter(|text| text.contains(told)))
    })
}

/// What the command line says of the same image, and how it ends.
fn check(hub: &Hub, base: &str) -> anyhow::Result<(i32, RegistryCheck)> {
    let image = format!("docker://{base}");
    let verbs = ["collection", "credential", "check"];
    let output = hub.cooperage(&[&verbs[..], &[NAME, &image, "--format", "json"]].concat())?;
    let told = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    Ok((output.status.code().unwrap_or(-1), told))
}

fn end(check: &RegistryCheck) -> anyhow::Result<(Subject, Verdict)> {
    let Progress::Answered { steps } = &check.progress else {
        anyhow::bail!("not answered: {check:?}")
    };
    let last = steps.last().context("no steps")?;
    Ok((last.subject, last.verdict))
}

/// The settings and a check, on a phone and on a wide screen, in light and dark.
fn pages_fit(hub: &Hub) -> anyhow::Result<()> {
    for (width, height) in SIZES {
        let browser = Browser::start(hub.folder(), width, height)?;
        log_in(&browser, hub)?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme)?;
            browser.open(&hub.url(SETTINGS))?;
            fits(&browser, &format!("settings-{width}-{scheme}"))?;
            browser.follow("private/busybox")?;
            fits(&browser, &format!("check-{width}-{scheme}"))?;
        }
    }
    Ok(())
}

fn fits(browser: &Browser, page: &str) -> anyhow::Result<()> {
    let over = "return document.documentElement.scrollWidth - window.innerWidth";
    let over = browser.evaluate(over)?.as_i64();
    assert!(
        over.is_some_and(|over| over <= 0),
        "{page}: {over:?} pixels"
    );
    Ok(())
}
