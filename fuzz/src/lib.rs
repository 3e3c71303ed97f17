//! What has to hold of every decoder, whatever bytes it gets: no panic, and bounds on memory and on what it says.
//!
//! The fuzz targets are these functions, and `tests/corpus.rs` calls them with every seed.

mod answers;
mod bounds;
mod left;

pub use answers::{batch, ecr, inspect};
pub use left::{parts, pickled, printed};
