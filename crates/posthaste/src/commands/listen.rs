//! `posthaste listen`: requests of a server's sources and apps, forwarded to a program on this machine.

use std::process::ExitCode;
use std::sync::Arc;

use posthaste_core::time::Clock as _;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cli::listen::ListenArgs;
use crate::cli::server::Format;
use crate::laptop::complaint::{Complaint, told};
use crate::laptop::server::Server;
use crate::listen::colour::Paint;
use crate::listen::env_file::EnvFile;
use crate::listen::event::Event;
use crate::listen::forward::Forwarder;
use crate::listen::lines::{Form, Labels, Lines};
use crate::listen::place::{Make, Place};
use crate::listen::screen::{Action, Screen};
use crate::listen::tally::Tally;
use crate::listen::target::{NAME_LETTERS_MAX, Target, is_name};
use crate::listen::usual;
use crate::listen::wire::Wire;
use crate::shutdown::first_signal;
use crate::system::SystemTimer;
use crate::telemetry::{print_line, tell};
use crate::wiring;

/// Events that wait to be shown.
const EVENTS_MAX: usize = 256;
/// Sources that one command listens to.
const SOURCES_MAX: usize = 32;

/// Runs it.
pub(crate) fn listen(args: &ListenArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &ListenArgs) -> Result<ExitCode, Complaint> {
    let form = form(args)?;
    let env_file = args.env_file.as_deref().map(EnvFile::parse).transpose()?;
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::failure(
            "nothing can be forwarded",
            format!("{error:#}"),
            "try again when the system has room",
        )
    })?;
    let ended = runtime.block_on(async {
        let target = target(args).await?;
        let name = name(args, target.as_ref())?;
        let server = Arc::new(usual::server(&args.server).await?);
        let places = places(args, &server, &name).await?;
        if args.print_secret || env_file.is_some() {
            let secret = secret(args, &server, &places).await?;
            if let Some(file) = &env_file {
                keep(file, &secret)?;
            }
            if args.print_secret {
                print_line(&secret);
                return Ok(ExitCode::SUCCESS);
            }
        }
        let Some(target) = target else { return Err(no_target("no port was given")) };
        forward(args, form, Listener { server, target, name, places }).await
    });
    // A name that is being looked up must not keep a command that is over.
    runtime.shutdown_background();
    ended
}

/// Who listens, where, and for whom.
struct Listener {
    server: Arc<Server>,
    target: Target,
    name: String,
    places: Vec<Place>,
}

async fn forward(args: &ListenArgs, form: Form, listener: Listener) -> Result<ExitCode, Complaint> {
    let Listener { server, target, name, places } = listener;
    let interrupted =
        first_signal().map_err(|error| Complaint::failure("signals cannot be heard", error, "try again"))?;
    let mut interrupted = std::pin::pin!(interrupted);
    greet(&server, &target, &name, &places);
    let labels = Labels {
        of: places.iter().map(|place| place.label.clone()).collect(),
        target: target.clone(),
        public_urls: places.iter().map(|place| place.public_url.clone()).collect(),
        providers: places.iter().map(|place| place.provider.clone()).collect(),
        name,
    };
    let forwarder = Arc::new(Forwarder::new(target, &args.how));
    let (events, mut heard) = mpsc::channel(EVENTS_MAX);
    let (stop, stopped) = watch::channel(false);
    let mut wires = JoinSet::new();
    for (index, place) in places.iter().cloned().enumerate() {
        let (server, forwarder, events) = (Arc::clone(&server), Arc::clone(&forwarder), events.clone());
        let wire = Wire { index, server, place, forwarder, events, max_offline: args.max_offline };
        wires.spawn(wire.run(stopped.clone()));
    }
    let mut screen = screen(args, form, labels);
    let (mut tally, mut ended) = (Tally::default(), Ok(()));
    while !wires.is_empty() {
        tokio::select! {
            Some(event) = heard.recv() => {
                tally.count(&event);
                screen.show(&event, SystemTimer.now());
            }
            action = screen.action() => match action {
                Action::Quit => {
                    screen.close();
                    let _ = stop.send(true);
                }
                Action::Replay { wire, message } => {
                    tokio::spawn(replay(Arc::clone(&server), places[wire].clone(), message, events.clone()));
                }
            },
            Some(over) = wires.join_next() => {
                let over = over.unwrap_or_else(|error| {
                    Err(Complaint::failure("a connection's task ended", error, "please report this"))
                });
                if over.is_err() {
                    ended = ended.and(over);
                    let _ = stop.send(true);
                }
            }
            () = &mut interrupted, if !*stop.borrow() => {
                screen.close();
                let _ = stop.send(true);
            }
        }
    }
    while let Ok(event) = heard.try_recv() {
        tally.count(&event);
        screen.show(&event, SystemTimer.now());
    }
    screen.close();
    tell(&tally.summary());
    ended.map(|()| ExitCode::SUCCESS)
}

async fn replay(server: Arc<Server>, place: Place, message: String, events: mpsc::Sender<Event>) {
    let said = match place.resend(&server, &message).await {
        Ok(()) => format!("{message} is sent again"),
        Err(complaint) => format!("{message} was not sent again: {}", complaint.why()),
    };
    let _ = events.send(Event::Notice(said)).await;
}

fn form(args: &ListenArgs) -> Result<Form, Complaint> {
    let form = match args.output.format {
        _ if args.output.json => Form::Jsonl,
        Format::Json | Format::Jsonl => Form::Jsonl,
        Format::Auto | Format::Table | Format::Plain => Form::Plain,
    };
    if args.interactive && form == Form::Jsonl {
        return Err(Complaint::usage(
            "a view is for people, and JSON for programs",
            "-i and --output jsonl were both given",
            "leave one of them out",
        ));
    }
    Ok(form)
}

fn screen(args: &ListenArgs, form: Form, labels: Labels) -> Screen {
    let paints = (Paint::of(&std::io::stdout()), Paint::of(&std::io::stderr()));
    if args.interactive {
        match Screen::view(&labels) {
            Ok(view) => return view,
            Err(why) => tell(&format!("posthaste: no view can be drawn here ({why}): lines instead")),
        }
    }
    Screen::Lines(Box::new(Lines::new(form, labels, paints.0, paints.1)))
}

fn no_target(why: &str) -> Complaint {
    Complaint::usage(
        "it is not clear where to forward to",
        why,
        "name the port of your program: posthaste listen 3000",
    )
}

async fn target(args: &ListenArgs) -> Result<Option<Target>, Complaint> {
    let text = match &args.target {
        Some(text) => text.clone(),
        None if args.print_secret && args.whose.name.is_some() => return Ok(None),
        None => {
            let port = usual::port().await.map_err(|why| no_target(&why))?;
            tell(&format!("something listens on port {port} of this machine: requests go there"));
            port.to_string()
        }
    };
    let target = Target::parse(&text, args.how.path.as_deref())?;
    if !target.is_local() && !args.how.allow_external {
        return Err(Complaint::usage(
            format!("{} is not on this machine", target.origin()),
            "requests with their credentials would leave it",
            "if that is what you want, add --allow-external",
        ));
    }
    Ok(Some(target))
}

fn name(args: &ListenArgs, target: Option<&Target>) -> Result<String, Complaint> {
    match (&args.whose.name, target) {
        (Some(name), _) if is_name(name) => Ok(name.clone()),
        (Some(name), _) => Err(Complaint::usage(
            format!("--name \"{name}\" cannot be a listener's name"),
            format!("a name is up to {NAME_LETTERS_MAX} letters, digits, dots, dashes and underscores"),
            "write --name my-laptop",
        )),
        (None, Some(target)) => Ok(target.name_on(&usual::machine())),
        (None, None) => Err(no_target("no port was given")),
    }
}

async fn places(args: &ListenArgs, server: &Server, name: &str) -> Result<Vec<Place>, Complaint> {
    let whose = &args.whose;
    let types = &whose.types[..];
    if let Some(app) = &whose.app {
        return Ok(vec![Place::at_app(server, app, name, types).await?]);
    }
    let mut make = Make { provider: whose.provider.clone(), secret: whose.secret.clone(), unsigned: false };
    let sources = match (&whose.bin, &whose.provider) {
        (Some(bin), _) => {
            make.unsigned = true;
            vec![bin.clone()]
        }
        _ if !whose.source.is_empty() => whose.source.clone(),
        (None, Some(provider)) => vec![provider.clone()],
        (None, None) => {
            make.unsigned = true;
            vec![name.to_owned()]
        }
    };
    if sources.len() > SOURCES_MAX {
        return Err(Complaint::usage(
            format!("{} sources are too many", sources.len()),
            format!("one command listens to {SOURCES_MAX} at most"),
            "start another one for the rest",
        ));
    }
    let mut places = Vec::with_capacity(sources.len());
    for source in &sources {
        places.push(Place::at_source(server, (source, &make), name, types).await?);
    }
    Ok(places)
}

/// What the local program verifies with: the provider's own secret if it was given here, else that of our signature.
async fn secret(args: &ListenArgs, server: &Server, places: &[Place]) -> Result<String, Complaint> {
    let [place] = places else {
        return Err(Complaint::usage(
            "several sources have several secrets",
            "--env-file and --print-secret are for one",
            "name one --source",
        ));
    };
    if let Some(secret) = &args.whose.secret {
        return Ok(secret.clone());
    }
    if let Some(provider) = &place.provider {
        tell(&format!(
            "this is the secret of the webhook-signature header; {provider}'s own signature is verified with the secret \
             that the source was made with"
        ));
    }
    place.secret(server).await
}

fn keep(file: &EnvFile, secret: &str) -> Result<(), Complaint> {
    let (path, variable) = (file.path.display(), &file.variable);
    let said = if file.write(secret)? { "now holds the secret" } else { "held the secret already" };
    tell(&format!("{variable} in {path} {said}"));
    Ok(())
}

fn greet(server: &Server, target: &Target, name: &str, places: &[Place]) {
    tell(&format!("{} → {}   as {name}; Ctrl-C ends it", server.url(), target.url()));
    for place in places {
        match &place.public_url {
            Some(url) => tell(&format!("  {}   {url}", place.label)),
            None => tell(&format!("  {}", place.label)),
        }
    }
}
