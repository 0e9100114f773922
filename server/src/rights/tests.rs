//! Does every route let through who its rule says, and nobody else?

mod people;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use cooperage_protocol::{Role, Scope, TokenId, UserId, Visibility};
use sqlx::PgPool;
use tower::ServiceExt as _;

use self::people::People;
use super::table::{Rule, TABLE};
use super::{Action, Caller, Collection, Person, Proof, guard, may};
use crate::db::rights;
use crate::db::views::{self, Sight};
use crate::routes;
use crate::tests::World;

/// What the walk over the table gives, to be read by people.
const WALK: &str = include_str!("walk.txt");
const REACHED: &str = "reached";

/// How a caller proves who they are: the columns of the walk, in order.
const CALLERS: [&str; 22] = [
    "-",
    "stranger",
    "reader",
    "builder",
    "owner",
    "admin", // by session
    "stranger:read",
    "stranger:admin",
    "reader:read",
    "reader:admin",
    "builder:read",
    "builder:push",
    "builder:build",
    "builder:admin",
    "owner:build",
    "owner:admin",
    "admin:read",
    "admin:build",
    "admin:admin",
    "owner:expired",
    "owner:revoked",
    "owner:disabled",
];

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_route_lets_through_whom_its_rule_says(db: PgPool) {
    let people = People::settle(World::new(db)).await;
    let app = people.app_of_stubs();

    let mut walk = Vec::new();
    for row in TABLE {
        for visibility in Visibility::ALL {
            people.show(*visibility).await;
            let mut line = String::new();
            for caller in CALLERS {
                line.push(people.verdict(&app, row, caller).await);
            }
            let route = format!("{} {}", row.method, row.path);
            walk.push(format!("{line} {visibility:8} {route}"));
            if !matches!(row.rule, Rule::Collection(..) | Rule::File) {
                break;
            }
        }
    }

    let expected: Vec<_> = WALK.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(walk, expected, "the walk gave:\n{}", walk.join("\n"));
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_private_collection_is_answered_for_as_one_that_is_not_there(db: PgPool) {
    let people = People::settle(World::new(db)).await;
    people.show(Visibility::Private).await;
    let app = routes::router(people.world.hub.clone());

    for row in TABLE
        .iter()
        .filter(|row| matches!(row.rule, Rule::Collection(..) | Rule::File))
    {
        for caller in ["-", "stranger", "stranger:admin"] {
            let of_private = people.ask(&app, row, caller, true).await;
            let of_none = people.ask(&app, row, caller, false).await;
            assert_eq!(of_private, of_none, "{caller}: {} {}", row.method, row.path);
            assert!(
                of_none.0.is_client_error() || of_none.0.is_redirection(),
                "{of_none:?}"
            );
        }
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn lists_show_what_may_be_read(db: PgPool) {
    let people = People::settle(World::new(db)).await;
    let db = &people.world.hub.db;
    let name = "lab/tool".parse().unwrap();

    for visibility in Visibility::ALL {
        people.show(*visibility).await;
        for caller in [
            None,
            Some("stranger"),
            Some("reader"),
            Some("owner"),
            Some("admin"),
        ] {
            let person = caller.map(|name| people.id(name));
            let caller = person.map_or(Caller::Anonymous, |id| {
                Caller::Person(Person {
                    id,
                    name: String::new(),
                    is_admin: caller == Some("admin"),
                    scopes: vec![Scope::Read],
                    by: Proof::Token(TokenId::generate()),
                })
            });
            let collection = rights::of_collection(db, &name, person)
                .await
                .unwrap()
                .unwrap();
            let may_read = may(&caller, Action::Read, &collection);
            let sight: Sight = caller.sight();
            let listed = views::collections(db, "", sight, views::Window::ALL)
                .await
                .unwrap()
                .len()
                == 1;
            let built = views::builds(db, views::Builds::All, sight, 9)
                .await
                .unwrap()
                .len()
                == 1;
            assert_eq!(
                (listed, built),
                (may_read, may_read),
                "{visibility} {caller:?}"
            );
        }
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn every_rule_has_a_route_and_every_route_a_rule(db: PgPool) {
    let people = People::settle(World::new(db)).await;
    let app = routes::router(people.world.hub.clone());

    for row in TABLE {
        people.build_again().await;
        let (status, _, body) = people.ask(&app, row, "admin", true).await;
        assert_ne!(
            status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{} {}",
            row.method,
            row.path
        );
        assert!(
            !body.contains("nothing at this address"),
            "{} {}",
            row.method,
            row.path
        );
    }
    let hub = people.world.hub.clone();
    let unruled = Router::<()>::new()
        .route("/new", get(async || REACHED))
        .layer(from_fn_with_state(hub, guard));
    let request = Request::get("/new").body(Body::empty()).unwrap();
    let answer = unruled.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn the_best_role_counts_and_no_scope_gives_more_than_it() {
    let person = |is_admin, scope| {
        Caller::Person(Person {
            id: UserId::generate(),
            name: String::new(),
            is_admin,
            scopes: vec![scope],
            by: Proof::Token(TokenId::generate()),
        })
    };
    let collection = |visibility, role| Collection {
        id: cooperage_protocol::CollectionId::generate(),
        name: "lab/tool".to_owned(),
        visibility,
        role,
    };
    let of_reader = collection(Visibility::Private, Some(Role::Reader));
    let of_builder = collection(Visibility::Public, Some(Role::Builder));

    assert!(!may(
        &person(false, Scope::Admin),
        Action::Build,
        &of_reader
    ));
    assert!(may(
        &person(false, Scope::Build),
        Action::Build,
        &of_builder
    ));
    assert!(!may(
        &person(false, Scope::Push),
        Action::Build,
        &of_builder
    ));
    assert!(!may(
        &person(false, Scope::Admin),
        Action::Manage,
        &of_builder
    ));
    assert!(!may(
        &person(true, Scope::Build),
        Action::Manage,
        &of_builder
    ));
    assert!(!may(&Caller::Anonymous, Action::Read, &of_reader));
}

/// The methods of the table are those that routers know.
#[test]
fn the_table_has_each_route_once() {
    let mut seen: Vec<(&Method, &str)> = TABLE.iter().map(|row| (&row.method, row.path)).collect();
    seen.sort_by_key(|(method, path)| (*path, method.as_str()));
    for pair in seen.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
}
