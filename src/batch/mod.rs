//! A job from its [`request`] to its [`outcome`]: its [`definition`] is registered once for one content, it is submitted
//! once under its name ([`submission`]), and one [`watcher`] waits for the end of all jobs.
//!
//! Uses [`crate::aws`], and of [`crate::envelope`] the keys that jobs sign with.

pub mod definition;
pub mod fields;
pub mod job;
pub mod jobs;
mod json_call;
pub mod listing;
pub mod logs;
pub mod outcome;
pub mod queue;
pub mod request;
pub mod submission;
pub mod waiting;
pub mod watcher;
