//! The SHA-256 of what is downloaded, computed by a thread of its own while the next piece is used.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces that may wait to be hashed. They bound the memory where hashing is slower than whoever reads.
const WAITING_PIECES: usize = 2;

/// A SHA-256 in progress.
#[derive(Debug)]
pub(super) struct Hashing {
    pieces: mpsc::Sender<Bytes>,
    digest: JoinHandle<String>,
}

impl Hashing {
    /// Starts the thread, which ends with this value.
    pub fn start() -> Self {
        let (pieces, mut received) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let digest = tokio::task::spawn_blocking(move || {
            // In the wheel already, for TLS; in processor-specific code also where the rest is not optimised.
            let mut sha256 = Context::new(&SHA256);
            while let Some(piece) = received.blocking_recv() {
                sha256.update(&piece);
            }
            sha256.finish().as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
        });
        Self { pieces, digest }
    }

    /// Adds the next piece, without a copy.
    pub async fn append(&self, piece: Bytes) {
        // The thread is there as long as this value is.
        let _ = self.pieces.send(piece).await;
    }

    /// Hexadecimal digits for all pieces; `None` if the runtime is shutting down.
    pub async fn finish(self) -> Option<String> {
        drop(self.pieces);
        self.digest.await.ok()
    }
}
