//! One look at up to a hundred jobs.

use std::sync::Arc;

use crate::batch::job::Job;
use crate::batch::jobs::Jobs;
use crate::error::{Error, Kind};

/// So many records that cannot be understood, before any that can be, are looked for in a look.
const POISONED: usize = 3;

/// What came of a look at some jobs: a failure is of a part of them, if only their answer could not be understood.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub ids: Vec<String>,
    pub found: Vec<(Vec<String>, Vec<Job>)>,
    pub failures: Vec<(Vec<String>, Error)>,
}

impl Look {
    /// Describes jobs in a call for all of them, in halves where an answer cannot be understood: one poisoned record fails alone.
    /// Where some have and nothing is understood yet, it is hardly the records, and all jobs would be asked for one by one.
    pub async fn at(jobs: Arc<Jobs>, ids: Vec<String>) -> Self {
        let mut look = Self::default();
        let mut poisoned = 0;
        let mut calls: Vec<&[String]> = vec![&ids];
        while let Some(ids) = calls.pop() {
            let understood = !look.found.is_empty();
            match jobs.describe_once(ids).await {
                Ok(found) => look.found.push((ids.to_vec(), found)),
                Err(error) if error.kind() == Kind::Garbled && ids.len() > 1 && (understood || poisoned < POISONED) => {
                    let (left, right) = ids.split_at(ids.len() / 2);
                    calls.extend([left, right]);
                }
                Err(error) => {
                    poisoned += usize::from(error.kind() == Kind::Garbled);
                    look.failures.push((ids.to_vec(), error));
                }
            }
        }
        look.ids = ids;
        look
    }
}
