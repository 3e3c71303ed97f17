//! What `covalent-awsbatch doctor` looks at, one verb a file. A task needs none of it, and each verb may be denied.
//!
//! Uses [`crate::aws`], [`crate::s3`] and [`crate::ecr`].

pub mod bucket;
pub mod clock;
pub mod encryption;
pub mod image;
pub mod log_group;
pub mod role;
pub mod simulation;
