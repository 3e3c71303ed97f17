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
    known: Mutex<HashMap<String, Arc<SingleFlight<Platform>>>>,
}

impl Platforms {
    /// None is known yet.
    #[must_use]
    pub fn new(clients: Arc<Clients>) -> Self {
        Self { clients, known: Mutex::default() }
    }

    /// What the jobs of a queue run on. Where AWS does not say it is EC2, as it was before anybody asked: if it is not,
    /// AWS refuses the job, and that error has advice.
    pub async fn of(&self, queue: &str) -> Platform {
        let cell =
            self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(queue.to_owned()).or_default().clone();
        let ask = || async {
            match retry::retry_throttled(|| find(&self.clients, queue)).await {
                // Who lacks the right lacks it for all tasks.
                Err(error) if error.kind() == Kind::Access && error.code().is_some() => {
                    tracing::warn!(
                        "{error}; the jobs of queue {queue} are made for EC2, unless `platform` says another"
                    );
                    Ok(Platform::default())
                }
                found => {
                    found.inspect(|platform| tracing::info!("the jobs of queue {queue} run on {}", platform.name()))
                }
            }
        };
        cell.get_or_make(ask).await.copied().unwrap_or_else(|error| {
            tracing::warn!("{error}; the job is made for EC2, unless `platform` says another");
            Platform::default()
        })
    }
}

async fn find(clients: &Clients, queue: &str) -> Result<Platform> {
    let Some(detail) = look_up(clients, queue).await? else {
        return Err(Error::new(Kind::Refused, format!("there is no queue {queue} in region {}", clients.region)));
    };
    if let Some(platform) = Platform::of_queue(&detail.kind) {
        return Ok(platform);
    }
    // A queue has environments of one platform alone.
    let Some(first) = detail.environments.into_iter().next() else { return Ok(Platform::default()) };
    let found = environments(clients, vec![first]).await?;
    Ok(found.first().and_then(Environment::platform).unwrap_or_default())
}
