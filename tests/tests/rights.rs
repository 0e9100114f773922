//! A private image: for nobody without a token, and for its readers by every protocol.

use cooperage_protocol::BuildState;
use cooperage_protocol::accounts::Token;
use cooperage_tests::client::PASSWORD;
use cooperage_tests::{Account, Client, Forge, Hub, Options, http, process, pull};
use reqwest::header;

/// A remote of Apptainer has no place for a port.
const HOST: &str = "127.0.0.13";

const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n\n%post\n    echo hidden > /hidden.txt\n";

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn a_private_image_is_for_its_readers_alone_until_their_token_is_revoked() -> anyhow::Result<()> {
    let hub = Hub::start_with(Options {
        host: HOST,
        port: Some(80),
        ..Options::default()
    })?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/secret")?;
    hub.cooperage(&["collection", "set", "lab/secret", "--visibility", "private"])?
        .success()?;
    repository.write("Singularity.v1", RECIPE)?;
    repository.push()?;
    let builds = hub.finished_builds("lab/secret", 1)?;
    assert_eq!(builds[0].state, BuildState::Succeeded, "{:?}", builds[0]);
    let digest = builds[0]
        .image
        .as_ref()
        .expect("it has an image")
        .digest
        .to_string();

    let stranger = Client::new(&hub, "stranger", None)?;
    assert_refused(&stranger, "without a token")?;
    assert_nothing_is_told(&hub, &builds[0].id.to_string())?;

    let ada = Account::make(&hub, "ada", &["read"])?;
    hub.cooperage(&["collection", "member", "set", "lab/secret", "ada", "reader"])?
        .success()?;
    let reader = Client::new(&hub, "reader", Some(&ada.token))?;
    assert_pulled(&reader, &digest)?;

    revoke(&hub, &ada.cookie)?;
    assert_refused(&reader, "after the token was revoked")?;
    for secret in [ada.token.as_str(), PASSWORD, "/auth/invitation#"] {
        assert!(!hub.log().contains(secret), "the hub's log tells a secret");
    }
    Ok(())
}

fn revoke(hub: &Hub, cookie: &str) -> anyhow::Result<()> {
    let url = hub.url("/api/tokens");
    let client = http::client()?;
    let tokens: Vec<Token> = client
        .get(&url)
        .header(header::COOKIE, cookie)
        .send()?
        .json()?;
    let revoked = client.delete(format!("{url}/{}", tokens[0].id));
    revoked
        .header(header::COOKIE, cookie)
        .send()?
        .error_for_status()?;
    Ok(())
}

/// Nobody can tell the collection, or a build of it, from one that is not there.
fn assert_nothing_is_told(hub: &Hub, build: &str) -> anyhow::Result<()> {
    let told = |path: &str| -> anyhow::Result<(u16, String)> {
        let answer = http::client()?.get(hub.url(path)).send()?;
        Ok((answer.status().as_u16(), answer.text()?))
    };
    for path in [
        "/lab/secret",
        "/lab/secret/v1.sif",
        "/lab/secret/tags/v1",
        "/lab/secret/deliveries",
        "/api/container/lab/secret:v1",
        "/v1/images/lab/secret/secret:v1",
        "/v2/lab/secret/tags/list",
    ] {
        let (status, body) = told(path)?;
        let (other, of_none) = told(&path.replace("secret", "absent"))?;
        assert_eq!(
            (status, body.replace("secret", "absent")),
            (other, of_none),
            "{path}"
        );
        assert!(status == 404 || status == 401, "{path}: {status}");
    }
    let absent = "00000000-0000-7000-8000-000000000000";
    for path in [format!("/builds/{build}"), format!("/builds/{build}/log")] {
        let (status, body) = told(&path)?;
        assert_eq!(status, 404, "{path}");
        assert_eq!(
            body.replace(build, absent),
            told(&path.replace(build, absent))?.1
        );
    }
    for path in [
        "/",
        "/?q=secret",
        "/queue",
        "/api/collections",
        "/api/builds",
    ] {
        assert!(!told(path)?.1.contains("lab/secret"), "{path}");
    }
    Ok(())
}

fn skopeo(client: &Client<'_>) -> anyhow::Result<process::Output> {
    let image = format!("docker://{HOST}/lab/secret:v1");
    let options = ["inspect", "--raw", "--tls-verify=false", &image];
    client.skopeo(&options)
}

fn assert_refused(client: &Client<'_>, when: &str) -> anyhow::Result<()> {
    for address in addresses() {
        let pulled = client.apptainer(&["pull", "--force", "refused.sif", &address])?;
        assert!(!pulled.status.success(), "{when}: {address}");
        assert!(!client.file("refused.sif").exists(), "{when}: {address}");
        let pulled = client.ours(&format!("pull --force ours-refused.sif {address}"))?;
        assert!(!pulled.status.success(), "{when}: {address} by ours");
    }
    assert!(!skopeo(client)?.status.success(), "{when}: skopeo");
    Ok(())
}

fn assert_pulled(client: &Client<'_>, digest: &str) -> anyhow::Result<()> {
    for (number, address) in addresses().into_iter().enumerate() {
        // Apptainer has no token for hubs and the web, ours has that of its login.
        if number > 1 {
            client
                .apptainer(&["pull", "--force", "pulled.sif", &address])?
                .success()?;
            let pulled = pull::digest_of(&client.file("pulled.sif"))?;
            assert_eq!(pulled, digest, "{address}");
        }
        client
            .ours(&format!("pull --force ours.sif {address}"))?
            .success()?;
        let pulled = pull::digest_of(&client.file("ours.sif"))?;
        assert_eq!(pulled, digest, "{address} by ours");
    }
    let manifest = skopeo(client)?.success()?;
    assert!(manifest.contains(digest), "{manifest}");
    Ok(())
}

/// Where the image is, by each protocol; with the first two, Apptainer sends no token.
fn addresses() -> [String; 4] {
    [
        format!("shub://{HOST}/lab/secret:v1"),
        format!("http://{HOST}/lab/secret/v1.sif"),
        "library://lab/secret/secret:v1".to_owned(),
        format!("oras://{HOST}/lab/secret:v1"),
    ]
}
