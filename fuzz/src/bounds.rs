//! How much a decoder may take, and how much it may say.

use std::alloc::System;

use cap::Cap;
use covalent_awsbatch_plugin::error::Error;

/// Characters of an error's text.
const LONGEST_ERROR: usize = 5000;
/// Characters of a code or an id that AWS tells.
const LONGEST_NAME: usize = 300;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Does some work that may take so many bytes of memory at once. With more, the process aborts.
pub(crate) fn within<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    ALLOCATOR.set_limit(ALLOCATOR.allocated().saturating_add(bytes)).expect("more is allowed than is taken");
    let outcome = work();
    ALLOCATOR.set_limit(usize::MAX).expect("all is allowed");
    outcome
}

/// What an error says is short, in one line, and does nothing in a terminal.
pub(crate) fn short(error: &Error) {
    let text = error.to_string();
    short_text(&text);
    assert!(!text.contains(char::is_control), "{text:?}");
    for name in [error.code(), error.request_id()].into_iter().flatten() {
        assert!(name.chars().count() < LONGEST_NAME, "a name of {} bytes", name.len());
    }
}

/// A sentence that becomes part of an error.
pub(crate) fn short_text(text: &str) {
    assert!(text.chars().count() < LONGEST_ERROR, "a text of {} bytes", text.len());
}
