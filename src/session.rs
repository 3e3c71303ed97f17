//! What hangs together for one account and region: the clients, and what is known of definitions, jobs and signatures.
//!
//! Composes the modules above it in `lib.rs`; none of them knows it.

use std::sync::Arc;

use crate::aws::clients::Clients;
use crate::aws::settings::ClientSettings;
use crate::batch::jobs::Jobs;
use crate::batch::submission::Submitter;
use crate::batch::watcher::Watcher;
use crate::envelope::Envelopes;
use crate::envelope::signature::Signatures;
use crate::error::Result;
use crate::s3::storage::{BucketRequirements, Storage, Transfers};

/// One account and region, as long as a process works with it.
#[derive(Debug)]
pub struct Session {
    /// The services.
    pub clients: Arc<Clients>,
    /// Looks jobs up and ends them.
    pub jobs: Arc<Jobs>,
    /// Submits jobs.
    pub submitter: Arc<Submitter>,
    /// The one watcher of all running jobs.
    pub watcher: Watcher,
    /// Reads what jobs left.
    pub envelopes: Envelopes,
    transfers: Arc<Transfers>,
}

impl Session {
    /// Resolves the configuration and credentials provider. Reads configuration files, sends nothing.
    pub async fn connect(settings: &ClientSettings) -> Result<Self> {
        Ok(Self::new(Clients::connect(settings).await?))
    }

    /// With these clients, knowing nothing yet.
    #[must_use]
    pub fn new(clients: Clients) -> Self {
        let clients = Arc::new(clients);
        let signatures = Arc::<Signatures>::default();
        let jobs = Arc::new(Jobs::new(clients.clone(), signatures.clone()));
        Self {
            submitter: Arc::new(Submitter::new(clients.clone(), jobs.clone(), signatures.clone())),
            watcher: Watcher::new(jobs.clone()),
            envelopes: Envelopes::new(signatures),
            transfers: Arc::default(),
            jobs,
            clients,
        }
    }

    /// S3, as an executor with these demands uses it.
    #[must_use]
    pub fn storage(&self, requirements: Arc<BucketRequirements>) -> Storage {
        Storage::new(self.clients.clone(), self.transfers.clone(), requirements)
    }
}
