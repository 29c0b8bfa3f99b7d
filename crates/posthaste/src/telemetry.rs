//! Logs: for people or as JSON, on standard error; and the one way to complain before exiting.

use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};
use crate::terminal::shown;

/// Starts logging as the settings say. Calling it twice changes nothing.
pub(crate) fn start(settings: &Settings) {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| OneLine(io::stderr()))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    let _ = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map_or_else(String::new, ToString::to_string);
        let reason = panicked.payload_as_str().unwrap_or("it did not say why");
        tracing::error!(place, reason, "a thread panicked");
    }));
}

/// Writes each event as one line: what others said, and an event repeats, cannot begin a line of its own.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Called once an event, with all of it.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        if text.iter().any(u8::is_ascii_control) {
            let text = String::from_utf8_lossy(text);
            // The colours on a terminal are ours: those that others send are escaped before they come here.
            let lines: Vec<String> = text.split('\x1b').map(shown).collect();
            self.0.write_all(lines.join("\x1b").as_bytes())?;
            self.0.write_all(b"\n")?;
        } else {
            self.0.write_all(event)?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One sentence on standard error, with its causes.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "posthaste: {error:#}");
}

/// Whether somebody still reads what is printed.
static IS_READ: AtomicBool = AtomicBool::new(true);

/// Whether it makes sense to print more.
pub(crate) fn is_read() -> bool {
    IS_READ.load(Ordering::Relaxed)
}

/// Prints a line of data on standard output. A closed pipe is no error: whoever read has read enough.
pub(crate) fn print_line(line: &str) {
    print_bytes(format!("{line}\n").as_bytes());
}

/// Prints data on standard output that ends no line.
pub(crate) fn print_text(text: &str) {
    print_bytes(text.as_bytes());
}

/// Prints bytes of data on standard output, as they are.
pub(crate) fn print_bytes(bytes: &[u8]) {
    let mut out = io::stdout();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        IS_READ.store(false, Ordering::Relaxed);
    }
}

/// Prints a line for people on standard error.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(event: &str) -> String {
        let mut line = OneLine(Vec::new());
        line.write_all(event.as_bytes()).unwrap();
        String::from_utf8(line.0).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_it_repeats() {
        assert_eq!(logged("12:00 WARN all is well\n"), "12:00 WARN all is well\n");
        assert_eq!(logged("12:00 WARN a\r\n12:01 INFO b\0\n"), "12:00 WARN a\\r\\n12:01 INFO b\\u{0}\n");
        assert_eq!(logged("\x1b[33mWARN\x1b[0m a\u{202e}b\n"), "\x1b[33mWARN\x1b[0m a\\u{202e}b\n");
    }
}
