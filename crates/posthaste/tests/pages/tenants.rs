//! Every route, and every kind of visitor: who sees what is theirs, who is sent away, and that nobody changes what is another's.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};

use crate::routes::{BY_LINK, For, all};
use crate::tenant::Tenant;
use crate::world::{World, form, get};

/// The paths that the router has, in its own words.
fn paths(world: &World) -> BTreeSet<String> {
    let said = format!("{:?}", world.pages);
    let parts =
        said.split("RouteId(").skip(1).filter_map(|part| part.split_once("): \"")?.1.split('"').next());
    parts.filter(|path| path.starts_with('/') && !path.contains("__private__")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_has_its_line() {
    let world = World::start(800);
    let mut served = BTreeSet::new();
    for path in paths(&world) {
        let concrete = path.replace(['{', '}'], "");
        let request = Request::builder().method("PROBE").uri(concrete).body(Body::empty()).unwrap();
        let answer = world.ask(request).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        for method in
            answer.headers()["allow"].to_str().unwrap().split(',').filter(|method| *method != "HEAD")
        {
            served.insert(format!("{method} {path}"));
        }
    }
    assert!(served.len() > 30, "the router says what it routes: {served:?}");
    let known: BTreeSet<_> = all().iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    assert_eq!(known.len(), all().len(), "a line is there twice");
    let missing: Vec<_> = served.difference(&known).collect();
    assert!(missing.is_empty(), "routes without a line in routes.rs: {missing:#?}");
    let gone: Vec<_> = known.difference(&served).collect();
    assert!(gone.is_empty(), "lines without a route: {gone:#?}");
}

/// Who asks. All but the first two are nobody to the tenant whose things are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    OwnLink,
    Nobody,
    OtherOperator,
    LookingOnly,
    OtherLink,
    /// A customer's session where an operator's belongs.
    LinkAsCookie,
    OtherLinkAsCookie,
    /// An operator's session where a customer's belongs.
    OtherOperatorInPath,
}

const EVERYBODY: [Who; 9] = [
    Who::Owner,
    Who::OwnLink,
    Who::Nobody,
    Who::OtherOperator,
    Who::LookingOnly,
    Who::OtherLink,
    Who::LinkAsCookie,
    Who::OtherLinkAsCookie,
    Who::OtherOperatorInPath,
];

struct Sessions {
    own: String,
    other: String,
    own_link: String,
    looking: String,
    other_link: String,
}

impl Sessions {
    async fn of(world: &World, own: &Tenant, other: &Tenant, neighbour: &str) -> Self {
        let opened = async |token: &str, app: &str, read_only: bool| {
            let base = world.open_link(&world.link(token, app, read_only).await).await;
            base.split('/').nth(3).unwrap().to_owned()
        };
        Self {
            own: world.log_in(&own.token).await,
            other: world.log_in(&other.token).await,
            own_link: opened(&own.token, &own.app, false).await,
            looking: opened(&own.token, &own.app, true).await,
            other_link: opened(&own.token, neighbour, false).await,
        }
    }

    /// The session in the path, and that in the cookie.
    fn of_who(&self, who: Who) -> (&str, &str) {
        match who {
            Who::Owner => (&self.own, &self.own),
            Who::OwnLink => (&self.own_link, ""),
            Who::Nobody => ("phk_nobody", ""),
            Who::OtherOperator => ("phk_nobody", &self.other),
            Who::LookingOnly => (&self.looking, ""),
            Who::OtherLink => (&self.other_link, ""),
            Who::LinkAsCookie => ("phk_nobody", &self.own_link),
            Who::OtherLinkAsCookie => ("phk_nobody", &self.other_link),
            Who::OtherOperatorInPath => (&self.other, ""),
        }
    }
}

/// What may come of it: 2xx and 303 are one, since forms are answered with a way back.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Comes {
    Served,
    SentToLogin,
    Over,
    NotFound,
    Forbidden,
}

fn came(case: &str, answer: &Response<String>) -> Comes {
    let location = answer.headers().get("location").map(|location| location.to_str().unwrap());
    match (answer.status(), location) {
        (StatusCode::SEE_OTHER, Some("/ui/login")) => Comes::SentToLogin,
        (StatusCode::UNAUTHORIZED, _) => Comes::Over,
        (StatusCode::NOT_FOUND, _) => Comes::NotFound,

        (StatusCode::FORBIDDEN, _) => Comes::Forbidden,
        // Whoever may is told what is wrong with it.
        (StatusCode::UNPROCESSABLE_ENTITY, _) => Comes::Served,
        (status, _) if status.is_success() || status == StatusCode::SEE_OTHER => Comes::Served,
        (status, _) => panic!("{case}: nobody expected {status}: {}", answer.body()),
    }
}

fn expected(who: Who, whom: For, path: &str) -> Comes {
    let by_link = path.starts_with("/portal/");
    let is_write_of_app = matches!(whom, For::Writer | For::Customer);
    match (who, by_link) {
        _ if whom == For::All => Comes::Served,
        // Whoever leaves is shown the door, whoever they were.
        _ if path == "/ui/logout" => Comes::SentToLogin,
        (Who::Owner, _) => Comes::Served,
        // By cookie: nobody has one.
        (
            Who::Nobody | Who::OwnLink | Who::LookingOnly | Who::OtherLink | Who::OtherOperatorInPath,
            false,
        ) => Comes::SentToLogin,
        (Who::OtherOperator, false) if matches!(whom, For::Operator | For::Visitor) => Comes::Served,
        (Who::OtherOperator, false) => Comes::NotFound,
        // Whoever holds a link's session may bring it in a cookie too, and sees what the link shows.
        (Who::LinkAsCookie, false) if is_write_of_app || whom == For::Visitor => Comes::Served,
        (Who::OtherLinkAsCookie, false) if whom == For::Visitor => Comes::Served,
        (Who::LinkAsCookie | Who::OtherLinkAsCookie, false) if path == "/" => Comes::Served,
        (Who::LinkAsCookie | Who::OtherLinkAsCookie, false) => Comes::NotFound,
        // By link.
        (Who::Nobody | Who::OtherOperator | Who::LinkAsCookie | Who::OtherLinkAsCookie, true) => Comes::Over,
        (_, true) if whom == For::Visitor => Comes::Served,
        (Who::OwnLink | Who::LookingOnly | Who::OtherLink, true) if whom == For::Owner => Comes::NotFound,
        (Who::OwnLink, true) => Comes::Served,
        (Who::LookingOnly, true) if whom == For::Writer => Comes::Forbidden,
        (Who::LookingOnly, true) => Comes::Served,
        (Who::OtherLink | Who::OtherOperatorInPath, true) => Comes::NotFound,
    }
}

#[tokio::test]
async fn everybody_reaches_what_is_theirs_and_nothing_else() {
    let world = World::start(801);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let other = Tenant::settle(&world, "other", "others-mark").await;
    let neighbour =
        world.api("POST", "/api/v1/app", &own.token, serde_json::json!({ "name": "Next door" })).await;
    let neighbour = neighbour["id"].as_str().unwrap();
    for (method, path, whom, fields) in all() {
        let mut sessions = Sessions::of(&world, &own, &other, neighbour).await;
        let mut before = own.state(&world).await;
        for who in EVERYBODY {
            // Made anew: some forms end sessions.
            if method == "POST" && who != EVERYBODY[0] {
                sessions = Sessions::of(&world, &own, &other, neighbour).await;
                before = own.state(&world).await;
            }
            let (in_path, cookie) = sessions.of_who(who);
            let concrete = own.fill(&path, in_path);
            let is_refused_elsewhere =
                path.starts_with("/ui/login") || path.starts_with("/ui/setup") || path == "/portal/session";
            let request = match method {
                "GET" => get(&format!("{concrete}?{fields}"), cookie),
                _ => form(&concrete, cookie, &own.fill(fields, in_path)),
            };
            let answer = world.ask(request).await;
            let case = format!("{method} {path} for {who:?}");
            if method == "POST" && is_refused_elsewhere {
                assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{case}");
                world.clock.advance(std::time::Duration::from_secs(60));
                continue;
            }
            let (heard, due) = (came(&case, &answer), expected(who, whom, &path));
            // What is for operators refuses customers in words of its own, or in the API's.
            let is_refused = heard == Comes::Forbidden && due == Comes::NotFound && method == "POST";
            assert!(heard == due || is_refused, "{case}: {heard:?}, not {due:?}: {}", answer.body());
            if let Some(location) = answer.headers().get("location") {
                let location = location.to_str().unwrap();
                assert!(
                    location.starts_with('/') && !location.starts_with("//"),
                    "{case} leads to {location}"
                );
            }
            let may_see = matches!(who, Who::Owner | Who::OwnLink | Who::LookingOnly | Who::LinkAsCookie);
            // The catalogue and the portal's name are the environment's, for each of its customers.
            let is_common = matches!(who, Who::OtherLink | Who::OtherLinkAsCookie);
            if !may_see && !is_common && whom != For::All {
                assert!(
                    !answer.body().contains("owns-mark"),
                    "{case} shows what is another's: {}",
                    answer.body()
                );
            }
            let may_write = matches!(who, Who::Owner | Who::OwnLink | Who::LinkAsCookie);
            let is_last = who == EVERYBODY[EVERYBODY.len() - 1];
            if (method == "GET" && is_last) || (method == "POST" && !may_write) {
                assert_eq!(own.state(&world).await, before, "{case} changed something");
            }
        }
    }
}

#[tokio::test]
async fn a_portal_session_is_over_when_its_link_is_revoked_or_expires() {
    let world = World::start(802);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let link = world.link(&own.token, &own.app, false).await;
    let base = world.open_link(&link).await;
    let opens = async || world.ask(get(&format!("{base}/apps/{}", own.app), "")).await.status();
    assert_eq!(opens().await, StatusCode::OK);
    let operator = world.log_in(&own.token).await;
    let page = world.ask(get(&format!("/ui/apps/{}/access", own.app), &operator)).await;
    let hint = &link[..12];
    let row = page.body().split("<tr>").find(|row| row.contains(hint)).expect("the link's row");
    let end = row.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#x2f;", "/");
    assert_eq!(world.ask(form(&end, &operator, "")).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(opens().await, StatusCode::UNAUTHORIZED);

    let short = world
        .api(
            "POST",
            &format!("/api/v1/auth/app-portal-access/{}", own.app),
            &own.token,
            serde_json::json!({ "expiry": 3600 }),
        )
        .await;
    let base = world.open_link(short["token"].as_str().unwrap()).await;
    let opens = async || world.ask(get(&format!("{base}/apps/{}", own.app), "")).await.status();
    assert_eq!(opens().await, StatusCode::OK);
    world.clock.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(opens().await, StatusCode::UNAUTHORIZED);
    assert_eq!(world.ask(get("/ui/apps", &operator)).await.status(), StatusCode::OK, "an operator goes on");
}

#[tokio::test]
async fn to_end_all_links_ends_all_sessions_of_that_customer_and_of_nobody_else() {
    let world = World::start(803);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let next = Tenant::settle(&world, "default", "nexts-mark").await;
    let base = world.open_link(&world.link(&own.token, &own.app, true).await).await;
    let others = world.open_link(&world.link(&next.token, &next.app, true).await).await;
    let operator = world.log_in(&own.token).await;
    let answer = world.ask(form(&format!("/ui/apps/{}/access/end", own.app), &operator, "")).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let opens =
        async |base: &str, app: &str| world.ask(get(&format!("{base}/apps/{app}"), "")).await.status();
    assert_eq!(opens(&base, &own.app).await, StatusCode::UNAUTHORIZED);
    assert_eq!(opens(&others, &next.app).await, StatusCode::OK);
    assert_eq!(world.ask(get("/ui/apps", &operator)).await.status(), StatusCode::OK);
}

#[test]
fn customers_have_no_route_that_is_not_of_an_app() {
    let beside: Vec<_> = all().into_iter().filter(|(_, path, ..)| path.starts_with(BY_LINK)).collect();
    assert!(beside.iter().all(|(_, path, whom, _)| path.contains("/apps/{app}")
        || path.contains("/bins/{bin}")
        || *whom == For::Visitor));
}
