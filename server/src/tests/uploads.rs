//! How does an image get from a worker into the store, and become public?

use cooperage_protocol::Digest;
use cooperage_protocol::image::{Extent, ImageFacts, Layout, Pieces};
use cooperage_protocol::worker::{FinishedImage, Missing, Offer, OfferedObject, Outcome};
use futures_util::stream;
use md5::{Digest as _, Md5};

use super::*;
use crate::Error;
use crate::publish::finish;

pub(super) const STATES: &str = "SELECT state::text FROM builds ORDER BY queued_at";

/// An image of pieces of objects, each with its offset and length.
pub(super) fn image_of(pieces: &[(&[u8], usize, usize)]) -> FinishedImage {
    let extents = pieces.iter().map(|(object, offset, length)| Extent {
        object: Digest::of(object),
        offset: *offset as u64,
        length: *length as u64,
    });
    let layout = Layout(extents.collect());
    let bytes = bytes_of(pieces);
    FinishedImage {
        digest: Digest::of(&bytes),
        md5: hex::encode(Md5::digest(&bytes)),
        layout,
        facts: ImageFacts::default(),
    }
}

/// The bytes of such an image.
fn bytes_of(pieces: &[(&[u8], usize, usize)]) -> Vec<u8> {
    let bytes = pieces
        .iter()
        .map(|(object, offset, length)| &object[*offset..*offset + *length]);
    bytes.collect::<Vec<_>>().concat()
}

fn succeeded(image: FinishedImage) -> Outcome {
    Outcome::Succeeded(Box::new(image))
}

/// Offers objects; gives those that are missing.
pub(super) async fn offer(world: &World, holder: Holder, objects: &[&[u8]]) -> Vec<Digest> {
    let objects = objects.iter().map(|object| OfferedObject {
        digest: Digest::of(object),
        size: object.len() as u64,
    });
    let offer = Offer {
        objects: objects.collect(),
    };
    let held = crate::db::builds::leases::held(&world.hub.db, holder);
    let collection = held.await.unwrap().unwrap().collection;
    let missing = crate::uploads::offer(&world.hub, holder, collection, &offer);
    let missing = missing.await.unwrap().objects;
    missing.iter().map(|missing| missing.digest).collect()
}

/// Uploads an image of whole objects as far as it is missing, and finishes the build with it.
pub(super) async fn publish_objects(
    world: &World,
    holder: Holder,
    objects: &[&[u8]],
) -> Result<Vec<Digest>, Error> {
    let missing = offer(world, holder, objects).await;
    for object in objects {
        let digest = Digest::of(object);
        if missing.contains(&digest) {
            let body = Body::from(object.to_vec()).into_data_stream();
            crate::uploads::receive(&world.hub, holder, (digest, 0), body).await?;
        }
    }
    let pieces: Vec<_> = objects.iter().map(|it| (*it, 0, it.len())).collect();
    finish(&world.hub, holder, &succeeded(image_of(&pieces))).await?;
    Ok(missing)
}

/// Uploads an image of one object and finishes the build with it.
pub(super) async fn publish(world: &World, holder: Holder, content: &[u8]) -> Result<(), Error> {
    publish_objects(world, holder, &[content]).await.map(drop)
}

pub(super) async fn running(world: &World) -> (Holder, String) {
    world.connect("lab/tool", "/srv/tool").await;
    world.enqueue("Singularity").await;
    let (alice, token) = world.worker("alice").await;
    (world.claim(alice).await.unwrap(), token)
}

pub(super) fn call(
    method: &str,
    token: &str,
    holder: Holder,
    path: &str,
    body: Body,
) -> Request<Body> {
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

pub(super) fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files_below(&path) } else { 1 })
        .sum()
}

async fn put(
    world: &World,
    (holder, token): (Holder, &str),
    (digest, offset): (Digest, usize),
    body: impl Into<Body>,
) -> StatusCode {
    let path = format!("objects/{digest}?offset={offset}");
    let put = call("PUT", token, holder, &path, body.into());
    world.call(put).await.0
}

/// How many bytes of an object are there, as the answer to an offer of it says.
async fn received(world: &World, caller: (Holder, &str), object: &[u8]) -> Option<u64> {
    let offer = Offer {
        objects: vec![OfferedObject {
            digest: Digest::of(object),
            size: object.len() as u64,
        }],
    };
    let body = serde_json::to_string(&offer).unwrap();
    let offer = call("POST", caller.1, caller.0, "objects", body.into());
    let (status, answer) = world.call(offer).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let missing: Missing = serde_json::from_str(&answer).unwrap();
    missing.objects.first().map(|missing| missing.received)
}

fn broken(begin: &'static str) -> Body {
    Body::from_stream(stream::iter([
        Ok(bytes::Bytes::from(begin)),
        Err(std::io::Error::other("the cable was cut")),
    ]))
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_uploaded_image_is_published_in_one_step_and_repeating_it_is_harmless(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let caller = (holder, token.as_str());
    let phase = Body::from(r#"{"name":"upload"}"#);
    let outcome = succeeded(image_of(&[(b"image", 0, 5)]));
    let outcome = serde_json::to_string(&outcome).unwrap();
    let finish = || call("POST", &token, holder, "finish", outcome.clone().into());

    let started = world
        .call(call("POST", &token, holder, "phases", phase))
        .await;
    let before = received(&world, caller, b"image").await;
    let uploaded = put(&world, caller, (Digest::of(b"image"), 0), "image").await;
    let after = received(&world, caller, b"image").await;
    let first = world.call(finish()).await;
    let again = world.call(finish()).await;

    assert_eq!(started.0, StatusCode::NO_CONTENT, "{}", started.1);
    assert_eq!(uploaded, StatusCode::CREATED);
    assert_eq!((before, after), (Some(0), None));
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
async fn an_upload_that_broke_off_goes_on_where_it_was_also_after_the_hub_did(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let (caller, digest) = ((holder, token.as_str()), Digest::of(b"image"));
    received(&world, caller, b"image").await;

    let first = put(&world, caller, (digest, 0), broken("im")).await;
    Store::open(&world.hub.config.objects()).unwrap();
    let left = received(&world, caller, b"image").await;
    let wrong = put(&world, caller, (digest, 1), "mage").await;
    let part = put(&world, caller, (digest, 2), "a").await;
    let rest = put(&world, caller, (digest, 3), "ge").await;

    assert_eq!(first, StatusCode::BAD_REQUEST);
    assert_eq!(left, Some(2));
    assert_eq!(wrong, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(part, StatusCode::ACCEPTED);
    assert_eq!(rest, StatusCode::CREATED);
    assert_eq!(received(&world, caller, b"image").await, None);
    assert_eq!(
        std::fs::read(world.hub.store.path(digest)).unwrap(),
        b"image"
    );
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_is_not_what_was_offered_is_refused_and_leaves_nothing(db: PgPool) {
    let world = World::new(db);
    let (holder, token) = running(&world).await;
    let (caller, digest) = ((holder, token.as_str()), Digest::of(b"image"));
    let unasked = put(&world, caller, (digest, 0), "image").await;
    received(&world, caller, b"image").await;

    let other = put(&world, caller, (digest, 0), "imagE").await;
    let longer = put(&world, caller, (digest, 0), "images").await;
    let huge = received_status(&world, caller, (1 << 20) + 1).await;

    assert_eq!(unasked, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(longer, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(huge, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(files_below(&world.hub.config.objects()), 0);
    assert_eq!(world.texts("SELECT digest FROM objects").await, [""; 0]);
}

async fn received_status(world: &World, caller: (Holder, &str), size: usize) -> StatusCode {
    let object = vec![0; size];
    let digest = Digest::of(&object);
    let body = format!(r#"{{"objects":[{{"digest":"{digest}","size":{size}}}]}}"#);
    let offer = call("POST", caller.1, caller.0, "objects", body.into());
    world.call(offer).await.0
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn images_of_a_collection_share_what_they_have_in_common(db: PgPool) {
    let world = World::new(db);
    let (first, _) = running(&world).await;
    world.enqueue("b.def").await;
    let second = world.claim(first.worker).await.unwrap();

    let sent = publish_objects(&world, first, &[b"head 1", b"base"]).await;
    let sent_then = publish_objects(&world, second, &[b"head 2", b"base"]).await;

    assert_eq!(sent.unwrap(), [Digest::of(b"head 1"), Digest::of(b"base")]);
    assert_eq!(sent_then.unwrap(), [Digest::of(b"head 2")]);
    assert_eq!(files_below(&world.hub.config.objects()), 3);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_image_of_pieces_is_served_as_one_file(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let pieces: [(&[u8], _, _); 3] = [(b"head", 0, 4), (b"0123456789", 3, 5), (b"head", 1, 2)];
    offer(&world, holder, &[b"head", b"0123456789"]).await;
    for object in [&b"head"[..], b"0123456789"] {
        let body = Body::from(object.to_vec()).into_data_stream();
        let part = (Digest::of(object), 0);
        crate::uploads::receive(&world.hub, holder, part, body)
            .await
            .unwrap();
    }
    finish(&world.hub, holder, &succeeded(image_of(&pieces)))
        .await
        .unwrap();

    let whole = get(&world, "/lab/tool/latest.sif", "").await;
    let piece = get(&world, "/lab/tool/latest.sif", "bytes=2-9").await;

    let layout = get(&world, "/lab/tool/latest.sif.layout", "").await.1;
    let layout: Pieces = serde_json::from_str(&layout).unwrap();
    assert_eq!(layout.extents, image_of(&pieces).layout.0);
    assert_eq!(layout.digest, image_of(&pieces).digest);
    assert_eq!(whole, (StatusCode::OK, "head34567ea".to_owned()));
    assert_eq!(piece, (StatusCode::PARTIAL_CONTENT, "ad34567e".to_owned()));
}

async fn get(world: &World, path: &str, range: &str) -> (StatusCode, String) {
    let request = Request::get(path).header("range", range);
    world.call(request.body(Body::empty()).unwrap()).await
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_image_that_is_not_what_is_said_of_it_is_not_published(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let right = image_of(&[(b"image", 0, 5)]);
    offer(&world, holder, &[b"image"]).await;
    let body = Body::from("image").into_data_stream();
    let part = (Digest::of(b"image"), 0);
    crate::uploads::receive(&world.hub, holder, part, body)
        .await
        .unwrap();

    let digest = FinishedImage {
        digest: Digest::of(b"other"),
        ..right.clone()
    };
    let md5 = FinishedImage {
        md5: "0".repeat(32),
        ..right.clone()
    };
    let layout = FinishedImage {
        layout: image_of(&[(b"image", 0, 4)]).layout,
        ..right.clone()
    };
    for wrong in [digest, md5, layout] {
        let refused = finish(&world.hub, holder, &succeeded(wrong)).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.to_string().contains("MD5"), "{refused}");
    }
    assert_eq!(world.texts(STATES).await, ["running"]);

    finish(&world.hub, holder, &succeeded(right)).await.unwrap();
    assert_eq!(world.texts(STATES).await, ["succeeded"]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_digest_alone_does_not_open_what_another_build_has_sent(db: PgPool) {
    let world = World::new(db);
    let (owner, _) = running(&world).await;
    offer(&world, owner, &[b"secret"]).await;
    let body = Body::from("secret").into_data_stream();
    let part = (Digest::of(b"secret"), 0);
    crate::uploads::receive(&world.hub, owner, part, body)
        .await
        .unwrap();
    world.enqueue("b.def").await;
    let other = world.claim(owner.worker).await.unwrap();

    let missing = offer(&world, other, &[b"secret"]).await;
    let image = succeeded(image_of(&[(b"secret", 0, 6)]));
    let refused = finish(&world.hub, other, &image).await.unwrap_err();

    assert_eq!(missing, [Digest::of(b"secret")]);
    assert!(refused.to_string().contains("not uploaded"), "{refused}");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_is_in_images_of_others_need_not_be_sent_unless_they_are_private(db: PgPool) {
    let world = World::new(db);
    let (owner, _) = running(&world).await;
    publish(&world, owner, b"base").await.unwrap();
    world.connect("lab/other", "/srv/other").await;
    let other = "SELECT id::text FROM collections WHERE name = 'lab/other'";
    let other = world.texts(other).await[0].parse().unwrap();
    world.enqueue_for(other, "Singularity").await;
    let builder = world.claim(owner.worker).await.unwrap();

    let of_public = offer(&world, builder, &[b"base"]).await;
    offer(&world, builder, &[]).await;
    sqlx::query("UPDATE collections SET visibility = 'private' WHERE name = 'lab/tool'")
        .execute(&world.hub.db)
        .await
        .unwrap();
    let of_private = offer(&world, builder, &[b"base"]).await;
    let image = succeeded(image_of(&[(b"base", 0, 4)]));
    let refused = finish(&world.hub, builder, &image).await.unwrap_err();

    assert_eq!(of_public, []);
    assert_eq!(of_private, [Digest::of(b"base")]);
    assert!(refused.to_string().contains("not uploaded"), "{refused}");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_image_with_a_missing_object_publishes_nothing(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;

    let refused = finish(
        &world.hub,
        holder,
        &succeeded(image_of(&[(b"never", 0, 5)])),
    )
    .await
    .unwrap_err();

    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.texts(STATES).await, ["running"]);
    assert_eq!(world.texts("SELECT digest FROM images").await, [""; 0]);
    assert_eq!(world.texts("SELECT name FROM tags").await, [""; 0]);
}
