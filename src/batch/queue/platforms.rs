//! What the jobs of queues run on: asked once for each, and remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Environment, environments, look_up};
use crate::aws::clients::Clients;
use crate::aws::retry;
use crate::aws::single_flight::SingleFlight;
use crate::batch::platform::Platform;
use crate::error::{Error, Kind, Result};

/// The platforms of queues that were asked about. Concurrent askers about the same one wait for a single look-up.
#[derive(Debug)]
pub struct Platforms {
    clients: Arc<Clients>,
    known: Mutex<HashMap<String, Arc<SingleFlight<Option<Platform>>>>>,
}

impl Platforms {
    /// None is known yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>) -> Self {
        Self { clients, known: Mutex::default() }
    }

    /// What the jobs of a queue run on; `None` where AWS does not say. They are then made for EC2, as they were before
    /// anybody asked: if that is wrong, AWS refuses the job, and that error has advice.
    pub async fn of(&self, queue: &str) -> Option<Platform> {
        let cell =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(queue.to_owned()).or_default().clone();
        let ask = || async {
            match retry::retry_throttled(|| find(&self.clients, queue)).await {
                // Who lacks the right lacks it for all tasks.
                Err(error) if error.kind() == Kind::Access && error.code().is_some() => {
                    tracing::warn!(
                        "{error}; the jobs of queue {queue} are made for EC2, unless `platform` says another"
                    );
                    Ok(None)
                }
                found => found.inspect(|platform| {
                    let name = platform.map_or("nobody knows what", Platform::name);
                    tracing::info!("the jobs of queue {queue} run on {name}");
                }),
            }
        };
        cell.get_or_make(ask).await.copied().unwrap_or_else(|error| {
            tracing::warn!("{error}; the job is made for EC2, unless `platform` says another");
            None
        })
    }
}

async fn find(clients: &Clients, queue: &str) -> Result<Option<Platform>> {
    let Some(detail) = look_up(clients, queue).await? else {
        return Err(Error::new(Kind::Refused, format!("there is no queue {queue} in region {}", clients.region)));
    };
    if let Some(platform) = Platform::of_queue(&detail.kind) {
        return Ok(Some(platform));
    }
    // A queue has environments of one platform alone.
    let Some(first) = detail.environments.into_iter().next() else { return Ok(None) };
    let found = environments(clients, vec![first]).await?;
    Ok(found.first().and_then(Environment::platform))
}
