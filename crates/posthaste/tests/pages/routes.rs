//! Every route of the pages, and whom it is for. A route that is added gets a line here, or a test fails.

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Anybody: there is nothing of a tenant's to see.
    All,
    /// Whoever is logged in as an operator, about the environment that they are logged in to.
    Operator,
    /// The same, and what it is about is named in the path.
    Owner,
    /// Whoever has a session of either kind, about their environment: the catalogue.
    Visitor,
    /// Operators, and customers by a link of that app.
    Customer,
    /// The same, unless the link is for looking only.
    Writer,
}

use For::{All, Customer, Operator, Owner, Visitor, Writer};

/// Method, path, whom it is for, and what its form or its query says.
pub(crate) type Route = (&'static str, &'static str, For, &'static str);

/// What is under `/ui`, `/portal` or open to all.
pub(crate) const ROUTES: &[Route] = &[
    ("GET", "/", Operator, ""),
    ("GET", "/assets/{file}", All, ""),
    ("GET", "/ui/login", All, ""),
    ("POST", "/ui/login", All, "token=phk_wrong"),
    ("GET", "/ui/setup", All, "code=phk_wrong"),
    ("POST", "/ui/setup", All, "code=phk_wrong"),
    ("POST", "/ui/login/password", All, "environment=default&password=wrong"),
    ("POST", "/ui/setup/password", All, "code=phk_wrong&password=x&again=x"),
    ("POST", "/ui/logout", Operator, ""),
    ("GET", "/ui/apps", Operator, ""),
    ("GET", "/ui/tokens", Operator, ""),
    ("POST", "/ui/tokens/{token}/revoke", Owner, ""),
    ("GET", "/ui/sources", Operator, ""),
    ("GET", "/ui/sources/new", Operator, ""),
    ("POST", "/ui/sources/new", Operator, "type=generic-webhook&name=New&uid=&handler="),
    ("GET", "/ui/sources/{source}", Owner, ""),
    ("GET", "/ui/sources/{source}/rejected", Owner, ""),
    ("GET", "/ui/sources/{source}/settings", Owner, ""),
    ("POST", "/ui/sources/{source}/change", Owner, "what=name&name=owns-mark"),
    ("GET", "/ui", Operator, ""),
    ("POST", "/ui/welcome/app", Operator, ""),
    ("POST", "/ui/welcome/bin", Operator, ""),
    ("GET", "/ui/endpoints", Operator, ""),
    ("GET", "/ui/jobs", Operator, ""),
    ("GET", "/ui/listeners", Operator, ""),
    ("GET", "/ui/messages", Operator, ""),
    // Messages are made by whoever sends them, not by customers.
    ("GET", "/ui/apps/{app}/messages/{message}/edit", Owner, ""),
    (
        "POST",
        "/ui/apps/{app}/messages/{message}/edit",
        Owner,
        "event_type=a.b&payload=%7B%7D&channels=&tags=",
    ),
    ("GET", "/ui/jobs/{job}", Owner, ""),
    ("POST", "/ui/jobs/{job}/cancel", Owner, ""),
    ("GET", "/ui/bins", Operator, ""),
    ("POST", "/ui/bins", Operator, "name=made-here"),
    ("GET", "/ui/bins/{bin}/settings", Owner, ""),
    ("POST", "/ui/bins/{bin}/share", Owner, "hours=1"),
    ("POST", "/ui/bins/{bin}/clear", Owner, ""),
    ("GET", "/ui/simulator", Operator, ""),
    ("POST", "/ui/simulator", Operator, ""),
    ("GET", "/ui/api", Operator, ""),
    ("GET", "/ui/api/{operation}", Operator, ""),
    ("GET", "/ui/apps/{app}/access", Owner, ""),
    ("POST", "/ui/apps/{app}/access", Owner, "hours=1"),
    ("POST", "/ui/apps/{app}/access/{token}/end", Owner, ""),
    ("POST", "/ui/apps/{app}/access/end", Owner, ""),
    ("GET", "/ui/settings", Operator, ""),
    ("POST", "/ui/settings", Operator, "name=Acme"),
    ("GET", "/ui/settings/logo", Visitor, ""),
    ("POST", "/ui/settings/logo", Operator, "logo=data%3Aimage%2Fpng%3Bbase64%2CiVBORw0KGgo%3D"),
    ("POST", "/ui/settings/catalogue", Operator, "public=true"),
    ("GET", "/ui/settings/network", Operator, ""),
    ("GET", "/ui/settings/server", Operator, ""),
    ("GET", "/events/{letters}", All, ""),
    ("GET", "/events/{letters}/logo", All, ""),
    ("GET", "/portal/login", All, ""),
    ("GET", "/portal/look/{look}", All, ""),
    ("POST", "/portal/session", All, "token=phk_wrong"),
];

/// Under `/ui`, and under `/portal/s/{session}/{look}` for customers.
pub(crate) const OF_AN_APP: &[Route] = &[
    ("GET", "/event-types", Visitor, ""),
    ("GET", "/logo", Visitor, ""),
    ("GET", "/apps/{app}", Customer, ""),
    (
        "POST",
        "/apps/{app}/endpoints",
        Writer,
        "url=https%3A%2F%2Fexample.com%2Fnew&description=&event_types=&rate=",
    ),
    // An event is the sender's to send: a customer is told that they may not, whatever their link says.
    ("POST", "/apps/{app}/messages/send", Owner, "event_type=a.b&payload=%7B%7D"),
    ("GET", "/apps/{app}/endpoints/{endpoint}", Customer, ""),
    ("POST", "/apps/{app}/endpoints/{endpoint}/change", Writer, "what=enable"),
    ("POST", "/apps/{app}/endpoints/{endpoint}/secret", Writer, ""),
    ("POST", "/apps/{app}/endpoints/{endpoint}/rotate", Writer, "hours=24"),
    ("POST", "/apps/{app}/endpoints/{endpoint}/test", Writer, "event_type=known.to.all"),
    ("GET", "/apps/{app}/endpoints/{endpoint}/recover", Writer, ""),
    (
        "POST",
        "/apps/{app}/endpoints/{endpoint}/recover",
        Writer,
        "since=2026-09-20T00:00:00Z&until=2026-09-21T00:00:00Z&rate=5",
    ),
    ("POST", "/apps/{app}/endpoints/{endpoint}/trial", Customer, "event_types=a.b"),
    ("GET", "/apps/{app}/messages/resend", Writer, ""),
    ("POST", "/apps/{app}/messages/resend", Writer, "which=any&rate=5&counted_until=2027-01-01T00:00:00Z"),
    ("GET", "/apps/{app}/messages/{message}/payload", Customer, ""),
    ("GET", "/apps/{app}/messages/{message}/attempts/{attempt}/har", Customer, ""),
    // A bin is an app of its own: a link of another app leads to none.
    ("GET", "/bins/{bin}", Owner, ""),
    ("GET", "/bins/{bin}/requests/{request}", Owner, ""),
    ("GET", "/apps/{app}/messages", Customer, ""),
    ("GET", "/apps/{app}/live", Customer, "since=0"),
    ("GET", "/apps/{app}/messages/{message}", Customer, ""),
    ("POST", "/apps/{app}/messages/{message}/resend", Writer, "endpoint={endpoint}"),
    ("GET", "/apps/{app}/messages/{message}/attempts/{attempt}", Customer, ""),
];

/// With what the paths of customers begin.
pub(crate) const BY_LINK: &str = "/portal/s/{session}/{look}";

/// Every route: its method, its whole path, whom it is for, and its form.
pub(crate) fn all() -> Vec<(&'static str, String, For, &'static str)> {
    let own = ROUTES.iter().map(|&(method, path, whom, form)| (method, path.to_owned(), whom, form));
    let of_an_app = |base: &'static str| {
        OF_AN_APP.iter().map(move |&(method, path, whom, form)| (method, format!("{base}{path}"), whom, form))
    };
    let mut all: Vec<_> = own.chain(of_an_app("/ui")).chain(of_an_app(BY_LINK)).collect();
    // What only looks comes first: forms take away what it looks at.
    all.sort_by_key(|(method, ..)| *method == "POST");
    all
}
