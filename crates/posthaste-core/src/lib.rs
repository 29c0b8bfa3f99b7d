//! The rules of Posthaste: values and decisions, without I/O, clock or dice.
//!
//! Time and chance are arguments here. Modules stand in the order in which data meets them: who asks
//! (`tenant`, `token`), what happened (`message`), came in (`source`, `bin`, `answer`, `origin`) or was due (`cron`, `schedule`), who wants
//! it (`endpoint`, `fanout`), what is owed (`delivery`), by which node (`owner`, `role`), as which request (`request`), what was tried (`attempt`) and
//! what follows from it (`retry`, `health`, `operational`), and how it is found again (`search`).

pub mod advice;
pub mod answer;
pub mod app;
pub mod attempt;
pub mod bin;
pub mod colour;
pub mod cron;
pub mod day;
pub mod delivery;
pub mod dice;
pub mod endpoint;
pub mod event_type;
pub mod example;
pub mod fanout;
pub mod health;
pub mod id;
pub mod job;
pub mod limits;
pub mod listener;
pub mod looks;
pub mod message;
pub mod name;
pub mod operational;
pub mod origin;
pub mod owner;
pub mod password;
pub mod period;
pub mod replay;
pub mod request;
pub mod retry;
pub mod role;
pub mod rollup;
pub mod schedule;
pub mod search;
pub mod source;
pub mod target;
pub mod tenant;
pub mod time;
pub mod token;

pub use posthaste_signature::Secret;
