//! Where the bytes of a blob come from: a file, or the base's registry.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use aws_smithy_types::byte_stream::ByteStream;
use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::base::{self, Repository};
use super::body;
use crate::error::{Error, Kind, Result};

/// How often the download of a blob goes on after it broke off.
const MAX_RESUMED: u32 = 5;

/// The bytes of a blob, in order.
#[derive(Debug)]
pub struct Source {
    origin: Origin,
    hash: Sha256,
}

#[derive(Debug)]
enum Origin {
    File(PathBuf, Option<File>),
    Download(Download),
}

/// A blob of the base.
#[derive(Debug)]
struct Download {
    repository: Arc<Repository>,
    digest: String,
    stream: Option<ByteStream>,
    /// What has arrived and was not taken.
    buffer: BytesMut,
    arrived: u64,
    resumed: u32,
}

impl Source {
    /// The content of a file.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self::new(Origin::File(path, None))
    }

    /// A blob in the base's repository.
    #[must_use]
    pub fn download(repository: Arc<Repository>, digest: String) -> Self {
        let (buffer, arrived, resumed) = (BytesMut::new(), 0, 0);
        Self::new(Origin::Download(Download { repository, digest, stream: None, buffer, arrived, resumed }))
    }

    fn new(origin: Origin) -> Self {
        Self { origin, hash: Sha256::new() }
    }

    /// The next bytes: so many, or fewer at the end, and then none.
    pub async fn part(&mut self, size: usize) -> Result<Bytes> {
        let part = match &mut self.origin {
            Origin::File(path, file) => {
                let (name, opened) = (path.clone(), file.take());
                let unreadable = |path: &PathBuf| format!("{} cannot be read", path.display());
                let message = unreadable(path);
                let read = spawn_blocking(move || {
                    let mut opened = opened.map_or_else(|| File::open(name), Ok)?;
                    let mut part = Vec::with_capacity(size);
                    Read::by_ref(&mut opened).take(size as u64).read_to_end(&mut part)?;
                    Ok::<_, std::io::Error>((part, opened))
                });
                let outcome = read.await.map_err(|error| Error::with_source(Kind::Settings, message.clone(), error))?;
                let (part, opened) = outcome.map_err(|error| Error::with_source(Kind::Settings, message, error))?;
                *file = Some(opened);
                part.into()
            }
            Origin::Download(download) => download.part(size).await?,
        };
        let hash = std::mem::take(&mut self.hash);
        let (part, hash) = if part.len() < 64 * 1024 {
            let hash = hash.chain_update(&part);
            (part, hash)
        } else {
            let hashing = spawn_blocking(move || (part.clone(), hash.chain_update(&part)));
            hashing.await.map_err(|error| Error::with_source(Kind::Damaged, "hashing has failed", error))?
        };
        self.hash = hash;
        Ok(part)
    }

    /// Compares what was read with its digest.
    ///
    /// # Errors
    /// It is not what was meant.
    pub fn check(self, digest: &str) -> Result<()> {
        if base::digest(self.hash) == digest {
            return Ok(());
        }
        Err(Error::new(Kind::Damaged, format!("what was read for the layer {digest} has other content")))
    }
}

impl Download {
    async fn part(&mut self, size: usize) -> Result<Bytes> {
        let place = self.repository.name().to_owned();
        loop {
            let before = self.buffer.len();
            let Some(stream) = &mut self.stream else {
                self.open().await?;
                continue;
            };
            let filled = body::fill(stream, &mut self.buffer, size, &place).await;
            self.arrived += (self.buffer.len() - before) as u64;
            match filled {
                Ok(_) => return Ok(self.buffer.split_to(size.min(self.buffer.len())).freeze()),
                Err(error) if self.resumed < MAX_RESUMED => {
                    tracing::info!("{error}; going on after {} bytes", self.arrived);
                    self.resumed += 1;
                    self.stream = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens the blob where it broke off. A registry that cannot do that begins at its start, and as much is passed over.
    async fn open(&mut self) -> Result<()> {
        let answer = self.repository.blob(&self.digest, self.arrived).await?;
        let mut passed_over = if answer.status().as_u16() == 206 { 0 } else { self.arrived };
        let mut stream = ByteStream::new(answer.into_body());
        let mut buffer = BytesMut::new();
        while passed_over > 0 {
            let wanted = usize::try_from(passed_over).unwrap_or(usize::MAX).min(64 * 1024);
            let more = body::fill(&mut stream, &mut buffer, wanted, self.repository.name()).await?;
            let taken = wanted.min(buffer.len());
            buffer.advance(taken);
            passed_over -= taken as u64;
            if !more && taken == 0 {
                break; // shorter than before: the digest will tell
            }
        }
        self.arrived += buffer.len() as u64;
        self.buffer.unsplit(buffer);
        self.stream = Some(stream);
        Ok(())
    }
}
