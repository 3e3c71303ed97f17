//! Minimum throughput of transfers. A read time-out alone does not end one that delivers a byte now and then.
//!
//! The SDK's own stalled stream protection requires a byte within five seconds, counts a buffered body as sent as soon
//! as sending begins, and uses the wall clock.

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

/// The time over which throughput is measured.
pub const WINDOW: Duration = Duration::from_secs(20);
/// Bytes that must be transferred in each window. Each of 256 parallel transfers over 1 Mbit/s transfers ten times as
/// much.
pub const MIN_BYTES_PER_WINDOW: u64 = 1024;
/// Bytes that are given to a connection at once. Its buffers hold some hundred KiB that the peer has not received.
const CHUNK_BYTES: usize = 64 * 1024;

/// Less than [`MIN_BYTES_PER_WINDOW`] moved within [`WINDOW`].
#[derive(Debug, Default, Eq, PartialEq, thiserror::Error)]
#[error("less than {MIN_BYTES_PER_WINDOW} bytes moved in {} s", WINDOW.as_secs())]
pub struct Stalled;

/// The request was sent and not answered within this time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
struct AnswerTimeout(Duration);

/// Counts the bytes of a transfer.
#[derive(Debug, Default)]
pub struct Transferred {
    bytes: AtomicU64,
    complete: AtomicBool,
}

impl Transferred {
    /// Adds bytes.
    pub fn count(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }
}

/// Runs a transfer that counts its bytes.
///
/// # Errors
/// Fewer than [`MIN_BYTES_PER_WINDOW`] were transferred within [`WINDOW`].
pub async fn with_min_throughput<T>(
    transferred: &Transferred,
    transfer: impl Future<Output = T>,
) -> Result<T, Stalled> {
    let mut transfer = pin!(transfer);
    loop {
        let before = transferred.bytes();
        match timeout(WINDOW, &mut transfer).await {
            Ok(outcome) => return Ok(outcome),
            Err(_) if transferred.bytes() - before < MIN_BYTES_PER_WINDOW => return Err(Stalled),
            Err(_) => {}
        }
    }
}

/// Wraps a request's body so that its bytes are counted when the connection takes them.
pub fn count_body(request: &mut HttpRequest) -> Arc<Transferred> {
    let transferred = Arc::new(Transferred::default());
    if request.body().is_end_stream() {
        transferred.complete.store(true, Ordering::Relaxed);
        return transferred;
    }
    let body = mem::replace(request.body_mut(), SdkBody::taken());
    *request.body_mut() =
        SdkBody::from_body_1_x(CountedBody { body, rest: Bytes::new(), transferred: transferred.clone() });
    transferred
}

/// Waits for the answer to a request whose body is counted. The body must keep the minimum throughput, and the answer
/// must come within `read_timeout` after it was sent.
///
/// # Errors
/// Those of the call, and time-outs.
pub async fn await_answer(
    call: HttpConnectorFuture,
    transferred: &Transferred,
    read_timeout: Option<Duration>,
) -> Result<HttpResponse, ConnectorError> {
    let mut call = pin!(call);
    loop {
        let (before, is_sent) = (transferred.bytes(), transferred.is_complete());
        let window = if is_sent { read_timeout } else { Some(WINDOW) };
        let Some(window) = window else { return call.await };
        match timeout(window, &mut call).await {
            Ok(answer) => return answer,
            Err(_) if is_sent => return Err(ConnectorError::timeout(AnswerTimeout(window).into())),
            Err(_) if !transferred.is_complete() && transferred.bytes() - before < MIN_BYTES_PER_WINDOW => {
                return Err(ConnectorError::timeout(Stalled.into()));
            }
            Err(_) => {}
        }
    }
}

/// A body that is passed on in chunks, which are counted when the connection takes them.
struct CountedBody {
    body: SdkBody,
    rest: Bytes,
    transferred: Arc<Transferred>,
}

impl Body for CountedBody {
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
                    self.transferred.complete.store(true, Ordering::Relaxed);
                    return Poll::Ready(end);
                }
            }
        }
        let length = self.rest.len().min(CHUNK_BYTES);
        let piece = self.rest.split_to(length);
        self.transferred.count(length);
        // The connection does not poll again after the announced length.
        self.transferred.complete.store(self.is_end_stream(), Ordering::Relaxed);
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

    const READ_TIMEOUT: Duration = Duration::from_mins(1);

    struct SlowBody(Pin<Box<Sleep>>);

    impl Body for SlowBody {
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

    /// A body that delivers a byte every four seconds, for ever.
    pub(crate) fn slow_body() -> SdkBody {
        SdkBody::from_body_1_x(SlowBody(Box::pin(sleep(Duration::from_secs(4)))))
    }

    /// Sends 640 KiB to a server that reads `pieces` chunks with a pause before each, and then neither reads nor
    /// answers. Returns the error and the seconds until it.
    async fn sent(pieces: usize, pause: Duration) -> (String, u64) {
        let start = Instant::now();
        let mut request = HttpRequest::new(SdkBody::from(vec![0; 10 * CHUNK_BYTES]));
        let transferred = count_body(&mut request);
        let call = HttpConnectorFuture::new(async move {
            for _ in 0..pieces {
                sleep(pause).await;
                poll_fn(|context| Pin::new(request.body_mut()).poll_frame(context)).await.unwrap().unwrap();
            }
            std::future::pending().await
        });
        let error = await_answer(call, &transferred, Some(READ_TIMEOUT)).await.unwrap_err();
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
            let transferred = Transferred::default();
            let transfer = async {
                for _ in 0..30 {
                    sleep(Duration::from_secs(4)).await;
                    transferred.count(bytes);
                }
            };
            with_min_throughput(&transferred, transfer).await
        };
        assert_eq!(download(1).await, Err(Stalled));
        assert_eq!(download(1000).await, Ok(()));
    }
}
