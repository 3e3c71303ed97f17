//! That a command did not ask any more.

/// Nobody was asked, since these have not answered before.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {}", .silent.join(", "))]
pub struct NotAsked {
    pub(super) silent: Vec<String>,
}

impl NotAsked {
    /// Who has not answered.
    #[must_use]
    pub fn of_whom(&self) -> String {
        self.silent.join(", ")
    }
}
