//! Pulls by plain http and by `shub://`.

use axum::http::StatusCode;
use cooperage_protocol::Digest;
use serde_json::Value;
use sqlx::PgPool;

use crate::support::{COMMIT, Site, request};

/// Headers of a request, and status and length of its answer.
type Row<'a> = (&'a [(&'a str, &'a str)], StatusCode, usize);

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_is_the_bytes_of_its_extents_under_each_of_its_names(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("v1", &content()).await;

    for file in [
        "v1.sif".to_owned(),
        format!("{digest}.sif"),
        format!("v1@{COMMIT}.sif"),
    ] {
        let answer = site.get(&format!("/lab/TOOL/{file}"), &[]).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert_eq!(Digest::of(&answer.body), digest, "{file}");
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("content-length"), "800000");
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("x-checksum-sha256"), digest.hex());
    }
    let sum = site.get("/Lab/tool/v1.sif.sha256", &[]).await;
    assert_eq!(sum.text(), format!("{}  tool_v1.sif\n", digest.hex()));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_range_is_answered_with_exactly_its_bytes(db: PgPool) {
    let site = Site::open(db).await;
    let content = content();
    let digest = site.publish("v1", &content).await;
    let etag = format!("\"{digest}\"");

    // The objects of the store end at 266 667 and 533 334.
    let table = [
        ("bytes=0-0", 0..1),
        ("bytes=266660-266670", 266_660..266_671),
        ("bytes=200000-700000", 200_000..700_001),
        ("bytes=799999-", 799_999..800_000),
        ("bytes=-266700", 533_300..800_000),
    ];
    for (range, bytes) in table {
        let headers = [("range", range), ("if-range", etag.as_str())];
        let answer = site.get("/Lab/tool/v1.sif", &headers).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        let expected = format!("bytes {}-{}/800000", bytes.start, bytes.end - 1);
        assert_eq!(answer.header("content-range"), expected);
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert!(answer.body == content[bytes], "{range}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn what_is_known_outdated_or_past_the_end_is_answered_so(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("v1", &content()).await;
    let etag = format!("\"{digest}\"");
    let modified = site
        .get("/Lab/tool/v1.sif", &[])
        .await
        .header("last-modified")
        .to_owned();

    let table: [Row; 6] = [
        (&[("if-none-match", &etag)], StatusCode::NOT_MODIFIED, 0),
        (
            &[("if-modified-since", &modified)],
            StatusCode::NOT_MODIFIED,
            0,
        ),
        (
            &[("range", "bytes=0-9"), ("if-range", "\"old\"")],
            StatusCode::OK,
            800_000,
        ),
        (
            &[("range", "bytes=0-9"), ("if-range", &modified)],
            StatusCode::PARTIAL_CONTENT,
            10,
        ),
        (
            &[("range", "bytes=800000-")],
            StatusCode::RANGE_NOT_SATISFIABLE,
            0,
        ),
        (
            &[("if-match", "\"old\"")],
            StatusCode::PRECONDITION_FAILED,
            0,
        ),
    ];
    for (headers, status, length) in table {
        let answer = site.get("/Lab/tool/v1.sif", headers).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (status, length),
            "{headers:?}"
        );
    }
    let past = site
        .get("/Lab/tool/v1.sif", &[("range", "bytes=800000-")])
        .await;
    assert_eq!(past.header("content-range"), "bytes */800000");
    let head = site.ask(request("HEAD", "/Lab/tool/v1.sif", &[], "")).await;
    assert_eq!(
        (head.header("content-length"), head.body.len()),
        ("800000", 0)
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn an_image_whose_object_is_cut_or_gone_is_an_error_and_not_a_short_file(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", &content()).await;
    let content = content();
    let last = [b"..".as_slice(), &content[533_334..], b".."].concat();
    let path = site.hub.store.path(Digest::of(&last));

    std::fs::write(&path, &last[..1000]).unwrap();
    let cut = site.get("/Lab/tool/v1.sif", &[]).await;
    std::fs::remove_file(&path).unwrap();
    let gone = site.get("/Lab/tool/v1.sif", &[]).await;

    assert_eq!(cut.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(gone.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!gone.text().contains("store"), "{}", gone.text());
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_missing_tag_is_answered_with_the_tags_there_are(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("v1", b"one").await;
    site.publish("v2", b"two").await;

    for path in [
        "/Lab/tool/latest.sif",
        "/api/container/lab/tool",
        "/api/container/lab/tool:v3",
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(
            answer.text().contains("its tags are v1, v2"),
            "{}",
            answer.text()
        );
    }
    let unknown = site.get("/api/container/lab/other", &[]).await;
    assert!(
        unknown.text().contains("no collection lab/other"),
        "{}",
        unknown.text()
    );
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_shub_manifest_names_the_image_by_every_reference_the_clients_send(db: PgPool) {
    let site = Site::open(db).await;
    let digest = site.publish("latest", b"image").await;
    let hex = digest.hex();

    let references = [
        "tool".to_owned(),
        "tool:latest".to_owned(),
        "tool%3Alatest".to_owned(),
        format!("tool@{COMMIT}"),
        format!("tool:latest@{COMMIT}"),
        format!("tool@{}", &hex[..40]),
        format!("tool@{}", &hex[..32]),
        format!("tool%40{hex}"),
    ];
    for reference in references {
        let answer = site
            .get(&format!("/api/container/LAB/{reference}"), &[])
            .await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{reference}: {}",
            answer.text()
        );
        let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
        let image = format!("http://hub.example.org/Lab/tool/{digest}.sif");
        let expected = serde_json::json!({
            "image": image, "name": "Lab/tool", "tag": "latest", "version": &hex[..32],
            "commit": &hex[..40], "git_commit": COMMIT,
        });
        assert_eq!(manifest, expected, "{reference}");
    }
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_commit_that_made_several_images_needs_a_tag_beside_it(db: PgPool) {
    let site = Site::open(db).await;
    site.publish("one", b"first").await;
    let second = site.publish("two", b"second").await;

    let without = site
        .get(&format!("/api/container/lab/tool@{COMMIT}"), &[])
        .await;
    let with = site
        .get(&format!("/api/container/lab/tool:two@{COMMIT}"), &[])
        .await;

    assert_eq!(without.status, StatusCode::NOT_FOUND);
    assert!(
        without.text().contains("one of the tags one, two"),
        "{}",
        without.text()
    );
    assert!(with.text().contains(&second.hex()), "{}", with.text());
}
