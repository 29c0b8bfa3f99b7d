//! Nodes that do a part of the work: what they serve, and what they say of the rest.

use axum::http::StatusCode;
use posthaste_core::role::{Role, Roles};

use crate::world::Posthaste;

/// Paths on every node, whatever it does.
const EVERYWHERE: [&str; 6] =
    ["/livez", "/readyz", "/metrics", "/openapi.json", "/api/v1/health", "/api/v1/health/ping"];

fn role_of(path: &str) -> Role {
    match path {
        path if path.starts_with("/in/") => Role::Inbound,
        path if path.ends_with("/listen") => Role::Deliver,
        _ => Role::Api,
    }
}

fn detail_of(role: Role) -> &'static str {
    match role {
        Role::Inbound => {
            "this node does not serve the addresses of sources (role inbound): ask one that does"
        }
        Role::Deliver => "this node does not serve deliveries (role deliver): ask one that does",
        Role::Api => "this node does not serve the API (role api): ask one that does",
    }
}

#[tokio::test]
async fn every_path_of_a_role_that_a_node_lacks_says_so_with_any_method() {
    for roles in ["api", "inbound", "deliver", "api,deliver"].map(|text| Roles::parse(text).unwrap()) {
        let posthaste = Posthaste::start_with_roles(31, roles);
        for path in &posthaste.paths {
            if EVERYWHERE.contains(&path.as_str()) {
                continue;
            }
            let filled = path.replace(['{', '}'], "");
            for method in ["GET", "POST", "DELETE"] {
                let (status, answer) = posthaste.call(method, &filled, "no token", None).await;
                let elsewhere = status == StatusCode::MISDIRECTED_REQUEST;
                assert_eq!(elsewhere, !roles.has(role_of(path)), "{method} {path} as {roles}: {answer}");
                if elsewhere {
                    assert_eq!(answer["detail"], detail_of(role_of(path)), "{method} {path} as {roles}");
                }
            }
        }
    }
}

#[tokio::test]
async fn probes_are_on_every_node_and_say_what_it_does() {
    for (roles, said) in [
        ("deliver", "ready, as deliver\n"),
        ("inbound,api", "ready, as api, inbound\n"),
        ("api,inbound,deliver", "ready\n"),
    ] {
        let posthaste = Posthaste::start_with_roles(32, Roles::parse(roles).unwrap());
        assert_eq!(posthaste.text("/readyz").await, said);
        assert_eq!(posthaste.text("/livez").await, "live\n");
        let metrics = posthaste.text("/metrics").await;
        let shown = format!("roles=\"{}\"", Roles::parse(roles).unwrap());
        assert!(
            metrics.lines().any(|line| line.starts_with("build_info{") && line.contains(&shown)),
            "{metrics}"
        );
    }
}
