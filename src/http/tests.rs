//! Real sockets on loopback, each with the fault that its test is about.

mod answers;
mod encryption;
mod server;
mod transport;

use std::time::Duration;

use super::*;
use crate::taxonomy::Stage;
use server::Server;

/// Long enough for every answer that is meant to come.
const PATIENT: Duration = Duration::from_secs(30);

/// For answers that are meant not to come.
const BRIEF: Duration = Duration::from_millis(400);

fn session(settings: &Settings) -> Session {
    Http::new(settings).unwrap().session(Arc::default())
}

fn get(url: &str) -> Request {
    Request::get(Stage::Userinfo, url.parse().unwrap())
}

/// Sends one request within `limit` and gives the finding with the exchange it left.
async fn fails(session: &Session, url: &str, limit: Duration) -> (Finding, Exchange) {
    let result = session.send(get(url), Instant::now() + limit).await;
    let finding = result.expect_err("no whole answer comes");
    let exchange = session.exchanges().pop().unwrap();
    assert_eq!(exchange.error.as_ref(), Some(&finding.detail));
    (finding, exchange)
}

/// The class that a server leads to.
async fn class_of(server: &Server, limit: Duration) -> Class {
    fails(&session(&Settings::default()), &server.url("/"), limit)
        .await
        .0
        .class
}
