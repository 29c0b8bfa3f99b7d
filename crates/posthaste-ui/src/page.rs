//! Templates, built into the binary and rendered strictly: a name that is not there is an error, not a gap.

use axum::response::Html;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use crate::api::part;
use crate::assets;

/// Every template.
const TEMPLATES: &[(&str, &str)] = &[
    ("base.html", include_str!("../templates/base.html")),
    ("rail.html", include_str!("../templates/rail.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("access.html", include_str!("../templates/access.html")),
    ("app.html", include_str!("../templates/app.html")),
    ("apps.html", include_str!("../templates/apps.html")),
    ("attempt.html", include_str!("../templates/attempt.html")),
    ("charts.html", include_str!("../templates/charts.html")),
    ("edit.html", include_str!("../templates/edit.html")),
    ("bin.html", include_str!("../templates/bin.html")),
    ("bin_parts.html", include_str!("../templates/bin_parts.html")),
    ("bin_settings.html", include_str!("../templates/bin_settings.html")),
    ("bins.html", include_str!("../templates/bins.html")),
    ("catalogue.html", include_str!("../templates/catalogue.html")),
    ("endpoint.html", include_str!("../templates/endpoint.html")),
    ("endpoints.html", include_str!("../templates/endpoints.html")),
    ("endpoints_failing.html", include_str!("../templates/endpoints_failing.html")),
    ("endpoint_recover.html", include_str!("../templates/endpoint_recover.html")),
    ("endpoint_settings.html", include_str!("../templates/endpoint_settings.html")),
    ("endpoint_trial.html", include_str!("../templates/endpoint_trial.html")),
    ("error.html", include_str!("../templates/error.html")),
    ("event_types.html", include_str!("../templates/event_types.html")),
    ("job.html", include_str!("../templates/job.html")),
    ("find.html", include_str!("../templates/find.html")),
    ("jobs.html", include_str!("../templates/jobs.html")),
    ("jobs_parts.html", include_str!("../templates/jobs_parts.html")),
    ("listeners.html", include_str!("../templates/listeners.html")),
    ("login.html", include_str!("../templates/login.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("messages.html", include_str!("../templates/messages.html")),
    ("overview.html", include_str!("../templates/overview.html")),
    ("payload.html", include_str!("../templates/payload.html")),
    ("portal.html", include_str!("../templates/portal.html")),
    ("resend.html", include_str!("../templates/resend.html")),
    ("reference.html", include_str!("../templates/reference.html")),
    ("refused.html", include_str!("../templates/refused.html")),
    ("settings.html", include_str!("../templates/settings.html")),
    ("settings_nav.html", include_str!("../templates/settings_nav.html")),
    ("settings_network.html", include_str!("../templates/settings_network.html")),
    ("settings_server.html", include_str!("../templates/settings_server.html")),
    ("setup.html", include_str!("../templates/setup.html")),
    ("simulator.html", include_str!("../templates/simulator.html")),
    ("source.html", include_str!("../templates/source.html")),
    ("source_new.html", include_str!("../templates/source_new.html")),
    ("source_parts.html", include_str!("../templates/source_parts.html")),
    ("source_pick.html", include_str!("../templates/source_pick.html")),
    ("source_rejected.html", include_str!("../templates/source_rejected.html")),
    ("source_settings.html", include_str!("../templates/source_settings.html")),
    ("sources.html", include_str!("../templates/sources.html")),
    ("tokens.html", include_str!("../templates/tokens.html")),
    ("welcome.html", include_str!("../templates/welcome.html")),
];

/// All of them, read once.
pub(crate) struct Templates(Environment<'static>);

impl Templates {
    #[expect(clippy::expect_used, reason = "they are part of the binary, and a test reads them")]
    pub(crate) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // Whatever is put in is text of somebody's.
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_function("asset", |file: &str| assets::path(file));
        environment.add_filter("path", |text: &str| part(text));
        for &(name, text) in TEMPLATES {
            environment.add_template(name, text).expect("templates are well-formed");
        }
        Self(environment)
    }

    pub(crate) fn render(&self, name: &str, context: Value) -> Html<String> {
        let rendered = self.0.get_template(name).and_then(|template| template.render(context));
        Html(rendered.unwrap_or_else(|error| {
            tracing::error!(%error, name, "a template could not be filled in");
            "This page could not be made: the server's log says why.".to_owned()
        }))
    }
}
