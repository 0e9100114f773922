//! Is what the disk forgot found, and mended?

use std::time::Duration;

use cooperage_protocol::Digest;
use cooperage_protocol::admin::{CheckStore, CheckedStore, Damage};

use super::uploads::{offer, publish_objects, running};
use super::*;
use crate::damage::check_for;

async fn check(world: &World) -> CheckedStore {
    crate::check_store(&world.hub, &CheckStore::default())
        .await
        .unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_damaged_object_is_named_with_its_images_and_asked_for_again(db: PgPool) {
    let world = World::new(db);
    let (first, _) = running(&world).await;
    publish_objects(&world, first, &[b"shared", b"own", b"gone"])
        .await
        .unwrap();
    assert_eq!(check(&world).await.damaged, []);

    let (shared, gone) = (Digest::of(b"shared"), Digest::of(b"gone"));
    std::fs::write(world.hub.store.path(shared), b"shAred").unwrap();
    std::fs::remove_file(world.hub.store.path(gone)).unwrap();
    let checked = check(&world).await;

    assert_eq!((checked.objects, checked.bytes), (3, 13));
    assert_eq!(checked.next, None);
    let mut damaged: Vec<_> = checked
        .damaged
        .iter()
        .map(|object| (object.digest, object.damage))
        .collect();
    damaged.sort_by_key(|(digest, _)| *digest != shared);
    assert_eq!(
        damaged,
        [(shared, Damage::Changed), (gone, Damage::Missing)]
    );
    let images = &checked.damaged[0].images;
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].collection.to_string(), "lab/tool");
    assert_eq!(images[0].tags.len(), 1);
    assert!(!world.hub.store.path(shared).exists(), "it is still served");

    world.enqueue("b.def").await;
    let second = world.claim(first.worker).await.unwrap();
    let missing = offer(&world, second, &[b"shared", b"own", b"gone"]).await;
    assert_eq!(missing, [shared, gone]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_check_goes_on_where_the_one_before_ended(db: PgPool) {
    let world = World::new(db);
    let (first, _) = running(&world).await;
    publish_objects(&world, first, &[b"one", b"two", b"three"])
        .await
        .unwrap();
    let mut from = CheckStore::default();
    let mut objects = 0;

    for _ in 0..3 {
        let part = check_for(&world.hub, &from, Duration::ZERO).await.unwrap();
        assert_eq!(part.objects, 1);
        objects += part.objects;
        from.after = part.next;
    }

    assert_eq!(objects, 3);
    let rest = check_for(&world.hub, &from, Duration::ZERO).await.unwrap();
    assert_eq!((rest.objects, rest.next), (0, None));
}
