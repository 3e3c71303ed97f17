//! The target of an upload.

use std::collections::HashMap;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::storage::{Storage, location};
use crate::error::Error;

/// The object that is written.
#[derive(Debug)]
pub(crate) struct Target {
    pub storage: Storage,
    pub bucket: String,
    pub key: String,
    pub metadata: HashMap<String, String>,
    /// Whether others may write it at the same time.
    pub is_shared: bool,
}

impl Target {
    /// `s3://bucket/key`, for errors.
    pub fn location(&self) -> String {
        location(&self.bucket, &self.key)
    }

    /// Converts the error of a call that writes to it.
    pub fn error<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        self.storage.explain(Error::from_sdk("s3:PutObject", self.location(), error))
    }
}
