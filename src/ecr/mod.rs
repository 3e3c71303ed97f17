//! Container images in private repositories of ECR: whether one is there.
//!
//! Uses [`crate::aws`].

pub mod image;
