//! What a doctor says: one line each, with how to mend it if something is to be mended.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// As it should be.
    Good,
    /// Could not be found out, or says nothing by itself.
    Unknown,
    /// Works, but somebody should look.
    Warning,
    /// Does not work, or soon will not: exit code 1.
    Wrong,
}

impl Mark {
    /// As JSON has it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Wrong => "error",
        }
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    pub(super) says: String,
    pub(super) mend: Option<String>,
}

/// Where a finding belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct About(pub(super) &'static str, pub(super) &'static str);

impl About {
    pub(super) fn good(self, says: impl Into<String>) -> Finding {
        self.finding(Mark::Good, says.into(), None)
    }

    pub(super) fn unknown(self, says: impl Into<String>) -> Finding {
        self.finding(Mark::Unknown, says.into(), None)
    }

    pub(super) fn warning(self, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Mark::Warning, says.into(), Some(mend.into()))
    }

    pub(super) fn wrong(self, says: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Mark::Wrong, says.into(), Some(mend.into()))
    }

    fn finding(self, mark: Mark, says: String, mend: Option<String>) -> Finding {
        Finding { section: self.0, name: self.1, mark, says, mend }
    }
}
