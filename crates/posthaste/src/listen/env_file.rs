//! One line of a file of variables: written or replaced, and nothing else in the file changes.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::laptop::complaint::Complaint;

/// The variable, where none is named.
const VARIABLE: &str = "POSTHASTE_SECRET";

/// Where the secret goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EnvFile {
    pub(crate) path: PathBuf,
    pub(crate) variable: String,
}

impl EnvFile {
    /// Reads `FILE[:VARIABLE]`.
    pub(crate) fn parse(text: &str) -> Result<Self, Complaint> {
        let (path, variable) = match text.rsplit_once(':') {
            Some((path, variable)) if !variable.contains('/') => (path, variable),
            _ => (text, VARIABLE),
        };
        let begins =
            variable.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
        if path.is_empty()
            || !begins
            || !variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return Err(Complaint::usage(
                format!("--env-file \"{text}\" names no file and variable"),
                "a variable is letters, digits and _, and begins with no digit",
                "write --env-file .env.local:STRIPE_WEBHOOK_SECRET",
            ));
        }
        Ok(Self { path: path.into(), variable: variable.to_owned() })
    }

    /// Writes it. Whether that changed anything.
    pub(crate) fn write(&self, value: &str) -> Result<bool, Complaint> {
        let failed = |error: std::io::Error| {
            Complaint::failure(
                format!("{} cannot be written", self.path.display()),
                error,
                "name a file that you may write, or leave --env-file out and use --print-secret",
            )
        };
        let before = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let after = with_line(&before, &self.variable, value);
        if after == before {
            return Ok(false);
        }
        put(&self.path, &after).map_err(failed)?;
        Ok(true)
    }
}

/// In place, so that who may read it, and links to it, stay. What is new is for its owner only.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The text with this variable set: its line replaced where it stands (the last one counts, as it does for whoever
/// reads), or added at the end. Bytes, since a file of others need not be UTF-8.
fn with_line(text: &[u8], variable: &str, value: &str) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let place = lines.iter().rposition(|line| sets(line, variable).is_some());
    let mut out = Vec::with_capacity(text.len() + variable.len() + value.len() + 2);
    for (at, line) in lines.iter().enumerate() {
        match place.filter(|place| *place == at).and_then(|_| sets(line, variable)) {
            Some(prefix) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(value.as_bytes());
                out.extend_from_slice(if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
            }
            None => out.extend_from_slice(line),
        }
    }
    if place.is_none() {
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        out.extend_from_slice(format!("{variable}={value}\n").as_bytes());
    }
    out
}

/// What stands before the value, if the line sets this variable: `export NAME=`.
fn sets<'l>(line: &'l [u8], variable: &str) -> Option<&'l [u8]> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let name = std::str::from_utf8(&line[..equals]).ok()?.trim();
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    (name == variable).then(|| &line[..=equals])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_nothing_else() {
        for (before, after) in [
            ("", "KEY=new\n"),
            ("A=1", "A=1\nKEY=new\n"),
            ("A=1\nKEY=old\n# KEY=not me\nB=2\n", "A=1\nKEY=new\n# KEY=not me\nB=2\n"),
            ("export KEY = \"old\"\r\nB=2", "export KEY =new\r\nB=2"),
            ("KEY=1\nMY_KEY=2\nKEY=3", "KEY=1\nMY_KEY=2\nKEY=new\n"),
        ] {
            assert_eq!(String::from_utf8(with_line(before.as_bytes(), "KEY", "new")).unwrap(), after);
        }
        let strange = b"\xFF\xFE=x\nKEY=old\n\x00";
        assert_eq!(with_line(strange, "KEY", "new"), b"\xFF\xFE=x\nKEY=new\n\x00");
    }

    #[test]
    fn a_file_and_its_variable_are_named_together() {
        let file =
            |text: &str| EnvFile::parse(text).map(|file| (file.path.display().to_string(), file.variable));
        assert_eq!(file(".env.local:STRIPE_SECRET").unwrap(), (".env.local".into(), "STRIPE_SECRET".into()));
        assert_eq!(file(".env").unwrap(), (".env".into(), VARIABLE.into()));
        assert_eq!(file("C:/x/.env").unwrap(), ("C:/x/.env".into(), VARIABLE.into()));
        for bad in ["", ":KEY", ".env:", ".env:1KEY", ".env:A-B"] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }
}
