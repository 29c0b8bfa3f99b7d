//! What is meant when nothing is said: the server, the port and the machine's name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::server::ServerArgs;
use crate::laptop::complaint::Complaint;
use crate::laptop::server::Server;

/// Where development servers usually listen.
const PORTS: [u16; 7] = [3000, 8000, 8080, 4000, 5000, 5173, 8888];
/// How long this machine may take to say that somebody listens.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(200);

/// The one usual port on which something listens, or why there is not one.
pub(crate) async fn port() -> Result<u16, String> {
    let mut open = Vec::new();
    for port in PORTS {
        if is_open(port).await {
            open.push(port.to_string());
        }
    }
    match &open[..] {
        [port] => port.parse().map_err(|_| "no port was given".to_owned()),
        [] => Err("no port was given, and nothing listens on one that is usual".to_owned()),
        ports => Err(format!("no port was given, and programs listen on {}", ports.join(", "))),
    }
}

async fn is_open(port: u16) -> bool {
    let v4 = timeout(KNOCK_TIMEOUT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
    let v6 = timeout(KNOCK_TIMEOUT, TcpStream::connect((Ipv6Addr::LOCALHOST, port))).await;
    matches!(v4, Ok(Ok(_))) || matches!(v6, Ok(Ok(_)))
}

/// The server; where none runs on this machine, how to get one.
pub(crate) async fn server(args: &ServerArgs) -> Result<Server, Complaint> {
    let found = Server::of(args);
    let Err(complaint) = found else { return found };
    // Asked with any token, it says at least where it would be.
    let asked = Server::of(&ServerArgs { token: Some("any".to_owned()), ..args.clone() })?;
    let Ok(url) = url::Url::parse(asked.url()) else { return Err(complaint) };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(complaint);
    };
    let knocked = timeout(KNOCK_TIMEOUT, TcpStream::connect((host.trim_matches(['[', ']']), port))).await;
    match knocked {
        Ok(Err(error)) => Err(Complaint::unreachable(
            format!("there is no server at {url}"),
            error,
            "start one on this machine: posthaste dev; or name one: --server URL --token TOKEN",
        )),
        _ => Err(complaint),
    }
}

/// What this machine calls itself.
pub(crate) fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
