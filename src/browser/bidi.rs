//! The websocket beside a WebDriver session (WebDriver BiDi): commands with answers, and events that are folded into the
//! run's [`Watch`] the moment they come, since a request that is held back waits for our word.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::watch::Watch;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BidiError {
    #[error("the connection to the browser is closed")]
    Closed,
    #[error("the browser did not answer {0} in time")]
    Overdue(&'static str),
    /// In the driver's words: a code, then a message.
    #[error("{0}")]
    Refused(String),
}

/// A connection; it ends with this value.
#[derive(Debug)]
pub(super) struct Bidi {
    commands: mpsc::UnboundedSender<Command>,
    watch: Arc<watch::Sender<Board>>,
    task: AbortHandle,
}

/// What the connection shows: the run's watch, and whether there still is a connection.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) watch: Watch,
    pub(super) closed: bool,
    began: Instant,
}

struct Command {
    method: &'static str,
    params: Json,
    answer: oneshot::Sender<Result<Json, BidiError>>,
}

impl Bidi {
    /// Connects to the address that the session names as `webSocketUrl`.
    pub(super) async fn connect(address: &str) -> Result<Self, tungstenite::Error> {
        let (socket, _) = connect_async(address).await?;
        let (commands, queue) = mpsc::unbounded_channel();
        let watch = Arc::new(watch::Sender::new(Board::new(Watch::default())));
        let task = tokio::spawn(serve(socket, queue, Arc::clone(&watch))).abort_handle();
        Ok(Self {
            commands,
            watch,
            task,
        })
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn call(
        &self,
        method: &'static str,
        params: Json,
        deadline: Instant,
    ) -> Result<Json, BidiError> {
        let (answer, answered) = oneshot::channel();
        let command = Command {
            method,
            params,
            answer,
        };
        self.commands.send(command).map_err(|_| BidiError::Closed)?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(BidiError::Closed),
            Err(_) => Err(BidiError::Overdue(method)),
        }
    }

    /// A new run begins, in the window `context`.
    pub(super) fn begin(&self, context: &str) {
        self.watch.send_modify(|board| {
            let closed = board.closed;
            *board = Board::new(Watch::new(context));
            board.closed = closed;
        });
    }

    /// Changes the watch of the run.
    pub(super) fn change(&self, change: impl FnOnce(&mut Watch)) {
        self.watch.send_modify(|board| change(&mut board.watch));
    }

    /// Reads the watch of the run.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Watch) -> T) -> T {
        read(&self.watch.borrow().watch)
    }

    /// Waits until the board shows something.
    pub(super) async fn until(&self, shown: impl FnMut(&Board) -> bool) {
        let mut board = self.watch.subscribe();
        let result = board.wait_for(shown).await;
        result.expect("this value holds a sender");
    }

    /// Whether the browser's end is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.watch.borrow().closed
    }
}

impl Drop for Bidi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Board {
    fn new(watch: Watch) -> Self {
        Self {
            watch,
            closed: false,
            began: Instant::now(),
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Serves the connection until either end closes it.
async fn serve(
    mut socket: Socket,
    mut queue: mpsc::UnboundedReceiver<Command>,
    watch: Arc<watch::Sender<Board>>,
) {
    let mut waiting = HashMap::new();
    let mut last_id = 0_u64;
    loop {
        let outgoing = tokio::select! {
            command = queue.recv() => {
                let Some(command) = command else { break };
                waiting.insert(last_id + 1, command.answer);
                Some((command.method, command.params))
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => take(&text, &mut waiting, &watch),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => None,
            },
        };
        if let Some((method, params)) = outgoing {
            last_id += 1;
            let command = json!({"id": last_id, "method": method, "params": params});
            if socket
                .send(Message::text(command.to_string()))
                .await
                .is_err()
            {
                break;
            }
        }
    }
    watch.send_modify(|board| board.closed = true);
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Json, BidiError>>>;

/// Gives an answer to who waits for it, or an event to the watch; what the event calls for comes back.
fn take(
    text: &str,
    waiting: &mut Waiting,
    watch: &watch::Sender<Board>,
) -> Option<(&'static str, Json)> {
    let mut message: Json = serde_json::from_str(text).ok()?;
    if let Some(id) = message["id"].as_u64() {
        if let Some(answer) = waiting.remove(&id) {
            let _ = answer.send(result(message));
        }
        return None;
    }
    let params = message["params"].take();
    let method = message["method"].as_str()?;
    let mut reaction = None;
    watch.send_modify(|board| {
        let at_ms = u64::try_from(board.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        reaction = board.watch.take(method, params, at_ms);
    });
    reaction
}

fn result(mut message: Json) -> Result<Json, BidiError> {
    match message["error"].as_str() {
        Some(error) => {
            let said = message["message"].as_str().unwrap_or_default();
            Err(BidiError::Refused(format!("{error}: {said}")))
        }
        None => Ok(message["result"].take()),
    }
}
