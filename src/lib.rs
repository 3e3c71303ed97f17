//! The core of `covalent-awsbatch-plugin`: packages a function, submits it as an AWS Batch job, watches it, and brings
//! its result back. Data flows one way through the modules, in the order in which they are listed here; only
//! [`python`] knows that there is an interpreter.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]
// Errors are described once, on `Error`; every fallible function here returns that type.
#![allow(clippy::missing_errors_doc)]
// `settings::ClientSettings` reads better outside of its module than `settings::Client` would.
#![allow(clippy::module_name_repetitions)]

pub mod error;
pub mod settings;

pub mod clients;
pub mod credentials;
pub mod errands;
pub mod http;
pub mod identity;
mod intermediary;
pub mod limiter;
pub mod once;
pub mod pace;
pub mod renewal;
pub mod retry;
mod throughput;

pub mod budget;
pub mod checksum;
pub mod cleanup;
pub mod download;
mod multipart;
pub mod storage;
pub mod upload;

pub mod definition;
pub mod submission;

pub mod job;
pub mod listing;
pub mod queue;
pub mod waiting;
pub mod watcher;

pub mod envelope;
pub mod image;
pub mod logs;
pub mod outcome;

pub mod inspect;

#[cfg(feature = "python")]
mod python;
