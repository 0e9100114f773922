//! What does the hub take of an attempt that is late, was to stop, or is somebody else's?

use cooperage_protocol::Digest;

use super::uploads::{STATES, call, publish, running};
use super::*;

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_late_build_of_an_older_push_does_not_take_the_tag_back(db: PgPool) {
    let world = World::new(db);
    let (old, _) = running(&world).await;
    world.enqueue("Singularity").await;
    let new = world.claim(old.worker).await.unwrap();

    publish(&world, new, b"new").await.unwrap();
    publish(&world, old, b"old").await.unwrap();

    let tagged = "SELECT digest FROM tags JOIN images ON images.id = tags.image_id";
    assert_eq!(world.texts(tagged).await, [Digest::of(b"new").to_string()]);
    assert_eq!(world.texts(STATES).await, ["succeeded", "succeeded"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_build_that_was_to_stop_publishes_nothing(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    crate::cancel_build(&world.hub, holder.build).await.unwrap();

    publish(&world, holder, b"image").await.unwrap();

    assert_eq!(world.texts(STATES).await, ["cancelled"]);
    assert_eq!(world.texts("SELECT digest FROM images").await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn log_chunks_come_in_order_once_and_up_to_the_limit(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let big = "x".repeat(1 << 20);

    for (number, body, expected) in [
        (0, "first\n", StatusCode::NO_CONTENT),
        (0, "first\n", StatusCode::NO_CONTENT),
        (2, "too early\n", StatusCode::BAD_REQUEST),
        (1, "second\n", StatusCode::NO_CONTENT),
        (2, &big, StatusCode::NO_CONTENT),
        (3, "not kept", StatusCode::NO_CONTENT),
    ] {
        let path = format!("log/{number}");
        let body = Body::from(body.to_owned());
        let (status, answer) = world.call(call("PUT", &token, holder, &path, body)).await;
        assert_eq!(status, expected, "{number}: {answer}");
    }

    let offsets = "SELECT number || ':' || start_offset FROM build_log_chunks ORDER BY number";
    assert_eq!(world.texts(offsets).await, ["0:0", "1:6", "2:13"]);
    let end = "SELECT right(convert_from(bytes, 'UTF8'), 9) FROM build_log_chunks WHERE number = 2";
    assert_eq!(world.texts(end).await, ["n 1 MiB]\n"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn only_a_workers_token_opens_its_calls(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let (_, other) = world.worker("bob").await;

    for (token, expected) in [
        ("", StatusCode::UNAUTHORIZED),
        ("wrong", StatusCode::UNAUTHORIZED),
        (other.as_str(), StatusCode::CONFLICT),
        (token.as_str(), StatusCode::OK),
    ] {
        let (status, _) = world
            .call(call("POST", token, holder, "heartbeat", Body::empty()))
            .await;
        assert_eq!(status, expected, "{token}");
    }
}
