//! A person finds the way from the front page to a pull command, and watches a log grow.

use std::time::Duration;

use cooperage_protocol::BuildState;
use cooperage_tests::{Browser, Forge, Hub, Options, wait};

const HOST: &str = "127.0.0.8";
const LONGEST: Duration = Duration::from_mins(1);
const PHONE: (u32, u32) = (390, 844);
const WIDE: (u32, u32) = (1600, 1000);

const SLOW: &str = "Bootstrap: docker\nFrom: busybox\n
%post
    for n in $(seq 1 12); do echo \"line $n of the log\"; sleep 1; done
";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_person_finds_the_way_from_the_front_page_to_a_pull_command() -> anyhow::Result<()> {
    // A shub:// address has no place for a port.
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/tool")?;
    repository.write("Singularity", "Bootstrap: docker\nFrom: busybox\n")?;
    repository.push()?;
    let builds = hub.finished_builds("lab/tool", 1)?;
    assert_eq!(
        builds[0].state,
        BuildState::Succeeded,
        "{:?}",
        builds[0].failure
    );

    for (width, height) in [PHONE, WIDE] {
        let browser = Browser::start(hub.folder(), width, height)?;
        let mut backgrounds = Vec::new();
        for scheme in ["light", "dark"] {
            browser.prefer(scheme)?;
            walk_to_the_pull_command(&browser, &hub)?;
            backgrounds.push(brightness_of_background(&browser)?);
        }
        assert!(
            backgrounds[0] > 0.5 && backgrounds[1] < 0.5,
            "light and dark: {backgrounds:?}"
        );
    }
    Ok(())
}

fn walk_to_the_pull_command(browser: &Browser, hub: &Hub) -> anyhow::Result<()> {
    browser.open(&hub.url("/"))?;
    assert_fits(browser)?;
    browser.follow("lab/tool")?;
    assert_fits(browser)?;
    assert_offers_to_pull(&browser.text()?);
    browser.follow("Recipe")?;
    assert_fits(browser)?;
    assert_offers_to_pull(&browser.text()?);
    Ok(())
}

fn assert_offers_to_pull(text: &str) {
    assert!(
        text.contains(&format!("shub://{HOST}/lab/tool:latest")),
        "{text}"
    );
    assert!(
        text.contains("apptainer pull") && text.contains("curl"),
        "{text}"
    );
}

/// Nothing is wider than the window.
fn assert_fits(browser: &Browser) -> anyhow::Result<()> {
    let over = "return document.documentElement.scrollWidth - window.innerWidth";
    let over = browser.evaluate(over)?.as_i64();
    assert!(
        over.is_some_and(|over| over <= 0),
        "{over:?} pixels too wide: {}",
        browser.text()?
    );
    Ok(())
}

/// From 0, black, to 1, white.
fn brightness_of_background(browser: &Browser) -> anyhow::Result<f64> {
    let script = "
        const canvas = document.createElement('canvas').getContext('2d');
        for (const element of [document.documentElement, document.body]) {
            canvas.fillStyle = getComputedStyle(element).backgroundColor;
            canvas.fillRect(0, 0, 1, 1);
        }
        const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
        return (red + green + blue) / 765.0 + 0.0001";
    Ok(browser.evaluate(script)?.as_f64().unwrap_or_default())
}

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_person_watches_a_log_grow_without_loading_the_page_again() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/slow")?;
    repository.write("Singularity", SLOW)?;
    repository.push()?;
    let build = wait::until("a running build", LONGEST, || {
        let builds = hub.builds("lab/slow")?;
        Ok(builds
            .into_iter()
            .find(|build| build.state == BuildState::Running))
    })?;
    let browser = Browser::start(hub.folder(), WIDE.0, WIDE.1)?;

    browser.open(&hub.url(&format!("/builds/{}", build.id)))?;
    browser.evaluate("window.watching = true")?;
    let seen = |line: &'static str| {
        wait::until(line, LONGEST, || {
            Ok(Some(browser.text()?).filter(|text| text.contains(line)))
        })
    };

    let early = seen("line 3 of the log")?;
    seen("line 12 of the log")?;
    assert!(
        !early.contains("line 12 of the log"),
        "the log was there at once: {early}"
    );
    assert_eq!(
        browser.evaluate("return window.watching")?,
        true,
        "the page was loaded again"
    );
    wait::until("the end of the build", LONGEST, || {
        Ok(browser
            .text()?
            .to_lowercase()
            .contains("succeeded")
            .then_some(()))
    })?;
    Ok(())
}

/// Its third line is a warning, its fifth an error.
const WRONG: &str = "Bootstrap: docker
From: busybox
From: alpine

%pots
    echo a line that is far wider than any telephone, so that it has to be broken into several
";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_person_sees_what_is_wrong_with_a_recipe_under_its_lines() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/wrong")?;
    repository.write("Singularity", WRONG)?;
    repository.push()?;
    let builds = hub.finished_builds("lab/wrong", 1)?;
    assert_eq!(builds[0].state, BuildState::Failed);

    for (width, height) in [PHONE, WIDE] {
        let browser = Browser::start(hub.folder(), width, height)?;
        for scheme in ["light", "dark"] {
            browser.prefer(scheme)?;
            browser.open(&hub.url(&format!("/builds/{}", builds[0].id)))?;
            assert_fits(&browser)?;
            assert_told_under(&browser, 3, "warning", "header key `from` is repeated")?;
            assert_told_under(&browser, 5, "error", "Did you mean `%post`?")?;
            browser.follow("Singularity:5")?;
            assert_eq!(browser.evaluate("return location.hash")?, "#L5");
        }
    }
    Ok(())
}

/// A note of this severity is visible below the text of a line, and can be told from its ground.
fn assert_told_under(
    browser: &Browser,
    line: u32,
    severity: &str,
    text: &str,
) -> anyhow::Result<()> {
    let note = browser.evaluate(&format!(
        "const line = document.querySelector('#L{line}');
        const note = line.querySelector('.note.{severity}');
        if (!note) return null;
        const word = getComputedStyle(note.querySelector('strong')).color;
        const under = note.getBoundingClientRect();
        return {{
            text: note.innerText,
            below: under.top - line.querySelector('code').getBoundingClientRect().bottom,
            inside: window.innerWidth - under.right,
            height: under.height,
            differs: word !== getComputedStyle(note).backgroundColor,
        }}"
    ))?;
    let at_least = |key: &str, least: f64| note[key].as_f64().is_some_and(|value| value >= least);
    assert!(
        note["text"]
            .as_str()
            .is_some_and(|told| told.contains(text)),
        "line {line}: {note}"
    );
    assert!(
        at_least("below", 0.0) && at_least("inside", 0.0) && at_least("height", 20.0),
        "line {line}: {note}"
    );
    assert_eq!(note["differs"], true, "line {line}: {note}");
    Ok(())
}
