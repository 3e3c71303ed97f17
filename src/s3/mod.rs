//! Objects in and out of a bucket as streams: [`upload`], [`download`], [`cleanup`]; what arrives is what was sent
//! ([`checksum`]), and all uploads together stay within a bound of memory ([`memory_budget`]).
//!
//! Uses [`crate::aws`].

pub mod checksum;
pub mod cleanup;
pub mod download;
pub mod hashing;
pub mod listing;
pub mod memory_budget;
mod multipart;
pub mod shared;
pub mod storage;
mod target;
pub mod upload;
