//! A collector that thinks: it takes what is sent, and answers once it is told to.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Stops with its listener when it is dropped.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
    asked: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// Closed at first.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, opened) = watch::channel(false);
        let (asking, asked) = watch::channel(0);
        let router = Router::new().fallback(move || {
            asking.send_modify(|asked| *asked += 1);
            let mut opened = opened.clone();
            async move {
                // Whoever closed it for good answers nobody.
                let _ = opened.wait_for(|open| *open).await;
                StatusCode::OK
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            open,
            asked,
            task,
        }
    }

    /// Waits until somebody waits for an answer.
    pub(crate) async fn is_asked(&mut self) {
        self.asked.wait_for(|asked| *asked > 0).await.unwrap();
    }

    /// From now on it answers.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}
