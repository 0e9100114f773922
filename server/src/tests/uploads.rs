//! How does an image get from a worker into the store, and become public?

use cooperage_protocol::Digest;
use cooperage_protocol::image::{ImageFacts, Layout};
use cooperage_protocol::worker::{FinishedImage, Outcome};
use futures_util::stream;

use super::*;
use crate::Error;
use crate::publish::finish;

const STATES: &str = "SELECT state::text FROM builds ORDER BY queued_at";

fn image_of(content: &[u8]) -> Outcome {
    let digest = Digest::of(content);
    Outcome::Succeeded(Box::new(FinishedImage {
        digest,
        md5: "0".repeat(32),
        layout: Layout::of_one_object(digest, content.len() as u64),
        facts: ImageFacts::default(),
    }))
}

/// Uploads an image of one object and finishes the build with it.
pub(super) async fn publish(world: &World, holder: Holder, content: &[u8]) -> Result<(), Error> {
    let digest = Digest::of(content);
    let body = Body::from(content.to_vec()).into_data_stream();
    crate::publish::receive_object(&world.hub, digest, body).await?;
    finish(&world.hub, holder, &image_of(content)).await
}

async fn running(world: &World) -> (Holder, String) {
    world.connect("lab/tool", "/srv/tool").await;
    world.enqueue("Singularity").await;
    let (alice, token) = world.worker("alice").await;
    (world.claim(alice).await.unwrap(), token)
}

fn call(method: &str, token: &str, holder: Holder, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!(
            "/worker/builds/{}/{}/{path}",
            holder.build, holder.attempt
        ))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_uploaded_image_is_published_in_one_step_and_repeating_it_is_harmless(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let path = format!("objects/{}", Digest::of(b"image"));
    let phase = Body::from(r#"{"name":"upload"}"#);
    let outcome = serde_json::to_string(&image_of(b"image")).unwrap();

    let started = world
        .call(call("POST", &token, holder, "phases", phase))
        .await;
    let uploaded = world
        .call(call("PUT", &token, holder, &path, Body::from("image")))
        .await;
    let first = world
        .call(call(
            "POST",
            &token,
            holder,
            "finish",
            outcome.clone().into(),
        ))
        .await;
    let again = world
        .call(call("POST", &token, holder, "finish", outcome.into()))
        .await;

    assert_eq!(started.0, StatusCode::NO_CONTENT, "{}", started.1);
    assert_eq!(uploaded.0, StatusCode::CREATED, "{}", uploaded.1);
    assert_eq!(
        (first.0, again.0),
        (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT),
        "{}",
        first.1
    );
    assert_eq!(world.texts(STATES).await, ["succeeded"]);
    assert_eq!(world.texts("SELECT name FROM tags").await, ["latest"]);
    assert_eq!(
        world
            .texts("SELECT 'open' FROM build_phases WHERE ended_at IS NULL")
            .await,
        [""; 0]
    );
    assert_eq!(
        std::fs::read(world.hub.store.path(Digest::of(b"image"))).unwrap(),
        b"image"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_wrong_digest_a_broken_upload_and_one_too_large_leave_nothing(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let path = format!("objects/{}", Digest::of(b"image"));
    let broken = Body::from_stream(stream::iter([
        Ok(bytes::Bytes::from("im")),
        Err(std::io::Error::other("the cable was cut")),
    ]));
    let huge = Body::from(vec![0; (1 << 20) + 1]);

    for (body, expected) in [
        (Body::from("imagE"), StatusCode::UNPROCESSABLE_ENTITY),
        (broken, StatusCode::BAD_REQUEST),
        (huge, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let (status, answer) = world.call(call("PUT", &token, holder, &path, body)).await;
        assert_eq!(status, expected, "{answer}");
    }

    assert_eq!(files_below(&world.hub.config.objects()), 0);
    assert_eq!(world.texts("SELECT digest FROM objects").await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_removed_collection_takes_along_the_objects_that_no_other_image_needs(db: PgPool) {
    let world = World::new(db);
    let (first, _) = running(&world).await;
    publish(&world, first, b"shared").await.unwrap();
    world.enqueue("b.def").await;
    let second = world.claim(first.worker).await.unwrap();
    publish(&world, second, b"own").await.unwrap();
    world.connect("lab/other", "/srv/other").await;
    let other = "SELECT id::text FROM collections WHERE name = 'lab/other'";
    let other = world.texts(other).await[0].parse().unwrap();
    world.enqueue_for(other, "Singularity").await;
    let third = world.claim(first.worker).await.unwrap();
    publish(&world, third, b"shared").await.unwrap();

    crate::remove_collection(&world.hub, &"lab/tool".parse().unwrap())
        .await
        .unwrap();

    let shared = Digest::of(b"shared");
    assert_eq!(
        world.texts("SELECT digest FROM objects").await,
        [shared.to_string()]
    );
    assert_eq!(files_below(&world.hub.config.objects()), 1);
    assert!(world.hub.store.path(shared).exists());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_broken_uploads_left_is_swept_when_the_store_opens(db: PgPool) {
    let world = World::new(db);
    let objects = world.hub.config.objects();
    std::fs::write(objects.join("uploads/left"), "half").unwrap();

    Store::open(&objects).unwrap();

    assert_eq!(files_below(&objects), 0);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_image_with_a_missing_object_publishes_nothing(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;

    let refused = finish(&world.hub, holder, &image_of(b"never uploaded"))
        .await
        .unwrap_err();

    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.texts(STATES).await, ["running"]);
    assert_eq!(world.texts("SELECT digest FROM images").await, [""; 0]);
    assert_eq!(world.texts("SELECT name FROM tags").await, [""; 0]);
}

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
