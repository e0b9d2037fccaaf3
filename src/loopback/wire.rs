//! Connections, and the faults that show below HTTP. A connection keeps its socket in a slot, so that a fault can take
//! the socket from under HTTP and do with it what no proper server does.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::faults::Kind;

/// Resolves when the server stops.
pub(super) type Stopped = Shared<BoxFuture<'static, ()>>;

/// The listener of the server.
pub(super) struct Door {
    pub(super) tcp: TcpListener,
    pub(super) stopped: Stopped,
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.tcp).await;
        // Answers are small; a lost option costs a few milliseconds and nothing else.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            slot: Slot(Arc::new(Mutex::new(Some(stream)))),
            stopped: self.stopped.clone(),
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

/// One connection as HTTP sees it.
pub(super) struct Connection {
    slot: Slot,
    stopped: Stopped,
}

/// The socket of a connection, until a fault takes it.
#[derive(Clone)]
pub(super) struct Slot(Arc<Mutex<Option<TcpStream>>>);

impl Slot {
    /// Takes the socket away from HTTP. Whatever HTTP writes afterwards goes nowhere.
    pub(super) fn take(&self) -> Option<TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn with<T>(
        &self,
        act: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
        taken: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_mut()
        {
            Some(stream) => act(Pin::new(stream)),
            None => taken,
        }
    }
}

impl Connected<IncomingStream<'_, Door>> for Slot {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().slot.clone()
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stopped.poll_unpin(cx).is_ready() {
            return gone();
        }
        // Not an end of file: HTTP would drop the request, and with it the fault that is at work.
        self.slot
            .with(|stream| stream.poll_read(cx, buffer), Poll::Pending)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.slot
            .with(|stream| stream.poll_write(cx, bytes), gone())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // HTTP flushes while the fault is at work; an error would end both.
        self.slot
            .with(|stream| stream.poll_flush(cx), Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.slot
            .with(|stream| stream.poll_shutdown(cx), Poll::Ready(Ok(())))
    }
}

/// What a socket does once it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Close,
    Reset,
    Never,
    Drip(Duration),
    EndlessHeaders,
    Noise,
}

impl Wire {
    /// The part of a fault that shows below HTTP, if it has one.
    pub(super) fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Close => Some(Self::Close),
            Kind::Reset => Some(Self::Reset),
            Kind::Never => Some(Self::Never),
            Kind::Drip(ms) => Some(Self::Drip(Duration::from_millis(*ms))),
            Kind::EndlessHeaders => Some(Self::EndlessHeaders),
            Kind::Noise => Some(Self::Noise),
            _ => None,
        }
    }
}

/// Plays the fault to its end: until the other side has gone or the server stops.
pub(super) async fn play(wire: Wire, mut stream: TcpStream, stopped: Stopped) {
    let played = async {
        match wire {
            Wire::Close => Ok(()),
            Wire::Reset => stream.set_zero_linger(),
            Wire::Never => until_closed(&mut stream).await,
            Wire::Drip(pause) => {
                let (mut reader, mut writer) = stream.split();
                tokio::select! {
                    end = drip(&mut writer, pause) => end,
                    end = until_closed(&mut reader) => end,
                }
            }
            Wire::EndlessHeaders => endless_headers(&mut stream).await,
            Wire::Noise => stream.write_all(NOISE).await,
        }
    };
    tokio::select! {
        // An error means that the other side has gone, which is how most of these end.
        _ = played => (),
        () = stopped => (),
    }
}

/// Not HTTP, and not by accident the start of anything else.
const NOISE: &[u8] = b"\x7f\x01\x9c\xe0 0x5f|%%|\x00\x00\xff\xfe not a protocol \x1b\x08\r\n\r\n";

async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = [0u8; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn drip(stream: &mut (impl AsyncWrite + Unpin), pause: Duration) -> io::Result<()> {
    let head =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n";
    stream.write_all(head).await?;
    loop {
        stream.write_all(b" ").await?;
        tokio::time::sleep(pause).await;
    }
}

async fn endless_headers(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    for number in 0u64.. {
        let line = format!("X-Padding-{number}: {}\r\n", "a".repeat(64));
        stream.write_all(line.as_bytes()).await?;
    }
    Ok(())
}
