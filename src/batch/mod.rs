//! A job from its [`request`] to its [`outcome`]: its [`definition`] is registered once per content, it is submitted
//! once per name ([`submission`]), and one [`watcher`] polls all jobs until they end.
//!
//! Uses [`crate::aws`], and the signing keys of [`crate::envelope`].

pub mod definition;
pub mod fields;
pub mod job;
pub mod jobs;
mod json_call;
pub mod listing;
pub mod logs;
pub mod outcome;
pub mod platform;
pub mod queue;
pub mod request;
pub mod submission;
pub mod termination;
pub mod waiting;
pub mod watcher;
