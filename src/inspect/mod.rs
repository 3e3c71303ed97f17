//! The look-ups of `covalent-awsbatch doctor`, one per file. A task needs none of them, and each may be denied.
//!
//! Uses [`crate::aws`], [`crate::s3`] and [`crate::ecr`].

pub mod bucket;
pub mod clock;
pub mod encryption;
pub mod image;
pub mod log_group;
pub mod role;
pub mod simulation;
