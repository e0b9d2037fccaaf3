//! An HTTP server that notes what it gets and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status {
        status: u16,
        retry_after: Option<String>,
        body: String,
    },
    /// Never answer.
    Hang,
    /// Close the connection.
    Drop,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status {
            status,
            retry_after: None,
            body: String::new(),
        }
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::status(200).body(&value.to_string())
    }

    pub(crate) fn retry_after(mut self, text: &str) -> Self {
        if let Self::Status { retry_after, .. } = &mut self {
            *retry_after = Some(text.to_owned());
        }
        self
    }

    pub(crate) fn body(mut self, text: &str) -> Self {
        if let Self::Status { body, .. } = &mut self {
            text.clone_into(body);
        }
        self
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) json: Value,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }
}

#[derive(Default)]
struct Book {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<VecDeque<Answer>>,
    /// What is answered when nothing else was said.
    usual: Mutex<Option<Answer>>,
    news: Notify,
}

/// The server.
pub(crate) struct Receiver {
    address: std::net::SocketAddr,
    book: Arc<Book>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Book::default());
        let router = Router::new().fallback(note).with_state(Arc::clone(&book));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let server = axum::serve(listener, router);
            tokio::select! {
                served = server.into_future() => served.unwrap(),
                _ = stopped => {}
            }
        });
        Self {
            address,
            book,
            stop,
            server,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next request that has no answer yet gets this one.
    pub(crate) fn answer(&self, answer: Answer) {
        self.book.answers.lock().unwrap().push_back(answer);
    }

    /// Every request without an answer of its own gets this one.
    pub(crate) fn always(&self, answer: Option<Answer>) {
        *self.book.usual.lock().unwrap() = answer;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.book.calls.lock().unwrap().clone()
    }

    /// Waits until `is_enough` is true of all requests.
    pub(crate) async fn until(&self, is_enough: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let wait = async {
            loop {
                let news = self.book.news.notified();
                let calls = self.calls();
                if is_enough(&calls) {
                    return calls;
                }
                news.await;
            }
        };
        let waited = timeout(Duration::from_secs(300), wait).await;
        waited.unwrap_or_else(|_| panic!("in vain: {:#?}", self.calls()))
    }

    /// The one request.
    pub(crate) fn only(&self) -> Call {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:#?}");
        calls.into_iter().next().unwrap()
    }

    /// Nothing listens any more when it returns.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.server.await.unwrap();
    }
}

async fn note(
    State(book): State<Arc<Book>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body = String::from_utf8(body.to_vec()).unwrap();
    book.calls.lock().unwrap().push(Call {
        method: method.to_string(),
        path: uri.to_string(),
        headers,
        json: serde_json::from_str(&body).unwrap_or_default(),
        body,
    });
    book.news.notify_waiters();
    let answer = book.answers.lock().unwrap().pop_front();
    let answer = answer.or_else(|| book.usual.lock().unwrap().clone());
    match answer.unwrap_or_else(|| Answer::status(200).body("ok")) {
        Answer::Status {
            status,
            retry_after,
            body,
        } => {
            let mut response = Response::builder().status(status);
            if let Some(after) = retry_after {
                response = response.header("retry-after", after);
            }
            if (300..400).contains(&status) {
                response = response.header("location", "/elsewhere");
            }
            response.body(Body::from(body)).unwrap()
        }
        Answer::Hang => std::future::pending().await,
        // An announced length that is not kept makes the server close the connection.
        Answer::Drop => panic!("the receiver drops this connection"),
    }
}
