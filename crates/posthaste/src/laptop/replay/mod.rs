//! What `posthaste replay` does: what is asked for, how a job is watched, and sending from here.

pub(crate) mod answers;
pub(crate) mod asked;
pub(crate) mod here;
pub(crate) mod watch;
