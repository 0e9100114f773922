//! What does the collector remove, and what does it leave?

use std::time::Duration;

use cooperage_protocol::Digest;
use cooperage_protocol::admin::Cleaned;

use super::uploads::{files_below, offer, publish, publish_objects, running};
use super::*;
use crate::collector::collect;

const OBJECTS: &str = "SELECT digest FROM objects ORDER BY digest";

async fn collect_now(world: &World) -> Cleaned {
    collect(&world.hub, Duration::ZERO).await.unwrap()
}

async fn delete_images(world: &World) {
    sqlx::query("DELETE FROM images")
        .execute(&world.hub.db)
        .await
        .unwrap();
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
    let cleaned = collect_now(&world).await;

    let shared = Digest::of(b"shared");
    assert_eq!(
        cleaned,
        Cleaned {
            objects: 1,
            bytes: 3
        }
    );
    assert_eq!(world.texts(OBJECTS).await, [shared.to_string()]);
    assert_eq!(files_below(&world.hub.config.objects()), 1);
    assert!(world.hub.store.path(shared).exists());
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_unused_object_stays_for_as_long_as_it_should(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    publish(&world, holder, b"image").await.unwrap();
    delete_images(&world).await;
    let hour = Duration::from_hours(1);

    collect(&world.hub, hour).await.unwrap();
    let at_once = files_below(&world.hub.config.objects());
    sqlx::query("UPDATE objects SET unused_since = unused_since - interval '61 min'")
        .execute(&world.hub.db)
        .await
        .unwrap();
    collect(&world.hub, hour).await.unwrap();

    assert_eq!(at_once, 1);
    assert_eq!(files_below(&world.hub.config.objects()), 0);
    assert_eq!(world.texts(OBJECTS).await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_a_running_build_sent_stays_until_it_ends(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    offer(&world, holder, &[b"whole", b"half of it"]).await;
    for (object, body) in [(&b"whole"[..], "whole"), (b"half of it", "half")] {
        let body = Body::from(body).into_data_stream();
        let part = (Digest::of(object), 0);
        crate::uploads::receive(&world.hub, holder, part, body)
            .await
            .unwrap();
    }

    collect_now(&world).await;
    let while_it_runs = files_below(&world.hub.config.objects());
    sqlx::query(
        "UPDATE builds
         SET state = 'cancelled', lease_until = NULL, finished_at = now(), failure = '{}'",
    )
    .execute(&world.hub.db)
    .await
    .unwrap();
    collect_now(&world).await;

    assert_eq!(while_it_runs, 2);
    assert_eq!(files_below(&world.hub.config.objects()), 0);
    let offered = "SELECT digest FROM build_objects";
    assert_eq!(world.texts(offered).await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_a_crash_left_is_mended(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    publish(&world, holder, b"lost").await.unwrap();
    std::fs::remove_file(world.hub.store.path(Digest::of(b"lost"))).unwrap();
    let stray = world.hub.store.path(Digest::of(b"stray"));
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, "stray").unwrap();

    collect_now(&world).await;
    world.enqueue("b.def").await;
    let next = world.claim(holder.worker).await.unwrap();
    let sent = publish_objects(&world, next, &[b"lost"]).await.unwrap();

    assert!(!stray.exists());
    assert_eq!(sent, [Digest::of(b"lost")]);
    let object = std::fs::read(world.hub.store.path(Digest::of(b"lost")));
    assert_eq!(object.unwrap(), b"lost");
}

/// Collectors of two hubs against builds that publish, and images that are deleted again.
#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn collectors_and_uploads_side_by_side_never_lose_what_an_image_needs(db: PgPool) {
    let world = World::new(db);
    let (first, _) = running(&world).await;
    publish(&world, first, b"first").await.unwrap();
    sqlx::query("UPDATE collections SET max_running = 100")
        .execute(&world.hub.db)
        .await
        .unwrap();
    let mut holders = Vec::new();
    for number in 0..24 {
        world.enqueue(&format!("{number}.def")).await;
        holders.push(world.claim(first.worker).await.unwrap());
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);

    let collecting = async || {
        while !is_done() {
            collect_now(&world).await;
        }
    };
    let publishing = async {
        for four in holders.chunks(4) {
            let published = four.iter().map(async |holder| {
                let own = holder.build.to_string();
                let objects = [&b"shared"[..], own.as_bytes()];
                publish_objects(&world, *holder, &objects).await
            });
            for published in futures_util::future::join_all(published).await {
                published.unwrap();
            }
            assert_all_images_are_whole(&world).await;
            delete_images(&world).await;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(collecting(), collecting(), publishing);

    collect_now(&world).await;
    assert_eq!(files_below(&world.hub.config.objects()), 0);
    assert_eq!(world.texts(OBJECTS).await, [""; 0]);
}

async fn assert_all_images_are_whole(world: &World) {
    let images = "SELECT layout::text FROM images";
    let layouts = world.texts(images).await;
    assert!(!layouts.is_empty());
    for layout in layouts {
        let layout: cooperage_protocol::image::Layout = serde_json::from_str(&layout).unwrap();
        let image = world.hub.store.open_image(&layout, 0..layout.size());
        let read: Vec<_> = image.unwrap().pieces().collect::<Result<_, _>>().unwrap();
        assert_eq!(read.concat().len() as u64, layout.size());
    }
}
