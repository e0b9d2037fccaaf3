//! A websocket to the browser beside its WebDriver session: commands with answers, and events that are folded into the
//! run's [`Watch`] the moment they come, since a request that is held back waits for our word. WebDriver BiDi and the
//! DevTools protocol look alike here; a session may have one of each, and both tell the same [`Board`].

use std::collections::HashMap;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::watch::{Reaction, Watch};
use crate::clock;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
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
pub(super) struct Wire {
    commands: mpsc::UnboundedSender<Command>,
    task: AbortHandle,
}

struct Command {
    method: &'static str,
    params: Json,
    answer: oneshot::Sender<Result<Json, WireError>>,
}

impl Wire {
    /// Connects to `address`; what comes is told to `board`.
    pub(super) async fn connect(address: &str, board: &Board) -> Result<Self, tungstenite::Error> {
        let (socket, _) = connect_async(address).await?;
        let (commands, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(serve(socket, queue, board.clone())).abort_handle();
        Ok(Self { commands, task })
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn call(
        &self,
        method: &'static str,
        params: Json,
        deadline: Instant,
    ) -> Result<Json, WireError> {
        let (answer, answered) = oneshot::channel();
        let command = Command {
            method,
            params,
            answer,
        };
        self.commands.send(command).map_err(|_| WireError::Closed)?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(WireError::Closed),
            Err(_) => Err(WireError::Overdue(method)),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a session shows: the watch of its run, and whether the browser still is there.
#[derive(Debug, Clone)]
pub(super) struct Board(Arc<watch::Sender<Shown>>);

#[derive(Debug)]
struct Shown {
    watch: Watch,
    closed: bool,
    began: Instant,
    began_at: Timestamp,
}

impl Board {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Shown {
            watch: Watch::default(),
            closed: false,
            began: Instant::now(),
            began_at: clock::now(),
        })))
    }

    /// A new run begins, in the window `context`.
    pub(super) fn begin(&self, context: &str) {
        self.0.send_modify(|shown| {
            shown.watch = Watch::new(context);
            shown.began = Instant::now();
            shown.began_at = clock::now();
        });
    }

    /// Changes the watch of the run.
    pub(super) fn change(&self, change: impl FnOnce(&mut Watch)) {
        self.0.send_modify(|shown| change(&mut shown.watch));
    }

    /// Reads the watch of the run.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Watch) -> T) -> T {
        read(&self.0.borrow().watch)
    }

    /// When the run began, from which hops count their time.
    pub(super) fn began_at(&self) -> Timestamp {
        self.0.borrow().began_at
    }

    /// Waits until the watch shows something, or the browser is gone.
    pub(super) async fn until(&self, mut shows: impl FnMut(&Watch) -> bool) {
        let mut shown = self.0.subscribe();
        let found = shown
            .wait_for(|shown| shown.closed || shows(&shown.watch))
            .await;
        found.expect("this value holds a sender");
    }

    /// Whether the browser's end of a connection is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.0.borrow().closed
    }

    /// Takes an event in, and says what to answer.
    fn take(&self, method: &str, params: Json) -> Option<Reaction> {
        let mut reaction = None;
        self.0.send_modify(|shown| {
            let seen_ms = u64::try_from(shown.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let sent_ms = sent_ms(method, &params, shown.began_at);
            let at_ms = sent_ms.filter(|sent| *sent <= seen_ms).unwrap_or(seen_ms);
            reaction = shown.watch.take(method, params, at_ms);
        });
        reaction
    }

    fn close(&self) {
        self.0.send_modify(|shown| shown.closed = true);
    }
}

/// When a request went out by the browser's clock, in milliseconds since `began_at`: on a busy machine the word of it may
/// come late, after that of what followed. A browser elsewhere may have another time altogether.
fn sent_ms(method: &str, params: &Json, began_at: Timestamp) -> Option<u64> {
    let sent = match method {
        // Others repeat the time of their request.
        "network.beforeRequestSent" => params["timestamp"].as_i64()?,
        _ => return None,
    };
    u64::try_from(sent - began_at.as_millisecond()).ok()
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Serves the connection until either end closes it.
async fn serve(mut socket: Socket, mut queue: mpsc::UnboundedReceiver<Command>, board: Board) {
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
                Some(Ok(Message::Text(text))) => take(&text, &mut waiting, &board),
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
    board.close();
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Json, WireError>>>;

/// Gives an answer to who waits for it, or an event to the board; what the event calls for comes back.
fn take(text: &str, waiting: &mut Waiting, board: &Board) -> Option<Reaction> {
    let mut message: Json = serde_json::from_str(text).ok()?;
    if let Some(id) = message["id"].as_u64() {
        if let Some(answer) = waiting.remove(&id) {
            let _ = answer.send(result(message));
        }
        return None;
    }
    let params = message["params"].take();
    board.take(message["method"].as_str()?, params)
}

/// BiDi puts a word into `error` and a text beside it, DevTools an object with both.
fn result(mut message: Json) -> Result<Json, WireError> {
    let said = |place: &Json| place["message"].as_str().unwrap_or_default().to_owned();
    match &message["error"] {
        Json::Null => Ok(message["result"].take()),
        Json::String(error) => Err(WireError::Refused(format!("{error}: {}", said(&message)))),
        error => Err(WireError::Refused(said(error))),
    }
}
