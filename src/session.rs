//! The state of one account and region: clients, jobs, submitter, watcher and signing keys.
//!
//! Composes the modules above it in `lib.rs`; none of them knows it.

use std::sync::Arc;

use crate::aws::clients::Clients;
use crate::aws::settings::ClientSettings;
use crate::batch::jobs::Jobs;
use crate::batch::queue::platforms::Platforms;
use crate::batch::submission::Submitter;
use crate::batch::watcher::Watcher;
use crate::envelope::Envelopes;
use crate::envelope::signature::Signatures;
use crate::error::Result;
use crate::s3::storage::{BucketRequirements, Storage, Transfers};

/// A connection to one account and region, with all its state.
#[derive(Debug)]
pub struct Session {
    /// The service clients.
    pub clients: Arc<Clients>,
    /// Describes and terminates jobs.
    pub jobs: Arc<Jobs>,
    /// Submits jobs.
    pub submitter: Arc<Submitter>,
    /// Watches all running jobs.
    pub watcher: Watcher,
    /// Knows what queues run their jobs on.
    pub platforms: Platforms,
    /// Reads results.
    pub envelopes: Envelopes,
    transfers: Arc<Transfers>,
}

impl Session {
    /// Resolves the configuration and credentials provider. Reads configuration files, sends nothing.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        Ok(Self::new(Clients::connect(settings).await?))
    }

    /// A session over these clients.
    #[must_use]
    pub fn new(clients: Clients) -> Self {
        let clients = Arc::new(clients);
        let signatures = Arc::<Signatures>::default();
        let jobs = Arc::new(Jobs::new(clients.clone(), signatures.clone()));
        Self {
            submitter: Arc::new(Submitter::new(clients.clone(), jobs.clone(), signatures.clone())),
            watcher: Watcher::new(jobs.clone()),
            platforms: Platforms::new(clients.clone()),
            envelopes: Envelopes::new(signatures),
            transfers: Arc::default(),
            jobs,
            clients,
        }
    }

    /// S3 with an executor's requirements of its bucket.
    #[must_use]
    pub fn storage(&self, requirements: Arc<BucketRequirements>) -> Storage {
        Storage::new(self.clients.clone(), self.transfers.clone(), requirements)
    }
}
