//! What a check finds, and which step it says is wrong.

use std::net::TcpListener;

use cooperage_image::Cancel;
use cooperage_image::oci::check::{Step, Subject, Verdict};
use cooperage_image::oci::{self, Accounts, Check, Platform, Registries};

use crate::server::{Server, answer};
use crate::world::{account, basic, image, token_registry};

/// The steps of a check, with the secret in none of them.
fn check(uri: &str, accounts: &Accounts) -> Vec<Step> {
    let wanted = Check {
        uri,
        platform: &"amd64".parse::<Platform>().unwrap(),
        registries: &Registries::default(),
        accounts,
    };
    let checked = oci::check(&wanted, &Cancel::default()).unwrap();
    let json = serde_json::to_string(&checked).unwrap();
    assert!(!json.contains("s3cret") && !json.contains("hunter2"));
    assert!(!json.contains(&basic("s3cret")[6..]) && !json.contains("abc"));
    checked.steps
}

/// The step that is wrong; there is one, and it is the last.
fn wrong(uri: &str, accounts: &Accounts) -> Step {
    let mut steps = check(uri, accounts);
    let last = steps.pop().unwrap();
    assert_eq!(last.verdict, Verdict::Bad, "{last:?}");
    assert!(steps.iter().all(|step| step.verdict != Verdict::Bad));
    assert!(last.help.is_some(), "{last:?}");
    last
}

fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn an_image_that_can_be_had_is_told_step_by_step() {
    let server = token_registry();

    let steps = check(&format!("{}/team/app:1", server.host), &account("s3cret"));

    let subjects: Vec<Subject> = steps.iter().map(|step| step.subject).collect();
    let expected = [
        Subject::Reference,
        Subject::Account,
        Subject::Host,
        Subject::Challenge,
        Subject::Login,
        Subject::Image,
    ];
    assert_eq!(subjects, expected);
    assert!(steps.iter().all(|step| step.verdict == Verdict::Good));
    let facts = &steps[3].facts;
    assert_eq!(facts["realm"], format!("http://{}/token", server.host));
    assert_eq!(facts["scope"], "repository:team/app:pull");
    assert_eq!(server.count("/blobs/"), 0);
}

#[test]
fn a_host_where_nothing_listens_is_what_is_wrong() {
    let host = closed();

    let step = wrong(&format!("{host}/team/app:1"), &Accounts::default());

    assert_eq!(step.subject, Subject::Host);
    assert_eq!(step.message, format!("nothing listens at {host}"));
}

#[test]
fn a_host_that_nobody_has_is_what_is_wrong() {
    let uri = "docker://no-such-host.invalid/team/app:1";

    let step = wrong(uri, &Accounts::default());

    assert_eq!(step.subject, Subject::Host);
    assert_eq!(step.facts["host"], "no-such-host.invalid");
}

#[test]
fn a_web_server_that_is_no_registry_is_what_is_wrong() {
    let server = Server::start(|_, _| {
        answer(404, "<html>not here</html>").with("Content-Type", "text/html")
    });

    let step = wrong(&format!("{}/team/app:1", server.host), &Accounts::default());

    assert_eq!(step.subject, Subject::Host);
    assert!(step.message.contains("not as a registry does"));
    assert_eq!(step.facts["status"], "404");
}

#[test]
fn a_realm_that_does_not_answer_is_what_is_wrong() {
    let host = closed();
    let realm = format!("http://{host}/token");
    let server = Server::start(move |_, _| {
        let challenge = format!(r#"Bearer realm="{realm}",service="a""#);
        answer(401, "").with("WWW-Authenticate", challenge)
    });

    let step = wrong(&format!("{}/team/app:1", server.host), &account("s3cret"));

    assert_eq!(step.subject, Subject::Login);
    assert_eq!(
        step.message,
        format!("token server: nothing listens at {host}")
    );
}

#[test]
fn a_realm_that_is_no_address_is_what_is_wrong() {
    let server = Server::start(|_, _| {
        answer(401, "").with("WWW-Authenticate", r#"Bearer realm="ftp://a/b""#)
    });

    let step = wrong(&format!("{}/team/app:1", server.host), &account("s3cret"));

    assert_eq!(step.subject, Subject::Login);
    assert!(step.message.contains("unsafe address `ftp://a/b`"));
}

#[test]
fn an_account_that_the_token_server_refuses_is_what_is_wrong() {
    let server = token_registry();

    let step = wrong(&format!("{}/team/app:1", server.host), &account("hunter2"));

    assert_eq!(step.subject, Subject::Login);
    assert!(step.message.contains("account `tester`"), "{step:?}");
    assert_eq!(step.facts["status"], "401");
}

#[test]
fn a_password_that_the_registry_refuses_is_what_is_wrong() {
    let server =
        Server::start(|_, _| answer(401, "").with("WWW-Authenticate", r#"Basic realm="lab""#));

    let step = wrong(&format!("{}/team/app:1", server.host), &account("hunter2"));

    assert_eq!(step.subject, Subject::Login);
    assert!(step.message.contains("does not accept"), "{step:?}");
}

#[test]
fn a_missing_account_is_what_is_wrong() {
    let server =
        Server::start(|_, _| answer(401, "").with("WWW-Authenticate", r#"Basic realm="lab""#));

    let step = wrong(&format!("{}/team/app:1", server.host), &Accounts::default());

    assert_eq!(step.subject, Subject::Login);
    assert!(step.message.contains("none is known"), "{step:?}");
}

#[test]
fn a_scope_that_is_not_given_is_what_is_wrong() {
    let server = Server::start(|request, _| {
        let realm = format!("http://{}/token", request.header("host"));
        if request.path.starts_with("/token") {
            return answer(200, r#"{"token":"of others"}"#);
        }
        let body = r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#;
        match request.header("authorization") {
            "" => answer(401, "").with("WWW-Authenticate", format!(r#"Bearer realm="{realm}""#)),
            _ => answer(403, body),
        }
    });

    let step = wrong(&format!("{}/team/app:1", server.host), &account("s3cret"));

    assert_eq!(step.subject, Subject::Image);
    assert_eq!(step.facts["status"], "403");
    let expected = "may not pull team/app: requested access is denied";
    assert!(step.message.ends_with(expected), "{step:?}");
}

#[test]
fn a_tag_that_is_missing_is_what_is_wrong() {
    let image = image();
    let server = Server::start(move |request, _| {
        image
            .answer(request)
            .with("Content-Type", "application/json")
    });

    let step = wrong(&format!("{}/team/app:2", server.host), &Accounts::default());

    assert_eq!(step.subject, Subject::Image);
    let expected = format!("{}/team/app:2 is not there: no such thing", server.host);
    assert_eq!(step.message, expected);
}
