//! Container images in private repositories of ECR: their addresses, and what is known of them.
//!
//! Uses [`crate::aws`].

mod image;
pub mod lookup;
