//! Container images in private repositories of ECR: whether one is there, and how one is made on another, without Docker.
//!
//! Uses [`crate::aws`].

pub mod base;
mod body;
pub mod image;
pub mod listing;
pub mod push;
pub mod registry;
pub mod repository;
pub mod source;
