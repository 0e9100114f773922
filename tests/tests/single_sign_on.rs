//! A person signs in with a certified provider of OpenID Connect, in a real browser.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cooperage_tests::process::Process;
use cooperage_tests::{Browser, Hub, Options, http, hub, settings, wait};

/// Another host than the hub's, so that browsers take it for another site.
const PROVIDER: &str = "127.0.0.21";
const SECRET: &str = "a secret, with: signs/of+all kinds";
const LONGEST: Duration = Duration::from_mins(1);
const WIDE: (u32, u32) = (1200, 900);

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_person_signs_in_with_a_provider_and_links_and_unlinks_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (port, provider_port) = (hub::free_port("127.0.0.1")?, hub::free_port(PROVIDER)?);
    let hub = Hub::start_with(Options {
        port: Some(port),
        workers: 0,
        settings: providers(folder.path(), provider_port)?,
        ..Options::default()
    })?;
    // The hub began without the provider.
    let ada = Browser::start(folder.path(), WIDE.0, WIDE.1)?;
    ada.open(&hub.url("/login?next=/queue"))?;
    ada.follow("Sign in with Corp")?;
    wait_for_text(&ada, "Corp does not answer now")?;

    let mut provider = start_provider(&hub, folder.path(), provider_port)?;
    come_in(&ada, &hub, "ada")?;
    assert_eq!(account(&ada, &hub)?, "ada");
    provider.terminate()?;
    // It has other keys now, and has forgotten who was logged in.
    let mut provider = start_provider(&hub, folder.path(), provider_port)?;
    ada.press("Log out")?;
    wait_for_address(&ada, &hub.url("/"))?;
    come_in(&ada, &hub, "ada")?;
    assert_eq!(account(&ada, &hub)?, "ada");
    drop(ada);

    let admin = Browser::start(folder.path(), WIDE.0, WIDE.1)?;
    log_in_as_admin(&admin, &hub)?;
    link(&admin, &hub, "Club", "root")?;
    let again = Browser::start(folder.path(), WIDE.0, WIDE.1)?;
    again.open(&hub.url("/login"))?;
    again.follow("Sign in with Club")?;
    log_in_at_provider(&again, "root")?;
    wait_for_address(&again, &hub.url("/"))?;
    assert_eq!(account(&again, &hub)?, "admin");
    admin.open(&hub.url("/auth/tokens"))?;
    admin.press("Unlink")?;
    wait_for_text(&admin, "Link an account that you have elsewhere")?;
    drop((admin, again));

    // An unproven address is not let in by Club, nor is somebody whom it does not know.
    let mallory = Browser::start(folder.path(), WIDE.0, WIDE.1)?;
    for (name, told) in [("mallory", "certain domains"), ("eve", "an invitation")] {
        mallory.open(&hub.url("/login"))?;
        mallory.follow("Sign in with Club")?;
        log_in_at_provider(&mallory, name)?;
        wait_for_text(&mallory, told)?;
        provider.terminate()?;
        provider = start_provider(&hub, folder.path(), provider_port)?;
    }
    let people = hub.query("SELECT string_agg(name, ',' ORDER BY name) FROM users")?;
    assert_eq!(people, "ada,admin");
    for secret in [SECRET, "code=", "id_token"] {
        assert!(
            !hub.log().contains(secret),
            "the hub's log tells {secret:?}"
        );
    }
    Ok(())
}

fn providers(folder: &Path, port: u16) -> anyhow::Result<String> {
    let file = folder.join("secret");
    std::fs::write(&file, SECRET)?;
    open_to_all(folder)?;
    let provider = |id: &str, name: &str, more: &str| {
        format!(
            "[[login.providers]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"oidc\"\n\
             issuer = \"http://{PROVIDER}:{port}\"\nclient_id = \"client-{id}\"\n\
             client_secret_file = \"{}\"\n{more}\n",
            file.display()
        )
    };
    let club = "allowed_domains = [\"example.org\"]\n\
                token_endpoint_auth_method = \"client_secret_post\"";
    Ok(provider("corp", "Corp", "newcomers = \"join\"") + &provider("club", "Club", club))
}

fn open_to_all(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn start_provider(hub: &Hub, folder: &Path, port: u16) -> anyhow::Result<Process> {
    let mut command = Command::new("node");
    command
        .arg(settings::tool("oidc-provider.mjs"))
        .arg(&hub.world.oidc_provider)
        .args([PROVIDER, &port.to_string(), &hub.url("")]);
    let process = Process::start(&mut command, &folder.join("provider.log"))?;
    let client = http::client()?;
    wait::until("the provider", LONGEST, || {
        let asked = client.get(format!("http://{PROVIDER}:{port}/jwks"));
        Ok(asked.send().ok().map(drop))
    })?;
    Ok(process)
}

fn come_in(browser: &Browser, hub: &Hub, name: &str) -> anyhow::Result<()> {
    browser.open(&hub.url("/login?next=/queue"))?;
    browser.follow("Sign in with Corp")?;
    log_in_at_provider(browser, name)?;
    wait_for_address(browser, &hub.url("/queue"))
}

/// Fills in the provider's own pages: the login, and what the hub may know.
fn log_in_at_provider(browser: &Browser, name: &str) -> anyhow::Result<()> {
    wait_for_text(browser, "Sign-in")?;
    browser.fill("login", name)?;
    browser.fill("password", "any")?;
    browser.press("Sign-in")?;
    wait_for_text(browser, "Authorize")?;
    browser.press("Continue")
}

fn log_in_as_admin(browser: &Browser, hub: &Hub) -> anyhow::Result<()> {
    let password = std::fs::read_to_string(hub.data().join("admin-password"))?;
    browser.open(&hub.url("/login"))?;
    browser.fill("name", "admin")?;
    browser.fill("password", password.trim())?;
    browser.press("Log in")?;
    wait_for_address(browser, &hub.url("/"))
}

fn link(browser: &Browser, hub: &Hub, provider: &str, name: &str) -> anyhow::Result<()> {
    browser.open(&hub.url("/auth/tokens"))?;
    browser.press(&format!("Link {provider}"))?;
    log_in_at_provider(browser, name)?;
    wait_for_address(browser, &hub.url("/auth/tokens#identities"))?;
    wait_for_text(browser, name)
}

/// Whose account the hub shows.
fn account(browser: &Browser, hub: &Hub) -> anyhow::Result<String> {
    browser.open(&hub.url("/auth/tokens"))?;
    let name = browser.evaluate("return document.querySelector('h1').innerText")?;
    Ok(name.as_str().unwrap_or_default().to_owned())
}

fn wait_for_address(browser: &Browser, address: &str) -> anyhow::Result<()> {
    wait::until(address, LONGEST, || {
        Ok((browser.address()? == address).then_some(()))
    })
}

fn wait_for_text(browser: &Browser, text: &str) -> anyhow::Result<()> {
    wait::until(text, LONGEST, || {
        Ok(browser.text()?.contains(text).then_some(()))
    })
}
