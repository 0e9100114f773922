//! What is told of a definition, on the page of a build and for programs.

use cooperage_protocol::BuildId;
use cooperage_protocol::admin::Build;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{HOSTILE, Site, request};

const RECIPE: &str =
    "Bootstrap: docker\nFrom: debian\nPassword: hunter22\n%pots\n    echo hunter22\n";

/// A failed build whose repository is at hand, with two diagnostics.
async fn diagnosed(site: &Site) -> BuildId {
    let build = site.add_build("failed", "latest").await;
    let folder = site.hub.config.repositories();
    let repository = git2::Repository::init_bare(folder.join(site.collection.to_string())).unwrap();
    let blob = repository.blob(RECIPE.as_bytes()).unwrap();
    let told = json!([
        {
            "severity": "error", "code": "unknown-section", "message": format!("bad {HOSTILE}"),
            "help": "did you mean `%post`?", "line": 4, "column": 1, "length": 5,
        },
        {
            "severity": "warning", "code": "no-tag", "message": "no tag", "line": 2, "column": 7,
            "length": 6,
        },
    ]);
    sqlx::query("UPDATE builds SET recipe_blob = $2, diagnostics = $3 WHERE id = $1")
        .bind(build.0)
        .bind(blob.to_string())
        .bind(told)
        .execute(&site.hub.db)
        .await
        .unwrap();
    build
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn diagnostics_stand_under_their_lines_and_no_account_is_shown(db: PgPool) {
    let site = Site::open(db).await;
    let build = diagnosed(&site).await;

    let page = site.page(&format!("/builds/{build}")).await;

    let at = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part}: {page}"));
    assert!(at("id=\"L2\"") < at("no tag") && at("no tag") < at("id=\"L3\""));
    assert!(at("class=\"mark-error\">%pots<") < at("Did you mean `%post`?"));
    assert!(at("<code>unknown-section</code>") < at("id=\"L5\""));
    assert!(at("1 error") < at("1 warning"));
    assert!(page.contains("Password:</span> [redacted]") && !page.contains("hunter22"));
    assert!(!page.contains("<script>alert"));
}

#[sqlx::test(migrator = "cooperage_server::MIGRATOR")]
async fn a_program_reads_them_in_the_order_of_lines(db: PgPool) {
    let site = Site::open(db).await;
    let build = diagnosed(&site).await;

    let token = format!("Bearer {}", site.secret("admin-token"));
    let path = format!("/api/builds/{build}");
    let call = request("GET", &path, &[("authorization", token.as_str())], "");
    let shown: Build = serde_json::from_slice(&site.ask(call).await.body).unwrap();

    let lines: Vec<_> = shown.diagnostics.iter().map(|told| told.line).collect();
    assert_eq!(lines, [2, 4]);
    assert_eq!(shown.diagnostics[1].code, "unknown-section");
}
