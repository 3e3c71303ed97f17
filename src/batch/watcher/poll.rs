//! One poll of up to a hundred jobs.

use std::sync::Arc;

use crate::batch::job::Job;
use crate::batch::jobs::Jobs;
use crate::error::{Error, Kind};

/// Garbled records after which a poll stops bisecting, if no record at all could be parsed.
const MAX_GARBLED: usize = 3;

/// The outcome of a poll. Jobs whose records are garbled fail separately.
#[derive(Debug, Default)]
pub(super) struct Poll {
    pub ids: Vec<String>,
    pub found: Vec<(Vec<String>, Vec<Job>)>,
    pub failures: Vec<(Vec<String>, Error)>,
}

impl Poll {
    /// Describes all jobs in one call. If the answer is garbled, bisects, so that a single garbled record fails alone.
    /// If several are garbled and none could be parsed, the records are probably not the cause, and bisecting
    /// stops.
    pub async fn run(jobs: Arc<Jobs>, ids: Vec<String>) -> Self {
        let mut poll = Self::default();
        let mut garbled = 0;
        let mut calls: Vec<&[String]> = vec![&ids];
        while let Some(ids) = calls.pop() {
            let understood = !poll.found.is_empty();
            match jobs.describe_once(ids).await {
                Ok(found) => poll.found.push((ids.to_vec(), found)),
                Err(error)
                    if error.kind() == Kind::Garbled && ids.len() > 1 && (understood || garbled < MAX_GARBLED) =>
                {
                    let (left, right) = ids.split_at(ids.len() / 2);
                    calls.extend([left, right]);
                }
                Err(error) => {
                    garbled += usize::from(error.kind() == Kind::Garbled);
                    poll.failures.push((ids.to_vec(), error));
                }
            }
        }
        poll.ids = ids;
        poll
    }
}
