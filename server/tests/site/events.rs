//! The live log.

use std::time::Duration;

use axum::http::StatusCode;
use cooperage_protocol::BuildId;
use sqlx::PgPool;

use crate::support::Site;

/// The text of the log events and the id of the last.
fn log_of(stream: &str) -> (String, String) {
    let mut text = String::new();
    let mut id = String::new();
    for event in stream
        .split("\n\n")
        .filter(|event| event.contains("event: log"))
    {
        for line in event.lines() {
            if let Some(data) = line.strip_prefix("data: ") {
                text += &serde_json::from_str::<String>(data).unwrap();
            }
            if let Some(last) = line.strip_prefix("id: ") {
                last.clone_into(&mut id);
            }
        }
    }
    (text, id)
}

async fn finished_build(site: &Site) -> BuildId {
    let build = site.add_build("succeeded", "latest").await;
    site.add_log(build, 1, 0, b"first \xe2\x82").await;
    site.add_log(build, 1, 1, b"\xac\n").await;
    site.add_log(build, 2, 0, "second \u{e4}\n".as_bytes())
        .await;
    build
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_finished_build_is_told_whole_and_then_the_stream_ends(db: PgPool) {
    let site = Site::open(db).await;
    let build = finished_build(&site).await;

    let stream = site.get(&format!("/builds/{build}/events"), &[]).await;

    assert_eq!(stream.header("content-type"), "text/event-stream");
    let expected = (
        "first \u{20ac}\nsecond \u{e4}\n".to_owned(),
        "20".to_owned(),
    );
    assert_eq!(log_of(&stream.text()), expected);
    assert_eq!(stream.text().matches("event: state").count(), 1);
    assert!(stream.text().contains("\"state\":\"succeeded\""));
    let plain = site.get(&format!("/builds/{build}/log"), &[]).await;
    assert_eq!(plain.text(), "first \u{20ac}\nsecond \u{e4}\n");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_stream_goes_on_exactly_where_it_broke_off(db: PgPool) {
    let site = Site::open(db).await;
    let build = finished_build(&site).await;
    let path = format!("/builds/{build}/events");

    let resumed = site
        .get(&format!("{path}?offset=3"), &[("last-event-id", "10")])
        .await;
    let started = site.get(&format!("{path}?offset=17"), &[]).await;
    let at_end = site.get(&path, &[("last-event-id", "20")]).await;

    assert_eq!(log_of(&resumed.text()).0, "second \u{e4}\n");
    assert_eq!(log_of(&started.text()).0, "\u{e4}\n");
    assert_eq!(log_of(&at_end.text()).0, "");
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_running_build_is_followed_to_its_end_without_cutting_a_character(db: PgPool) {
    let site = Site::open(db).await;
    let build = site.add_build("running", "latest").await;
    site.add_log(build, 1, 0, b"one \xe2\x82").await;
    let path = format!("/builds/{build}/events");

    let follow = site.get(&path, &[]);
    let go_on = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.add_log(build, 1, 1, b"\xac two\n").await;
        sqlx::query(
            "UPDATE builds SET state = 'succeeded', lease_until = NULL, finished_at = now()",
        )
        .execute(&site.hub.db)
        .await
        .unwrap();
        sqlx::query("SELECT pg_notify('build_state', $1)")
            .bind(build.to_string())
            .execute(&site.hub.db)
            .await
            .unwrap();
    };
    let both = async { tokio::join!(follow, go_on) };
    let (stream, ()) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .unwrap();

    let text = stream.text();
    assert_eq!(log_of(&text).0, "one \u{20ac} two\n");
    let running = text.find("\"state\":\"running\"").unwrap();
    let two = text.find(" two").unwrap();
    assert!(
        running < two && two < text.find("\"state\":\"succeeded\"").unwrap(),
        "{text}"
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_unknown_build_has_no_stream(db: PgPool) {
    let site = Site::open(db).await;

    let answer = site
        .get(&format!("/builds/{}/events", BuildId::generate()), &[])
        .await;

    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}
