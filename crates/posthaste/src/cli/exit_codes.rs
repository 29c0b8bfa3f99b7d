//! What each exit code means, in one place: for `help exit-codes` and the man page.

/// A code, and what it means.
pub(crate) const MEANINGS: [(u8, &str); 11] = [
    (0, "it is done"),
    (1, "it failed, for a reason that none of the others names"),
    (2, "the command line, or a file that it names, cannot be used"),
    (3, "there is no token, or a wrong one, or one that may not do this"),
    (4, "it is not there"),
    (5, "the server rejected it: it does not make sense, or is in another's way"),
    (6, "the server, or the receiver, cannot be reached, or is too busy"),
    (7, "what was checked is not right: a signature, an answer to a handshake, a server"),
    (8, "of many things, some failed"),
    (9, "it was delivered, and the receiver said anything but 2xx"),
    (130, "it was interrupted"),
];

/// The same as text, for `posthaste help exit-codes`.
pub(crate) const TEXT: &str = "  0  it is done
  1  it failed, for a reason that none of the others names
  2  the command line, or a file that it names, cannot be used
  3  there is no token, or a wrong one, or one that may not do this
  4  it is not there
  5  the server rejected it: it does not make sense, or is in another's way
  6  the server, or the receiver, cannot be reached, or is too busy
  7  what was checked is not right: a signature, an answer to a handshake, a server
  8  of many things, some failed
  9  it was delivered, and the receiver said anything but 2xx
130  it was interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_the_table_says() {
        let lines: Vec<_> = MEANINGS.iter().map(|(code, meaning)| format!("{code:>3}  {meaning}")).collect();
        assert_eq!(TEXT, lines.join("\n"));
    }
}
