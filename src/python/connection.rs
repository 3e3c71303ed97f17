//! The connection that a client and its inspector share.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::aws::settings::ClientSettings;
use crate::ecr::repository::EcrRepository;
use crate::error::Result;
use crate::s3::storage::{BucketRequirements, Storage};
use crate::session::Session;

/// The session, created at the first call because that reads files, and the requirements of a bucket.
#[derive(Clone)]
pub(super) struct Connection(Arc<(ClientSettings, OnceCell<Arc<Session>>)>, Arc<BucketRequirements>);

impl Connection {
    /// Without requirements of the bucket.
    pub(super) fn new(settings: ClientSettings) -> Self {
        Self(Arc::new((settings, OnceCell::new())), Arc::default())
    }

    /// The same session with requirements of a bucket.
    pub(super) fn for_bucket(&self, requirements: BucketRequirements) -> Self {
        Self(self.0.clone(), Arc::new(requirements))
    }

    pub(super) async fn session(&self) -> Result<Arc<Session>> {
        let (settings, cell) = &*self.0;
        cell.get_or_try_init(|| async { Ok(Arc::new(Session::connect(settings).await?)) }).await.cloned()
    }

    /// The session, unless it is still to be made.
    pub(super) fn existing_session(&self) -> Option<Arc<Session>> {
        self.0.1.get().cloned()
    }

    pub(super) async fn storage(&self) -> Result<Storage> {
        Ok(self.session().await?.storage(self.1.clone()))
    }

    /// A repository of images in the caller's account.
    pub(super) async fn repository(&self, name: &str) -> Result<EcrRepository> {
        Ok(EcrRepository::new(self.session().await?.clients.clone(), name))
    }
}
