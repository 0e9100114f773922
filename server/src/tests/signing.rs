//! Does the hub sign what it builds, and can everybody tell?

use cooperage_protocol::Digest;
use cooperage_protocol::image::Layout;
use sqlx::types::Json;

use super::uploads::{image_of, publish_objects, running};
use super::*;
use crate::keystore;
use crate::openpgp::tests::Owner;
use crate::openpgp::{Lapse, SigningKey};
use crate::sif::{self, Covers, Sif, SifSignature, Source};
use crate::signers::{self, Signer, Verdict};

/// A SIF with room for so many objects, of which two are there: a definition and a file system.
fn sif(file_system: &[u8], room: u64) -> Vec<u8> {
    let definition = b"Bootstrap: docker\n".as_slice();
    let mut head = vec![0; 128];
    head[..31].copy_from_slice(b"#!/usr/bin/env run-singularity\n");
    head[32..48].copy_from_slice(b"SIF_MAGIC\x0001\x0002\0");
    let start = 128 + room * 585;
    let data = (definition.len() + file_system.len()) as u64;
    let fields = [7, 7, room - 2, room, 128, room * 585, start, data];
    for (offset, field) in (64..).step_by(8).zip(fields) {
        head[offset..offset + 8].copy_from_slice(&field.to_le_bytes());
    }
    let mut offset = start;
    for (id, kind, content) in [(1_u32, 0x4001_u32, definition), (2, 0x4004, file_system)] {
        let mut descriptor = [kind.to_le_bytes().as_slice(), &[1], &id.to_le_bytes()].concat();
        descriptor.extend(0xf000_0001_u64.to_le_bytes());
        for field in [offset, content.len() as u64, content.len() as u64, 7, 7] {
            descriptor.extend(field.to_le_bytes());
        }
        descriptor.resize(201, 0);
        descriptor.extend([1, 0, 0, 0, 2, 0, 0, 0]);
        descriptor.resize(585, 0);
        head.extend(descriptor);
        offset += content.len() as u64;
    }
    head.resize(usize::try_from(start).unwrap(), 0);
    [&head, definition, file_system].concat()
}

/// An image of the hub, whose newest it is.
struct Published {
    id: cooperage_protocol::ImageId,
    digest: String,
    md5: String,
    layout: Layout,
}

async fn newest(world: &World) -> Published {
    let row = sqlx::query("SELECT id, digest, md5, layout FROM images ORDER BY created_at DESC");
    let row = row.fetch_one(&world.hub.db).await.unwrap();
    Published {
        id: cooperage_protocol::ImageId(row.get("id")),
        digest: row.get("digest"),
        md5: row.get("md5"),
        layout: row.get::<Json<Layout>, _>("layout").0,
    }
}

/// What signatures a file has.
fn signatures_in(world: &World, bytes: &[u8]) -> Vec<SifSignature> {
    let digest = Digest::of(bytes);
    let path = world.hub.store.path(digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    let source = Source {
        store: &world.hub.store,
        layout: &Layout::of_one_object(digest, bytes.len() as u64),
    };
    let sif = Sif::read(&source).unwrap();
    sif::signatures(&source, &sif).unwrap()
}

async fn signers(world: &World, image: &Published) -> Vec<Signer> {
    signers::of_image(&world.hub, image.id).await.unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_built_image_is_signed_and_any_changed_byte_of_it_is_seen(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let built = sif(b"hsqs: a file system", 3);
    let (first, second) = built.split_at(1000);

    publish_objects(&world, holder, &[first, second])
        .await
        .unwrap();
    let outcome = image_of(&[(first, 0, first.len()), (second, 0, second.len())]);
    let outcome = cooperage_protocol::worker::Outcome::Succeeded(Box::new(outcome));
    let again = crate::publish::finish(&world.hub, holder, &outcome).await;

    let image = newest(&world).await;
    let source = Source {
        store: &world.hub.store,
        layout: &image.layout,
    };
    let bytes = source.read(0..image.layout.size()).unwrap();
    assert!(again.is_ok(), "{again:?}");
    assert_eq!(image.digest, Digest::of(&bytes).to_string());
    assert_eq!(
        image.md5,
        hex::encode(<md5::Md5 as md5::Digest>::digest(&bytes))
    );
    assert_ne!(image.digest, Digest::of(&built).to_string());
    assert_eq!(bytes[3 * 585 + 128..built.len()], built[3 * 585 + 128..]);
    let signers = signers(&world, &image).await;
    assert_eq!(signers.len(), 1);
    assert_eq!(signers[0].verdict, Verdict::Good);
    assert!(signers[0].key.as_ref().unwrap().is_hubs);

    assert_eq!(signatures_in(&world, &bytes)[0].covers, Covers::Everything);
    for changed in [0, 50, 128 + 41, 128 + 73, built.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[changed] ^= 1;
        let covers = signatures_in(&world, &bytes)[0].covers;
        assert_eq!(covers, Covers::SomethingElse, "byte {changed}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_same_image_is_signed_the_same_until_the_key_is_changed(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let built = sif(b"hsqs: a file system", 48);
    let mut images = vec![];
    for recipe in ["b.def", "c.def", "d.def"] {
        if images.len() == 2 {
            crate::rotate_key(&world.hub).await.unwrap();
        }
        world.enqueue(recipe).await;
        publish_objects(
            &world,
            holder_of(&world, &holder, images.len()).await,
            &[&built],
        )
        .await
        .unwrap();
        images.push(newest(&world).await);
    }

    assert_eq!(images[0].digest, images[1].digest);
    assert_ne!(images[1].digest, images[2].digest);
    for image in &images {
        assert_eq!(signers(&world, image).await[0].verdict, Verdict::Good);
    }
    let secrets = "SELECT fingerprint FROM signing_key";
    assert_eq!(
        world.texts(secrets).await,
        [signers(&world, &images[2]).await[0]
            .fingerprint
            .clone()
            .unwrap()]
    );
}

/// The attempt that runs, or the next one.
async fn holder_of(world: &World, first: &Holder, number: usize) -> Holder {
    if number == 0 {
        return *first;
    }
    world.claim(first.worker).await.unwrap()
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn an_image_without_room_for_a_signature_is_published_as_it_is(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let built = sif(b"hsqs: a file system", 2);

    publish_objects(&world, holder, &[&built]).await.unwrap();

    let image = newest(&world).await;
    assert_eq!(image.digest, Digest::of(&built).to_string());
    assert_eq!(signers(&world, &image).await, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn what_a_signature_keeps_is_not_collected_while_its_image_is_there(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    let built = sif(b"hsqs: a file system", 48);
    publish_objects(&world, holder, &[&built]).await.unwrap();
    let image = newest(&world).await;

    crate::collector::collect(&world.hub, Duration::ZERO)
        .await
        .unwrap();
    let source = Source {
        store: &world.hub.store,
        layout: &image.layout,
    };
    let kept = source.read(0..image.layout.size()).unwrap();
    crate::db::images::delete(&world.hub.db, image.id)
        .await
        .unwrap();
    crate::collector::collect(&world.hub, Duration::ZERO)
        .await
        .unwrap();

    assert_eq!(Digest::of(&kept).to_string(), image.digest);
    assert_eq!(world.texts("SELECT digest FROM objects").await, [""; 0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn the_key_is_sealed_and_a_new_key_of_the_hub_opens_it_after_a_start(db: PgPool) {
    let world = World::new(db);
    crate::signing::prepare(&world.hub).await.unwrap();
    let stored = "SELECT encode(secret, 'escape') FROM signing_key";
    let sealed = world.texts(stored).await;
    let path = world.hub.config.data.join("secret-keys");
    let old = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{}\n{old}", "a1".repeat(32))).unwrap();

    crate::signing::prepare(&world.hub).await.unwrap();
    let resealed = world.texts(stored).await;
    std::fs::write(&path, "a1".repeat(32)).unwrap();
    crate::signing::prepare(&world.hub).await.unwrap();

    assert!(!sealed[0].contains("PRIVATE KEY"));
    assert_ne!(sealed, resealed);
    assert_eq!(world.texts(stored).await, resealed);
    let made = "SELECT fingerprint FROM public_keys WHERE is_hubs";
    assert_eq!(world.texts(made).await.len(), 1);

    std::fs::write(&path, "b2".repeat(32)).unwrap();
    crate::signing::prepare(&world.hub).await.unwrap();
    let (holder, _) = running(&world).await;
    publish_objects(&world, holder, &[&sif(b"hsqs", 48)])
        .await
        .unwrap();
    assert_eq!(signers(&world, &newest(&world).await).await, []);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_signature_is_worth_what_its_key_says(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    publish_objects(&world, holder, &[&sif(b"hsqs", 48)])
        .await
        .unwrap();
    let image = newest(&world).await;
    let good = world.texts("SELECT message FROM image_signatures").await;
    let forget = "UPDATE image_signatures SET fingerprint = repeat('0', 40)";
    let other = SigningKey::make("other").unwrap();
    let forged = other.sign("{}", chrono::Utc::now()).unwrap();

    sqlx::query(forget).execute(&world.hub.db).await.unwrap();
    let unknown = signers(&world, &image).await[0].verdict;
    let hubs = "SELECT fingerprint FROM signing_key";
    let hubs = world.texts(hubs).await;
    let set = "UPDATE image_signatures SET fingerprint = $1, message = $2, covers = $3";
    let mut verdicts = vec![];
    for (message, covers) in [
        (&good[0], "everything"),
        (&good[0], "a part"),
        (&good[0], "something else"),
        (&forged, "everything"),
        (&forged, "unknown"),
    ] {
        let set = sqlx::query(set).bind(&hubs[0]).bind(message).bind(covers);
        set.execute(&world.hub.db).await.unwrap();
        verdicts.push(signers(&world, &image).await[0].verdict);
    }

    assert_eq!(unknown, Verdict::UnknownKey);
    assert_eq!(
        verdicts,
        [
            Verdict::Good,
            Verdict::GoodForAPart,
            Verdict::Bad,
            Verdict::Bad,
            Verdict::Unread
        ]
    );
    let search = keystore::parse_search(&format!("0x{}", &hubs[0][24..]), false).unwrap();
    let found = keystore::find(&world.hub, &search, (0, None))
        .await
        .unwrap();
    assert_eq!(found.keys[0].fingerprint(), hubs[0]);
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_key_that_counts_no_more_is_told_with_its_end_and_the_time_of_the_signature(db: PgPool) {
    let world = World::new(db);
    let (holder, _) = running(&world).await;
    publish_objects(&world, holder, &[&sif(b"hsqs", 48)])
        .await
        .unwrap();
    let image = newest(&world).await;
    let ada = Owner::new();
    let fingerprint = ada.public().fingerprint();
    let set = "UPDATE image_signatures SET fingerprint = $1, message = $2";
    let set = sqlx::query(set).bind(&fingerprint).bind(ada.sign("{}", 0));
    set.execute(&world.hub.db).await.unwrap();
    let keep = "INSERT INTO public_keys (fingerprint, fingerprints, user_ids, armored)
         VALUES ($1, ARRAY[$1], '{}', $2)
         ON CONFLICT (fingerprint) DO UPDATE SET armored = $2";

    let mut told = vec![];
    for key in [
        ada.clone(),
        ada.clone().lasting(86400),
        ada.clone().revoking(86400),
    ] {
        let keep = sqlx::query(keep).bind(&fingerprint).bind(key.armored());
        keep.execute(&world.hub.db).await.unwrap();
        told.push(signers(&world, &image).await[0].verdict.told());
    }
    let Verdict::Lapsed(made) = signers(&world, &image).await[0].verdict else {
        panic!("the key counts");
    };

    let signed = "the signature says that it was made on 2023-11-14";
    assert_eq!(
        told,
        [
            "valid".to_owned(),
            format!("the key expired on 2023-11-15; {signed}"),
            format!("the key was revoked on 2023-11-15; {signed}"),
        ]
    );
    assert!(matches!(made.key, Some(Lapse::Revoked(_))), "{made:?}");
}
