//! What `covalent-awsbatch doctor` looks at, one verb a file. A task needs none of it, and each verb may be denied.
//!
//! Uses [`crate::aws`] and [`crate::s3`].

pub mod bucket;
pub mod clock;
pub mod encryption;
pub mod log_group;
pub mod role;
pub mod simulation;
