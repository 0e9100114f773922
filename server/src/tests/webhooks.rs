//! What is answered to a webhook, and what is kept of it?

use super::*;

const COUNT: &str = "SELECT count(*)::text FROM deliveries WHERE state <> 'rejected'";

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_signed_push_is_stored_and_accepted(db: PgPool) {
    let world = World::new(db);
    let secret = world
        .connect("lab/tool", "https://git.example/lab/tool.git")
        .await;
    let body = push_payload(
        "https://git.example/Lab/Tool",
        "refs/heads/main",
        &"1".repeat(40),
    );

    let (status, answer) = world.call(webhook(&secret, "d1", "push", &body)).await;

    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(
        answer.contains("http://hub.example/deliveries/"),
        "{answer}"
    );
    let state = "SELECT state::text FROM deliveries";
    assert_eq!(world.texts(state).await, ["received"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_form_is_signed_and_read_like_json(db: PgPool) {
    let world = World::new(db);
    let secret = world.connect("lab/tool", "/srv/git/tool.git").await;
    let json = push_payload("/srv/git/tool", "refs/heads/main", &"1".repeat(40));
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &json)
        .finish();
    let mut request = webhook(&secret, "d1", "push", &body);
    let form = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert("content-type", form);

    assert_eq!(world.call(request).await.0, StatusCode::ACCEPTED);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_unknown_repository_and_a_wrong_signature_get_the_same_answer(db: PgPool) {
    let world = World::new(db);
    let secret = world.connect("lab/tool", "/srv/git/tool").await;
    let known = push_payload("/srv/git/tool", "refs/heads/main", &"1".repeat(40));
    let unknown = push_payload("/srv/git/other", "refs/heads/main", &"1".repeat(40));

    let refused = world
        .call(webhook("another secret", "d1", "push", &known))
        .await;
    let strange = world.call(webhook(&secret, "d2", "push", &unknown)).await;

    assert_eq!(refused.0, StatusCode::UNAUTHORIZED);
    assert_eq!(refused, strange);
    assert_eq!(world.texts(COUNT).await, ["0"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn twenty_rejections_are_kept_without_payload(db: PgPool) {
    let world = World::new(db);
    world.connect("lab/tool", "/srv/git/tool").await;
    let body = push_payload("/srv/git/tool", "refs/heads/main", &"1".repeat(40));

    for number in 0..25 {
        world
            .call(webhook("wrong", &format!("d{number}"), "push", &body))
            .await;
    }

    let kept = "SELECT state::text || length(payload) FROM deliveries";
    assert_eq!(world.texts(kept).await, ["rejected0"; 20]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn malformed_bodies_and_missing_headers_are_bad_requests(db: PgPool) {
    let world = World::new(db);
    let secret = world.connect("lab/tool", "/srv/git/tool").await;
    let no_ref = r#"{"repository":{"clone_url":"/srv/git/tool"}}"#;

    for body in ["", "{", "[]", "\"text\"", no_ref] {
        let (status, answer) = world.call(webhook(&secret, "d1", "push", body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {answer}");
    }
    for header in ["x-github-event", "x-github-delivery"] {
        let body = push_payload("/srv/git/tool", "refs/heads/main", &"1".repeat(40));
        let mut request = webhook(&secret, "d1", "push", &body);
        request.headers_mut().remove(header);
        assert_eq!(
            world.call(request).await.0,
            StatusCode::BAD_REQUEST,
            "{header}"
        );
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_body_over_25_mib_is_too_large(db: PgPool) {
    let world = World::new(db);

    let (status, _) = world
        .call(webhook("x", "d1", "push", &"x".repeat((25 << 20) + 1)))
        .await;

    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn pings_and_other_events_are_done_at_once(db: PgPool) {
    let world = World::new(db);
    let secret = world.connect("lab/tool", "/srv/git/tool").await;
    let body = r#"{"zen":"calm","repository":{"clone_url":"/srv/git/tool"}}"#;

    for event in ["ping", "star"] {
        assert_eq!(
            world.call(webhook(&secret, event, event, body)).await.0,
            StatusCode::ACCEPTED
        );
    }

    let verdicts = "SELECT verdict || ' ' || state::text FROM deliveries ORDER BY received_at";
    assert_eq!(world.texts(verdicts).await, ["ping done", "ignored done"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_delivery_sent_again_is_new_work_only_if_it_failed(db: PgPool) {
    let world = World::new(db);
    let secret = world.connect("lab/tool", "/srv/git/nowhere").await;
    let body = push_payload("/srv/git/nowhere", "refs/heads/main", &"1".repeat(40));
    let state = "SELECT state::text || redeliveries FROM deliveries";
    let send = || world.call(webhook(&secret, "d1", "push", &body));
    send().await;

    for (before, after) in [("failed", "received1"), ("done", "done2")] {
        sqlx::query(
            "UPDATE deliveries
             SET state = $1::delivery_state, verdict = 'x', processed_at = now()",
        )
        .bind(before)
        .execute(&world.hub.db)
        .await
        .unwrap();
        let (status, answer) = send().await;
        assert_eq!(status, StatusCode::ACCEPTED);
        assert_eq!(answer.contains("already processed"), before == "done");
        assert_eq!(world.texts(state).await, [after]);
    }
}
