//! Whether a session may go on: its token may be revoked meanwhile, its endpoint be disabled or deleted.

use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::EndpointId;
use posthaste_core::listener;
use posthaste_core::tenant::EnvironmentId;
use posthaste_store::ChangeError;
use posthaste_store::directory::Owner;
use posthaste_tunnel::frame::Reason;
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::extract::auth::Caller;
use crate::state::ApiState;

/// By which token somebody listens, and to what.
pub(super) struct Right {
    token: Zeroizing<String>,
    environment: EnvironmentId,
    /// By ids: a uid may move to another.
    owner: Owner,
    endpoint: EndpointId,
    url: String,
}

/// Why it is over.
pub(super) type Over = (Reason, &'static str);

const UNAUTHORIZED: Over =
    (Reason::Unauthorized, "the token was revoked, has expired, or may not listen here any more");
const DELETED: Over = (Reason::Deleted, "the endpoint was deleted");
const MOVED: Over = (Reason::Deleted, "the endpoint has another url now");
const DISABLED: Over = (Reason::Disabled, "the endpoint was disabled: enable it, then listen again");

impl Right {
    pub(super) fn new(
        token: Zeroizing<String>,
        environment: EnvironmentId,
        owner: Owner,
        endpoint: &Endpoint,
    ) -> Self {
        let owner = match owner {
            Owner::App(_) => Owner::App(Reference::from(endpoint.app)),
            other => other,
        };
        Self { token, environment, owner, endpoint: endpoint.id, url: endpoint.url.clone() }
    }

    /// Looks again. A store that does not answer says nothing: the session goes on.
    pub(super) async fn look(&self, state: &ApiState) -> Result<(), Over> {
        let caller = match Caller::again(state, &self.token).await {
            Ok(Some(caller)) => caller,
            Ok(None) => return Err(UNAUTHORIZED),
            Err(_) => return Ok(()),
        };
        let environment = match &self.owner {
            Owner::App(app) => caller.writes(state, app.as_str().to_owned()).await.map(|(found, _)| found),
            Owner::Source(_) | Owner::Operational => caller.environment(),
        };
        match environment {
            Ok(environment) if environment == self.environment => {}
            Err(ApiError::Unavailable) => return Ok(()),
            Ok(_) | Err(_) => return Err(UNAUTHORIZED),
        }
        let id = Reference::new(self.endpoint.to_string());
        match state.directory.endpoint(self.environment, &self.owner, &id).await {
            Ok(endpoint) if endpoint.url != self.url || !listener::is_listener(&endpoint.url) => Err(MOVED),
            Ok(endpoint) if endpoint.disabled => Err(DISABLED),
            Err(ChangeError::NotFound(_)) => Err(DELETED),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
