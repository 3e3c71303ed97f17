//! The core of `covalent-awsbatch-plugin`: packages a function, submits it as an AWS Batch job, watches it, and brings
//! its result back.
//!
//! A folder is a subsystem, and its first lines say what it may use. Each uses those listed above it and none below; only
//! [`python`] knows that there is an interpreter. `tests/unit/test_core_layers.py` holds it to that.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]
// Errors are described once, on `Error`; every fallible function here returns that type.
#![allow(clippy::missing_errors_doc)]
// `settings::ClientSettings` reads better outside of its module than `settings::Client` would.
#![allow(clippy::module_name_repetitions)]

pub mod error;

pub mod archive;

pub mod aws;

pub mod ecr;
pub mod s3;

pub mod envelope;

pub mod batch;

pub mod inspect;

pub mod session;

#[cfg(feature = "python")]
mod python;
