//! What browsers are told, what other sites can make them do, and what guessing comes to.

use axum::http::{Response, StatusCode};
use posthaste_store::Directory as _;

use crate::routes::{For, all};
use crate::tenant::Tenant;
use crate::world::{World, cookie_of, form, form_from, get};

const FETCH_SITES: [&str; 2] = ["cross-site", "same-site"];

#[tokio::test]
async fn no_form_of_another_site_does_anything() {
    let world = World::start(810);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let session = world.log_in(&own.token).await;
    let before = own.state(&world).await;
    let mut walked = 0;
    for (_, path, _, fields) in all().into_iter().filter(|(method, ..)| *method == "POST") {
        if path.starts_with("/portal/") {
            // Nothing that a browser adds by itself counts there: the token or session is in what is sent.
            continue;
        }
        let (path, fields) = (own.fill(&path, ""), own.fill(fields, ""));
        for site in FETCH_SITES {
            let answer = world.ask(form_from(site, &path, &session, &fields)).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} from {site}");
        }
        let mut from_origin = form(&path, &session, &fields);
        from_origin.headers_mut().remove("sec-fetch-site");
        from_origin.headers_mut().insert("host", "posthaste.example".parse().unwrap());
        for origin in ["https://evil.example", "null", "https://posthaste.example.evil.example"] {
            let mut request = form(&path, &session, &fields);
            *request.headers_mut() = from_origin.headers().clone();
            request.headers_mut().insert("origin", origin.parse().unwrap());
            assert_eq!(world.ask(request).await.status(), StatusCode::FORBIDDEN, "{path} from {origin}");
        }
        walked += 1;
    }
    assert!(walked >= 15, "{walked}");
    assert_eq!(own.state(&world).await, before);
    assert_eq!(world.ask(get("/ui/apps", &session)).await.status(), StatusCode::OK, "the session goes on");
}

fn text<'a>(answer: &'a Response<String>, header: &str) -> &'a str {
    answer.headers().get(header).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_page_and_every_refusal_says_what_browsers_may_do_with_it() {
    let world = World::start(811);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let base = world.open_link(&world.link(&own.token, &own.app, false).await).await;
    let in_path = base.split('/').nth(3).unwrap();
    for (method, path, whom, fields) in all() {
        for cookie in [String::new(), "phk_wrong".to_owned(), world.log_in(&own.token).await] {
            for session in [in_path, "phk_wrong"] {
                let concrete = own.fill(&path, session);
                let request = match method {
                    "GET" => get(&format!("{concrete}?{fields}"), &cookie),
                    _ => form(&concrete, &cookie, &own.fill(fields, session)),
                };
                let answer = world.ask(request).await;
                let case = format!("{method} {path}: {}", answer.status());
                assert_eq!(text(&answer, "x-content-type-options"), "nosniff", "{case}");
                if whom == For::All && (path.starts_with("/assets/") || path.starts_with("/portal/look/")) {
                    continue;
                }
                let policy = text(&answer, "content-security-policy");
                assert!(policy.starts_with("default-src 'none'"), "{case}: {policy}");
                assert!(!policy.contains("script-src 'unsafe"), "{case}: {policy}");
                let frames = policy.split("frame-ancestors ").nth(1).unwrap_or_default();
                let is_picture = policy.contains("sandbox");
                let allowed = if path.starts_with("/portal/") && !is_picture {
                    "'self' https://shop.example"
                } else {
                    "'none'"
                };
                assert_eq!(frames, allowed, "{case}");
                if !is_picture {
                    assert_eq!(text(&answer, "cache-control"), "no-store", "{case}");
                    assert_eq!(text(&answer, "referrer-policy"), "no-referrer", "{case}");
                }
                let body = answer.body().to_lowercase();
                for forbidden in
                    ["<style", " style=", "onclick=", "onerror=", "onload=", "javascript:", "hx-on"]
                {
                    assert!(!body.contains(forbidden), "{case} has {forbidden}");
                }
                assert!(!body.replace("<script src=", "").contains("<script"), "{case} has a script within");
            }
        }
    }
}

#[tokio::test]
async fn a_login_makes_a_session_of_its_own_and_a_logout_ends_it_on_the_server() {
    let world = World::start(812);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let planted = "phk_planted";
    let first = world.ask(form("/ui/login", planted, &format!("token={}", own.token))).await;
    let session = cookie_of(&first).unwrap().to_owned();
    assert_ne!(session, planted);
    assert_ne!(session, own.token, "a token is no session");
    assert_eq!(world.ask(get("/ui/apps", planted)).await.status(), StatusCode::SEE_OTHER);
    let again = world.ask(form("/ui/login", &session, &format!("token={}", own.token))).await;
    assert_ne!(cookie_of(&again).unwrap(), session, "each login makes another one");

    let left = world.ask(form("/ui/logout", &session, "")).await;
    assert!(text(&left, "set-cookie").contains("Max-Age=0"), "{}", text(&left, "set-cookie"));
    assert_eq!(text(&world.ask(get("/ui/apps", &session)).await, "location"), "/ui/login");
    assert_eq!(world.ask(get("/ui/apps", cookie_of(&again).unwrap())).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_cookie_is_for_no_script_and_for_no_other_site() {
    for (public_url, is_secure) in [("http://posthaste.example", false), ("https://posthaste.example", true)]
    {
        let world = World::at(public_url, 813 + u64::from(is_secure));
        let token = world.token("default").await;
        let answer = world.ask(form("/ui/login", "", &format!("token={token}"))).await;
        let set = text(&answer, "set-cookie");
        for flag in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=43200"] {
            assert!(set.contains(flag), "{set}");
        }
        assert_eq!(set.contains("; Secure"), is_secure, "{set}");
        assert!(!set.contains("Domain"), "{set}");
    }
}

#[tokio::test]
async fn a_session_of_an_operator_ends_with_the_token_that_it_was_begun_with() {
    let world = World::start(815);
    let token = world.token("default").await;
    let session = world.log_in(&token).await;
    let of_session = world.log_in(&session).await;
    let tokens = world.store.tokens(None).await.unwrap();
    let first = tokens.iter().find(|one| token.starts_with(&one.hint)).unwrap();
    world.store.revoke_token(first.id, first.created_at).await.unwrap();
    for one in [session, of_session] {
        assert_eq!(text(&world.ask(get("/ui/apps", &one)).await, "location"), "/ui/login");
    }
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let world = World::start(816);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let session = world.log_in(&own.token).await;
    let elsewhere = ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"];
    for to in elsewhere {
        for path in [format!("/ui/login?next={to}"), format!("/?next={to}")] {
            let answer = world.ask(get(&path, &session)).await;
            assert!(!text(&answer, "location").contains("evil"), "{path}");
        }
        let answer = world
            .ask(form(&format!("/ui/login?next={to}"), "", &format!("token={}&next={to}", own.token)))
            .await;
        assert_eq!(text(&answer, "location"), "/ui");
        let link = world.link(&own.token, &own.app, true).await;
        let answer =
            world.ask(form("/portal/session", "", &format!("token={link}&look={to}&next={to}"))).await;
        assert!(text(&answer, "location").starts_with("/portal/s/"), "{}", text(&answer, "location"));
        assert!(!text(&answer, "location").contains("evil"));
    }
    for app in ["%2F%2Fevil.example", "..%2F..%2Fevil", "a%0d%0aset-cookie:x"] {
        let answer =
            world.ask(get(&format!("/ui/apps/{app}/messages?id=%2F%2Fevil.example"), &session)).await;
        let location = text(&answer, "location");
        assert!(location.starts_with("/ui/apps/") || location.is_empty(), "{location}");
        assert!(!location.contains("//"), "{location}");
    }
}

#[tokio::test]
async fn whoever_guesses_is_slowed_down_wherever_they_guess_and_nobody_else_is() {
    let world = World::start(817);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let session = world.log_in(&own.token).await;
    let base = world.open_link(&world.link(&own.token, &own.app, false).await).await;
    let here = "192.0.2.7";
    assert_eq!(world.ask_from(here, get("/ui/apps", &session)).await.status(), StatusCode::OK);
    let guess = |n: u32| match n % 4 {
        0 => form("/ui/login", "", &format!("token=phk_{n}")),
        1 => form("/ui/setup", "", &format!("code=phk_{n}")),
        2 => form("/portal/session", "", &format!("token=phk_{n}")),
        _ => get(&format!("/portal/s/phk_{n}/-/apps/{}", own.app), ""),
    };
    let mut heard = 0;
    for n in 0..200 {
        let answer = world.ask_from(here, guess(n)).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(text(&answer, "retry-after"), "1");
            assert!(
                answer
                    .body()
                    .contains("Too many wrong tokens or passwords came from your address: try again in 1 s.")
            );
            continue;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{n}");
        heard += 1;
    }
    assert_eq!(heard, 100);
    let api = http::Request::get("/api/v1/app").header("authorization", "Bearer phk_x");
    let api = world.ask_from(here, api.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(api.status(), StatusCode::TOO_MANY_REQUESTS, "the API counts along");
    assert_eq!(
        world.ask_from("192.0.2.8", guess(0)).await.status(),
        StatusCode::UNAUTHORIZED,
        "another address"
    );
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.ask_from(here, get("/ui/apps", &session)).await.status(), StatusCode::OK);
    assert_eq!(
        world.ask_from(here, get(&format!("{base}/apps/{}", own.app), "")).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_refused_form_comes_back_with_what_was_typed_and_the_sentence() {
    let world = World::start(818);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let session = world.log_in(&own.token).await;
    let base = world.open_link(&world.link(&own.token, &own.app, false).await).await;
    let fields = "url=http%3A%2F%2F169.254.169.254%2F&description=%3Cb%3Ebold&event_types=a.b%2C+c.d&rate=7";
    for (base, cookie) in [("/ui", session.as_str()), (base.as_str(), "")] {
        let answer = world.ask(form(&format!("{base}/apps/{}/endpoints", own.app), cookie, fields)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let page = answer.body().replace("&#x2f;", "/");
        for kept in [
            "http://169.254.169.254/",
            "&lt;b&gt;bold",
            "a.b, c.d",
            "value=\"7\"",
            "must lead to a public address",
        ] {
            assert!(page.contains(kept), "{kept} is not in {page}");
        }
        assert!(page.contains(&format!("action=\"{base}/apps/{}/endpoints\"", own.app)), "{page}");
        assert!(page.contains(&format!("href=\"{base}/apps/{}\"", own.app)), "{page}");
    }
    let fields = "event_type=a.b&payload=%7B%22line%22%3A+1%0A%2C";
    let answer = world.ask(form(&format!("/ui/apps/{}/messages/send", own.app), &session, fields)).await;
    assert!(answer.body().contains("<textarea name=\"payload\""), "{}", answer.body());
    assert!(answer.body().contains("The payload is not JSON"), "{}", answer.body());
}

#[tokio::test]
async fn a_catalogue_is_public_only_while_it_is_published() {
    let world = World::start(819);
    let token = world.token("default").await;
    let schema = serde_json::json!({ "1": { "type": "object", "required": ["id"], "properties": {
        "id": { "type": "string", "description": "The order" },
        "lines": { "type": "array", "items": { "type": "object", "properties": { "sku": { "type": "string" } } } } } } });
    for (name, archived) in [("order.paid", false), ("user.gone", false), ("old.secret", true)] {
        let body = serde_json::json!({ "name": name, "description": "What happened", "schemas": schema, "archived": archived });
        world.api("POST", "/api/v1/event-type", &token, body).await;
    }
    let publish = async |is_public: bool| {
        let body = serde_json::json!({ "publicCatalogue": is_public });
        let said = world.api("PATCH", "/api/posthaste/v1/portal", &token, body).await;
        said["catalogueUrl"]
            .as_str()
            .map(|url| url.strip_prefix("http://posthaste.example").unwrap().to_owned())
    };
    let path = publish(true).await.unwrap();
    let page = world.ask(get(&path, "")).await;
    assert_eq!(page.status(), StatusCode::OK, "{}", page.body());
    for there in ["order.paid", "user.gone", "sku", "list of object", "string, always there", "The order"] {
        assert!(page.body().contains(there), "{there} is not in {}", page.body());
    }
    assert!(!page.body().contains("old.secret"), "what is archived");
    let found = world.ask(get(&format!("{path}?q=PAID"), "")).await;
    assert!(found.body().contains("order.paid") && !found.body().contains("user.gone"));
    assert!(world.ask(get(&format!("{path}?q=nothing"), "")).await.body().contains("Nothing matches"));
    for unknown in ["/events/x", "/events/", &format!("/events/{}", "x".repeat(65))] {
        assert_eq!(world.ask(get(unknown, "")).await.status(), StatusCode::NOT_FOUND, "{unknown}");
    }
    publish(false).await;
    assert_eq!(world.ask(get(&path, "")).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_picture_that_is_an_svg_runs_nothing_even_as_a_page_of_its_own() {
    let world = World::start(820);
    let own = Tenant::settle(&world, "default", "owns-mark").await;
    let session = world.log_in(&own.token).await;
    // <svg onload="alert(1)"><script>alert(1)</script></svg>
    let svg =
        "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIj48c2NyaXB0PmFsZXJ0KDEpPC9zY3JpcHQ+PC9zdmc+";
    let fields = format!("logo={}", svg.replace('+', "%2B").replace(',', "%2C"));
    assert_eq!(world.ask(form("/ui/settings/logo", &session, &fields)).await.status(), StatusCode::SEE_OTHER);
    let picture = world.ask(get("/ui/settings/logo", &session)).await;
    assert_eq!(
        (text(&picture, "content-type"), text(&picture, "x-content-type-options")),
        ("image/svg+xml", "nosniff")
    );
    let policy = text(&picture, "content-security-policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("sandbox")
            && !policy.contains("allow-scripts")
    );
}

#[tokio::test]
async fn whether_an_address_would_be_called_is_answered_by_the_rule_with_the_reason() {
    let world = World::start(821);
    let session = world.log_in(&world.token("default").await).await;
    for (target, verdict, why) in [
        ("10.0.0.5", "refused", "of a private network, not public"),
        ("169.254.169.254", "refused", "clouds serve credentials"),
        ("::1", "refused", "this machine itself"),
        ("localhost", "refused", "private by definition"),
        ("ftp://example.com/", "refused", "must begin with https"),
        ("1.1.1.1", "allowed", ""),
        ("example.com", "it depends", "each address that it resolves to is judged"),
    ] {
        let page = world.ask(get(&format!("/ui/settings/network?target={target}"), &session)).await;
        assert!(page.body().contains(&format!(">{verdict}<")), "{target}: {}", page.body());
        assert!(page.body().contains(why), "{target}: {}", page.body());
    }
}
