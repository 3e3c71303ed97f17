//! The error of a call that a command does not make.

/// The call was not made, because these hosts have not answered earlier ones.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {}", .unresponsive.join(", "))]
pub struct SkippedCall {
    pub(super) unresponsive: Vec<String>,
}

impl SkippedCall {
    /// The hosts that have not answered.
    #[must_use]
    pub fn hosts(&self) -> String {
        self.unresponsive.join(", ")
    }
}
