//! What can be told of a URL once and for all: its parts, judged by their text, ready for a request line.
//!
//! The same endpoint is called again and again, and the policy of a client never changes, so the same text always
//! gives the same route. Its addresses are judged at every attempt, elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use posthaste_core::attempt::{Failure, FailureKind};
use posthaste_core::target::{Target, TargetPolicy};
use url::Position;

use super::{BLOCKED, failure};

/// URLs that are remembered; past that all are forgotten. At 2 KiB a URL these are 25 MiB at the very worst.
const ROUTES_MAX: usize = 4_096;

/// A URL that passed the first judgement, with what every request to it needs.
pub(super) struct Route {
    pub(super) target: Target,
    /// The name that is looked up, that certificates are checked for and that connections are kept under.
    pub(super) host: Arc<str>,
    /// Path and query, as the request line has them.
    pub(super) uri: Uri,
    /// The `Host` header, as the URL spells it.
    pub(super) authority: HeaderValue,
}

impl Route {
    fn of(text: &str, policy: &TargetPolicy) -> Result<Self, Failure> {
        let target = Target::parse(text, policy).map_err(|_| failure(FailureKind::BlockedTarget, BLOCKED))?;
        let unfit = || failure(FailureKind::Request, "the URL cannot be written into a request");
        let url = target.url();
        let path = PathAndQuery::try_from(&url[Position::BeforePath..Position::AfterQuery]);
        let authority = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
        let (path, authority) = (path.map_err(|_| unfit())?, authority.map_err(|_| unfit())?);
        let host = target.host().into();
        Ok(Self { uri: path.into(), authority, host, target })
    }
}

/// The routes of the URLs that were called lately.
#[derive(Default)]
pub(super) struct Routes(Mutex<HashMap<String, Arc<Route>>>);

impl Routes {
    /// The route of a URL. What is refused is judged anew each time: it is rare, and must not fill the memory.
    pub(super) fn find(&self, url: &str, policy: &TargetPolicy) -> Result<Arc<Route>, Failure> {
        let routes = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes().get(url) {
            return Ok(Arc::clone(route));
        }
        let route = Arc::new(Route::of(url, policy)?);
        let mut routes = routes();
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(url.to_owned(), Arc::clone(&route));
        Ok(route)
    }
}
