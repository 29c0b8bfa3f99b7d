//! `posthaste doctor`: looks at everything that operating depends on, and changes nothing.

mod data;
mod finding;
mod machine;
mod network;
mod page;
mod queue;
mod store;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use posthaste_core::time::Clock as _;
use posthaste_store::sqlite::survey;

use crate::cli::DoctorArgs;
use crate::config::Settings;
use crate::system::SystemTimer;
use crate::wiring;
use finding::Mark;

/// In the data directory: when the last backup was made, how large it was, and where it went.
pub(crate) const LAST_BACKUP: &str = "last-backup";
/// What "lately" means in figures: a day shows both a working day and a night.
const LATELY: Duration = Duration::from_hours(24);

/// Looks, and prints what it found.
pub(crate) async fn doctor(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = Settings::load(&args.settings)?;
    settings.must_be_embedded("doctor", "ask the nodes with `posthaste healthcheck`, and their /metrics")?;
    let (now, began) = (SystemTimer.now(), Instant::now());
    let database = wiring::database(&settings);
    let mut findings = data::directory(&settings);
    let mut survey = None;
    if database.is_file() {
        let secret = wiring::known_secret(&settings);
        let seen = survey::survey(&database, secret.as_ref(), args.deep, now.earlier(LATELY));
        findings.extend(store::store(&seen, &settings, args.deep));
        findings.push(data::backup(&settings, now));
        let server = network::server(&settings, &database).await;
        if let Ok(seen) = &seen {
            findings.extend(queue::queue(seen, server.runs, now));
        }
        findings.push(server.finding);
        survey = seen.ok();
    }
    findings.push(machine::disk(&settings, survey.as_ref(), now));
    findings.push(machine::clock(survey.as_ref(), now, SystemTimer.now(), began.elapsed()));
    findings.push(machine::open_files());
    findings.push(network::dns().await);
    findings.extend(network::addresses(&settings));
    for url in &args.url {
        findings.extend(network::reach(url, &settings).await);
    }
    let shown = settings.data_dir.display().to_string();
    if args.json {
        page::json(&shown, &findings);
    } else {
        page::lines(&shown, &findings);
    }
    let wrong = findings.iter().any(|finding| finding.mark == Mark::Wrong);
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
