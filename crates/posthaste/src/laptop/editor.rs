//! A body, changed by hand in the editor that the user named.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;

use posthaste_core::dice::Dice as _;

use super::complaint::Complaint;
use crate::system::SystemDice;

/// What the user made of `text`.
#[expect(
    clippy::disallowed_methods,
    reason = "an editor is named in the environment, and is no setting of ours"
)]
pub(crate) fn edited(text: &[u8]) -> Result<Vec<u8>, Complaint> {
    let failed = |why: String| {
        Complaint::usage(
            "the body could not be edited",
            why,
            "set EDITOR to an editor that waits, or change fields with path=value",
        )
    };
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok());
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    let mut letters = [0; 8];
    SystemDice.fill(&mut letters);
    let name: String = letters.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = std::env::temp_dir().join(format!("posthaste-{name}.json"));
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    written.and_then(|mut file| file.write_all(text)).map_err(|error| failed(error.to_string()))?;
    let ran = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&path).status();
    let read = std::fs::read(&path);
    let _ = std::fs::remove_file(&path);
    match ran {
        Ok(status) if status.success() => read.map_err(|error| failed(error.to_string())),
        Ok(status) => Err(failed(format!("{editor} ended with {status}"))),
        Err(error) => Err(failed(error.to_string())),
    }
}
