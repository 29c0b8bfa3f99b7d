//! The data directory: who may read it, what is in it, and when it was last backed up.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use posthaste_core::time::Timestamp;
use rustix::fs::{Access, access};

use super::LAST_BACKUP;
use super::finding::{About, Finding};
use crate::config::Settings;
use crate::{wiring, words};

/// A backup that is older than this would lose more than a week.
const BACKUP_AGE_MAX: Duration = Duration::from_hours(7 * 24);
const DIRECTORY: About = About("Store", "data directory");
const BACKUPS: About = About("Store", "backups");

/// Whether it is there, ours alone, and can be written.
pub(super) fn directory(settings: &Settings) -> Vec<Finding> {
    let dir = &settings.data_dir;
    let shown = dir.display();
    let Ok(found) = std::fs::metadata(dir) else {
        return vec![DIRECTORY.wrong(
            format!("{shown} is not there"),
            "`posthaste serve` makes it; or name the right one with --data-dir",
        )];
    };
    let mut findings = Vec::new();
    let mode = found.permissions().mode();
    findings.push(if access(dir, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        DIRECTORY.wrong(
            format!("{shown} cannot be written by this user"),
            "run as the user that owns it, or give it to this one with chown",
        )
    } else if mode & 0o077 != 0 {
        DIRECTORY.warning(
            format!("{shown} can be opened by others on this machine (mode {:o})", mode & 0o777),
            format!("chmod 700 {shown}"),
        )
    } else {
        DIRECTORY.good(format!("{shown} can be written, and is for its owner only"))
    });
    if !wiring::database(settings).is_file() {
        findings.push(About("Store", "store").wrong(
            format!("there is none in {shown}"),
            "`posthaste serve` makes one; or name the right directory with --data-dir",
        ));
    }
    findings.extend(too_open(&wiring::main_secret_file(settings)));
    findings.extend(too_open(&dir.join("admin-token")));
    findings
}

/// A secret that others may read.
fn too_open(path: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        About("Store", "secrets").wrong(
            format!("{} can be read by others (mode {:o})", path.display(), mode & 0o777),
            format!("chmod 600 {}; if others may have read it, replace it", path.display()),
        )
    })
}

/// When the last one was made, as far as this data directory knows.
pub(super) fn backup(settings: &Settings, now: Timestamp) -> Finding {
    let advice = "posthaste backup FILE, where FILE is on another disk; the main secret too, elsewhere";
    let known = std::fs::read_to_string(settings.data_dir.join(LAST_BACKUP)).ok();
    let Some((at, bytes, place)) = known.as_deref().and_then(read) else {
        return BACKUPS.warning("none is known here", advice);
    };
    let age = now.since(at);
    let says = format!("the last one is {} old: {}, {}", words::span(age), words::size(bytes), place);
    if age > BACKUP_AGE_MAX { BACKUPS.warning(says, advice) } else { BACKUPS.good(says) }
}

fn read(line: &str) -> Option<(Timestamp, u64, &str)> {
    let mut words = line.trim_end().splitn(3, ' ');
    Some((Timestamp::parse(words.next()?)?, words.next()?.parse().ok()?, words.next()?))
}
