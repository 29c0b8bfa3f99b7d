//! `posthaste man`, `posthaste completion` and `posthaste exit-codes`: what the command line says about itself.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::configure::{CompletionArgs, ManArgs};
use crate::cli::exit_codes::MEANINGS;
use crate::cli::groups;
use crate::laptop::complaint::{Complaint, told};
use crate::telemetry::{print_bytes, print_line, tell};

/// Prints a script that completes commands and flags.
pub(crate) fn completion(args: &CompletionArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut groups::command(), "posthaste", &mut script);
    print_bytes(&script);
    ExitCode::SUCCESS
}

/// Prints what each exit code means.
pub(crate) fn exit_codes() -> ExitCode {
    for (code, meaning) in MEANINGS {
        print_line(&format!("{code:>3}  {meaning}"));
    }
    ExitCode::SUCCESS
}

/// Prints the first page, or writes all.
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    told(
        match &args.dir {
            None => first_page().map(|page| print_bytes(&page)).map_err(|error| failed("the page", &error)),
            Some(dir) => all_pages(dir),
        }
        .map(|()| ExitCode::SUCCESS),
    )
}

fn failed(what: &str, error: &std::io::Error) -> Complaint {
    Complaint::failure(format!("{what} cannot be written"), error, "is there room, and may you write there?")
}

/// With what every command has in common behind it.
fn first_page() -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(groups::command()).render(&mut page)?;
    let mut more = ".SH \"EXIT STATUS\"\n".to_owned();
    for (code, meaning) in MEANINGS {
        let _ = write!(more, ".TP\n.B {code}\n{}\n", meaning.replace('-', "\\-"));
    }
    more.push_str(
        ".SH ENVIRONMENT\n.TP\n.B POSTHASTE_SERVER, POSTHASTE_TOKEN\nThe server that commands ask, and the API token.\n\
         .TP\n.B POSTHASTE_PROFILE\nThe profile that names them.\n.TP\n.B NO_COLOR\nNo colours.\n\
         .SH FILES\n.TP\n.I ~/.config/posthaste/config.toml\nProfiles.\n",
    );
    page.extend_from_slice(more.as_bytes());
    Ok(page)
}

fn all_pages(dir: &Path) -> Result<(), Complaint> {
    let shown = dir.display().to_string();
    std::fs::create_dir_all(dir).map_err(|error| failed(&shown, &error))?;
    clap_mangen::generate_to(groups::command(), dir).map_err(|error| failed(&shown, &error))?;
    let page = first_page().and_then(|page| std::fs::write(dir.join("posthaste.1"), page));
    page.map_err(|error| failed(&shown, &error))?;
    tell(&format!("the pages are in {shown}: man -l {shown}/posthaste.1"));
    Ok(())
}
