//! The description of the API and the hub agree: Schemathesis asks what the description allows and what
//! it does not, and finds every answer described.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use cooperage_protocol::accounts::{AddedToken, Session, Token};
use cooperage_protocol::admin::{Key, KeyUse};
use cooperage_protocol::published::Delivery;
use cooperage_tests::{Forge, Hub, http, process};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const LONGEST: Duration = Duration::from_mins(4);
const COLLECTION: &str = "/api/collections/lab/tool";
const RECIPE: &str = "Bootstrap: docker\nFrom: busybox\n\n%post\n    echo asked > /asked.txt\n";
const ADAS_KEY: &str = include_str!("../../server/tests/site/keys/ada.asc");
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// Calls that take away what the others ask with or ask for.
const ENDS: [&str; 4] = [
    "remove_collection",
    "remove_team",
    "change_user",
    "revoke_token",
];

#[test]
#[ignore = "needs the world that tests/run sets up"]
fn every_answer_is_as_the_hub_describes_it() -> anyhow::Result<()> {
    let hub = Hub::start()?;
    let forge = Forge::start()?;
    let repository = forge.connect(&hub, "lab/tool")?;
    repository.write("Singularity.v1", RECIPE)?;
    repository.push()?;
    hub.finished_builds("lab/tool", 1)?;
    hub.cooperage(&["team", "add", "chemists"])?.success()?;
    hub.cooperage(&["user", "add", "ada"])?.success()?;
    log_in(&hub)?;
    let made: AddedToken = send(&hub, "/api/tokens", &new_token("all"))?;
    let token = format!("Authorization: Bearer {}", made.token);

    let mut all = vec!["--header", &token];
    let mut ends = all.clone();
    for call in ENDS {
        all.extend(["--exclude-operation-id", call]);
        ends.extend(["--include-operation-id", call]);
    }
    let mut settings = settings(&hub)?;
    ask(&hub, &settings, &["--phases", "coverage"])?;
    // what was answered by refusals alone has not been tried
    settings["warnings"] = json!({ "fail-on": ["missing_auth", "missing_test_data"] });
    ask(&hub, &settings, &all)?;
    ask(&hub, &settings, &ends)
}

/// Has Schemathesis ask the hub; what it finds wrong is the error.
fn ask(hub: &Hub, settings: &Value, arguments: &[&str]) -> anyhow::Result<()> {
    let file = hub.folder().join("schemathesis.toml");
    std::fs::write(file, toml::to_string(settings)?)?;
    let mut command = Command::new(&hub.world.schemathesis);
    command
        .current_dir(hub.folder())
        .args(["--no-color", "run"]);
    command.arg(hub.url("/api/openapi.json"));
    command.args(["--checks", CHECKS, "--continue-on-failure"]);
    command.args(["--seed", "1", "--max-examples", "10"]);
    if !arguments.contains(&"--phases") {
        command.args(["--phases", "examples,coverage,fuzzing"]);
    }
    let found = process::run(command.args(arguments), LONGEST)?;
    found.success().map(drop)
}

/// What there is to be asked for: Schemathesis cannot guess it.
fn settings(hub: &Hub) -> anyhow::Result<Value> {
    let builds = hub.builds("lab/tool")?;
    let image = builds[0].image.as_ref().context("it has an image")?;
    let deliveries: Vec<Delivery> = get(hub, &format!("{COLLECTION}/deliveries"))?;
    let check = json!({ "uri": "docker://busybox" });
    let check: Value = send(hub, &format!("{COLLECTION}/checks"), &check)?;
    let sessions: Vec<Session> = get(hub, "/api/sessions")?;
    let _: AddedToken = send(hub, "/api/tokens", &new_token("spare"))?;
    let key = add_key(hub)?;
    let tokens: Vec<Token> = get(hub, "/api/tokens")?;
    let spare = tokens.iter().find(|token| token.name == "spare");

    Ok(json!({
        "dictionaries": {
            "owner": { "values": ["lab"] },
            "repository": { "values": ["tool"] },
            "digest": { "values": [image.digest] },
            "tag": { "values": ["v1"] },
            "user": { "values": ["ada"] },
            "team": { "values": ["chemists"] },
            "registry": { "values": ["localhost:5000"] },
            "branch": { "values": ["main"] },
            "build": { "values": [builds[0].id] },
            "delivery": { "values": [deliveries[0].id] },
            "check": { "values": [check["id"]] },
            "session": { "values": [sessions[0].id] },
            "token": { "values": [spare.context("no token")?.id] },
            "key": { "values": [key] },
        },
        "parameters": {
            "path.owner": often("owner"),
            "path.repository": often("repository"),
            "path.digest": often("digest"),
            "path.tag": often("tag"),
            "path.user": often("user"),
            "path.registry": often("registry"),
            "body.registry": often("registry"),
        },
        "operations": [
            of("^/api/builds/", "path.id", "build"),
            of("^/api/deliveries/", "path.id", "delivery"),
            of("/checks/", "path.id", "check"),
            of("^/api/sessions/", "path.id", "session"),
            of("^/api/tokens/", "path.id", "token"),
            of("^/api/keys/", "path.fingerprint", "key"),
            // nobody signed in at a provider, so that there is no identity
            { "include-path-regex": "^/api/identities/", "warnings": false },
            of("^/api/users/", "path.name", "user"),
            of("^/api/teams/", "path.name", "team"),
            of("/members/", "path.name", "user"),
            of("/members$", "body.user", "user"),
            of("^/api/collections/[^/]+/[^/]+/builds$", "body.ref", "branch"),
        ],
    }))
}

fn of(path: &str, parameter: &str, dictionary: &str) -> Value {
    json!({ "include-path-regex": path, "parameters": { parameter: often(dictionary) } })
}

fn often(dictionary: &str) -> Value {
    json!({ "dictionary": dictionary, "probability": 0.8 })
}

fn new_token(name: &str) -> Value {
    json!({ "name": name, "scopes": ["admin"], "days": 1 })
}

fn log_in(hub: &Hub) -> anyhow::Result<()> {
    let password = std::fs::read_to_string(hub.data().join("admin-password"))?;
    let form = [("name", "admin"), ("password", password.trim())];
    let answer = http::client()?.post(hub.url("/login")).form(&form).send()?;
    answer.error_for_status()?;
    Ok(())
}

fn get<T: DeserializeOwned>(hub: &Hub, path: &str) -> anyhow::Result<T> {
    let call = http::client()?.get(hub.url(path));
    let answer = call.bearer_auth(administrator(hub)?).send()?;
    Ok(answer.error_for_status()?.json()?)
}

fn send<T: DeserializeOwned>(hub: &Hub, path: &str, body: &Value) -> anyhow::Result<T> {
    let call = http::client()?.post(hub.url(path)).json(body);
    let answer = call.bearer_auth(administrator(hub)?).send()?;
    Ok(answer.error_for_status()?.json()?)
}

/// Adds somebody's key as `apptainer key push` does; returns its fingerprint.
fn add_key(hub: &Hub) -> anyhow::Result<String> {
    let form = [("keytext", ADAS_KEY)];
    let call = http::client()?.post(hub.url("/pks/add")).form(&form);
    let answer = call.bearer_auth(administrator(hub)?).send()?;
    answer.error_for_status()?;
    let keys: Vec<Key> = get(hub, "/api/keys")?;
    let added = keys.into_iter().find(|key| key.usage == KeyUse::Added);
    Ok(added.context("the key is not there")?.fingerprint)
}

/// The token that the hub made at its first start.
fn administrator(hub: &Hub) -> anyhow::Result<String> {
    let token = std::fs::read_to_string(hub.data().join("admin-token"))?;
    Ok(token.trim().to_owned())
}
