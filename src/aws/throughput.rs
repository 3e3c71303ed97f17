//! The least that a transfer has to move along. A read timeout sees silence only, and a byte now and then is none.
//!
//! The SDK's own protection against stalled streams asks for a byte within five seconds, counts what is in memory as sent
//! when it begins to be, and goes by a clock that may be set.

use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::{Error as BodyError, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::timeout;

/// How long a transfer may stand still, and the time over which its throughput is looked at.
pub const WINDOW: Duration = Duration::from_secs(20);
/// Bytes that have to move in each window. 256 transfers at once over a line of a megabit a second move ten times as much.
pub const LEAST: u64 = 1024;
/// Bytes that are handed to a connection at once; it takes some hundred KiB more than the other side has.
const PIECE: usize = 64 * 1024;

/// Less than [`LEAST`] moved within [`WINDOW`].
#[derive(Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("less than {LEAST} bytes moved in {} s", WINDOW.as_secs())]
pub struct Stalled;

/// There was no answer for so long.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
struct Silent(Duration);

/// What has moved so far.
#[derive(Debug, Default)]
pub struct Moved {
    bytes: AtomicU64,
    all: AtomicBool,
}

impl Moved {
    /// Counts so many bytes more.
    pub fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes that were counted.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn is_all(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }
}

/// Runs a transfer that counts what it moves.
///
/// # Errors
/// It moves too little.
pub async fn kept_up<T>(moved: &Moved, transfer: impl Future<Output = T>) -> Result<T, Stalled> {
    let mut transfer = pin!(transfer);
    loop {
        let before = moved.bytes();
        match timeout(WINDOW, &mut transfer).await {
            Ok(outcome) => return Ok(outcome),
            Err(_) if moved.bytes() - before < LEAST => return Err(Stalled),
            Err(_) => {}
        }
    }
}

/// Has a request's body counted as the connection takes it.
pub fn counted(request: &mut HttpRequest) -> Arc<Moved> {
    let moved = Arc::new(Moved::default());
    if request.body().is_end_stream() {
        moved.all.store(true, Ordering::Relaxed);
        return moved;
    }
    let body = mem::replace(request.body_mut(), SdkBody::taken());
    *request.body_mut() = SdkBody::from_body_1_x(Counted { body, rest: Bytes::new(), moved: moved.clone() });
    moved
}

/// Waits for the answer to a request whose body is counted: it has to move along, and be answered within `patience` when
/// all of it is sent.
///
/// # Errors
/// Those of the call, and time-outs.
pub async fn answered(
    call: HttpConnectorFuture,
    moved: &Moved,
    patience: Option<Duration>,
) -> Result<HttpResponse, ConnectorError> {
    let mut call = pin!(call);
    loop {
        let (before, sent) = (moved.bytes(), moved.is_all());
        let window = if sent { patience } else { Some(WINDOW) };
        let Some(window) = window else { return call.await };
        match timeout(window, &mut call).await {
            Ok(answer) => return answer,
            Err(_) if sent => return Err(ConnectorError::timeout(Silent(window).into())),
            Err(_) if !moved.is_all() && moved.bytes() - before < LEAST => {
                return Err(ConnectorError::timeout(Stalled.into()));
            }
            Err(_) => {}
        }
    }
}

/// A body in pieces, which are counted when the connection takes them.
struct Counted {
    body: SdkBody,
    rest: Bytes,
    moved: Arc<Moved>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => {
                    self.moved.all.store(true, Ordering::Relaxed);
                    return Poll::Ready(end);
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.moved.count(length);
        // Nobody asks for more when that was the announced length.
        self.moved.all.store(self.is_end_stream(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = Body::size_hint(&self.body);
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;

    use tokio::time::{Instant, Sleep, sleep};

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    struct Trickle(Pin<Box<Sleep>>);

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.0.as_mut().poll(context));
            self.0.as_mut().reset(Instant::now() + Duration::from_secs(4));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
        }
    }

    /// A body of which a byte arrives every four seconds, for ever.
    pub(crate) fn trickle() -> SdkBody {
        SdkBody::from_body_1_x(Trickle(Box::pin(sleep(Duration::from_secs(4)))))
    }

    /// Sends 640 KiB to a server that takes so many of its pieces, with a pause before each, and then neither takes nor answers
    /// anything. Tells how that ended, and after how many seconds.
    async fn sent(pieces: usize, pause: Duration) -> (String, u64) {
        let start = Instant::now();
        let mut request = HttpRequest::new(SdkBody::from(vec![0; 10 * PIECE]));
        let moved = counted(&mut request);
        let call = HttpConnectorFuture::new(async move {
            for _ in 0..pieces {
                sleep(pause).await;
                poll_fn(|context| Pin::new(request.body_mut()).poll_frame(context)).await.unwrap().unwrap();
            }
            std::future::pending().await
        });
        let error = answered(call, &moved, Some(PATIENCE)).await.unwrap_err();
        assert!(error.is_timeout());
        (std::error::Error::source(&error).unwrap().to_string(), start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_nobody_takes_is_given_up() {
        let (error, seconds) = sent(3, Duration::from_secs(15)).await;
        assert!(error.starts_with("less than"), "{error}");
        assert!((60..=80).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_moves_along_may_take_its_time_and_then_is_answered() {
        let (error, seconds) = sent(10, Duration::from_secs(15)).await;
        assert_eq!(error, "no answer within 60 s");
        assert!((210..=240).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_trickles_is_given_up_and_a_slow_one_is_not() {
        let download = |bytes| async move {
            let moved = Moved::default();
            let transfer = async {
                for _ in 0..30 {
                    sleep(Duration::from_secs(4)).await;
                    moved.count(bytes);
                }
            };
            kept_up(&moved, transfer).await
        };
        assert_eq!(download(1).await, Err(Stalled));
        assert_eq!(download(1000).await, Ok(()));
    }
}
