//! The server that a command asks: where it is, by which token, and what its refusals mean for whoever typed.

use std::path::Path;

use http::Method;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::complaint::Complaint;
use super::profile::{Profile, Profiles};
use crate::call::{Answer, Caller};
use crate::cli::server::ServerArgs;

/// Where a server is that was started with nothing to configure.
pub(crate) const DEFAULT: &str = "http://127.0.0.1:8071";
/// Where servers of this directory leave a token for their owner: `dev`, then `serve`.
const LEFT_TOKENS: [&str; 2] = [".posthaste/dev/token", "posthaste-data/admin-token"];

/// A server, and the right to ask it.
pub(crate) struct Server {
    url: Url,
    token: String,
    /// One connection, made anew when it is gone.
    caller: Mutex<Option<Caller>>,
}

impl Server {
    /// By flags, then the environment, then the profile, then what lies here. A profile that a flag names goes before the
    /// environment, and its token goes to its own server only.
    pub(crate) fn of(args: &ServerArgs) -> Result<Self, Complaint> {
        let profile = profile(args)?;
        let kept = profile.server.as_deref().map(super::target::url).transpose()?;
        let is_named = args.profile.is_some();
        let by_name = |by_flag: &Option<String>, name: &str, kept: Option<String>| {
            let by_environment = || set(name);
            let by_profile = kept.clone();
            if is_named {
                by_flag.clone().or(by_profile).or_else(by_environment)
            } else {
                by_flag.clone().or_else(by_environment).or(by_profile)
            }
        };
        let named = by_name(&args.server, "POSTHASTE_SERVER", kept.clone());
        let text = super::target::url(named.as_deref().unwrap_or(DEFAULT))?;
        let url = Url::parse(&text).map_err(|error| {
            Complaint::usage(format!("\"{text}\" is no server"), error, "write --server http://host:8071")
        })?;
        let is_its_own = kept.is_none_or(|kept| kept.trim_end_matches('/') == text.trim_end_matches('/'));
        let token = profile.token.filter(|_| is_its_own);
        let token = match by_name(&args.token, "POSTHASTE_TOKEN", token) {
            Some(token) => Some(token),
            // A token of this machine is for a server of this machine.
            None if is_here(&url) => LEFT_TOKENS.iter().find_map(|path| left(Path::new(path))),
            None => None,
        };
        let token = token.ok_or_else(|| {
            Complaint::forbidden(
                format!("there is no token for {url}"),
                "neither --token nor POSTHASTE_TOKEN nor a profile gives one, and no server of this directory left one",
                "make one where the server runs: posthaste token create",
            )
        })?;
        Ok(Self { url, token, caller: Mutex::default() })
    }

    /// Its address, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Complaint> {
        self.ask(Method::GET, path, None).await
    }

    /// Where something is, by its id alone.
    pub(crate) async fn find(&self, id: &str) -> Result<Value, Complaint> {
        let path = format!("/api/posthaste/v1/find/{}", part(id));
        let answer = self.answer(&Method::GET, &path, &[], None).await?;
        if answer.status == 404 {
            return Err(Complaint::not_found(
                format!("{id} is not there"),
                "nothing of this environment has this id, or no more",
                "is the id whole, and of this server? for a uid, say whose it is: --app APP or --source SOURCE",
            ));
        }
        if answer.status != 200 {
            return Err(refused(&Method::GET, &path, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            Complaint::failure(format!("{id} cannot be found"), error, "look at the server's log")
        })
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Complaint> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Asks, and returns the JSON of an answer of success; `null` if it has no body.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Complaint> {
        self.ask_with(method, path, &[], body).await
    }

    /// The same, with more headers.
    pub(crate) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Value, Complaint> {
        let answer = self.answer(&method, path, headers, body).await?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(&method, path, &answer));
        }
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            Complaint::failure(
                format!("{} answered {method} {path} with what is not JSON", self.url()),
                error,
                "is this a Posthaste server, and not a page before one?",
            )
        })
    }

    /// Asks, and returns an answer of success as it came, letter by letter.
    pub(crate) async fn success(&self, method: &Method, path: &str) -> Result<Answer, Complaint> {
        let answer = self.answer(method, path, &[], None).await?;
        if (200..300).contains(&answer.status) { Ok(answer) } else { Err(refused(method, path, &answer)) }
    }

    /// Asks, whatever is answered.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> Result<Answer, Complaint> {
        let full = format!("{}{path}", self.url.path().trim_end_matches('/'));
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut caller = self.caller.lock().await;
        let kept = caller.take();
        let was_kept = kept.is_some();
        let mut tried = self.send(kept, method, &full, (headers, &body)).await;
        // A server closes connections that nobody has used for a while: what it cannot have begun is asked again.
        if was_kept && tried.is_err() && *method == Method::GET {
            tried = self.send(None, method, &full, (headers, &body)).await;
        }
        let (open, answer) = tried?;
        *caller = Some(open);
        Ok(answer)
    }

    async fn send(
        &self,
        kept: Option<Caller>,
        method: &Method,
        path: &str,
        (headers, body): (&[(String, String)], &str),
    ) -> Result<(Caller, Answer), Complaint> {
        let mut caller = match kept.filter(Caller::is_open) {
            Some(caller) => caller,
            None => Caller::connect_judged(self.url.as_str(), &self.token)
                .await
                .map_err(|error| self.away(&error))?,
        };
        let answer = caller.send_with(method.as_str(), path, headers, body.to_owned()).await;
        let answer = answer.map_err(|error| self.away(&error))?;
        Ok((caller, answer))
    }

    fn away(&self, error: &anyhow::Error) -> Complaint {
        Complaint::unreachable(
            format!("{} did not answer", self.url()),
            format!("{error:#}"),
            "is it running (posthaste serve, posthaste dev), and is this its address? --server URL",
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "these are no settings of a server: they name one")]
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The profile that is meant; an empty one if none is.
fn profile(args: &ServerArgs) -> Result<Profile, Complaint> {
    let profiles = Profiles::read()?;
    let named =
        args.profile.clone().or_else(|| set("POSTHASTE_PROFILE")).or_else(|| profiles.default.clone());
    named.map_or_else(|| Ok(Profile::default()), |name| profiles.named(&name).cloned())
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn left(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|token| !token.is_empty())
}

/// What the API said no with, in its own words.
pub(crate) fn refused(method: &Method, path: &str, answer: &Answer) -> Complaint {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let why = match &body["detail"] {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(one_detail).collect::<Vec<_>>().join("; "),
        _ => answer.text(),
    };
    let path = path.split('?').next().unwrap_or_default();
    let what = format!("{method} {path} was answered {}", answer.status);
    match answer.status {
        401 => Complaint::forbidden(what, why, "is the token right, and of this server? --token TOKEN"),
        403 => Complaint::forbidden(what, why, "this needs a token with more rights"),
        404 => Complaint::not_found(what, why, "is the id or uid right, and of this server and environment?"),
        429 | 503 => Complaint::unreachable(what, why, "try again in a moment"),
        400..500 => Complaint::rejected(what, why, "mend what is named, and try again"),
        _ => Complaint::failure(what, why, "look at the server's log"),
    }
}

fn one_detail(detail: &Value) -> String {
    let place = detail["loc"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let place: Vec<_> = place.collect();
    format!("{}: {}", place.join("."), detail["msg"].as_str().unwrap_or_default())
}

/// Writes a value as a part of a path: an id or uid, whatever letters it has.
pub(crate) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
