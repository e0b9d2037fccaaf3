//! The outbox with a real store and real receivers.

use authcanary::notify::outbox::{Outcome, Thread};
use authcanary::notify::sender::{self, Outbox};
use std::sync::Arc;

use authcanary::store::{Batch, Store};
use authcanary::telemetry::Telemetry;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;

fn telemetry() -> Arc<Telemetry> {
    Arc::new(Telemetry::new("fra1").unwrap())
}

/// An outbox at work, as after the start of a daemon.
struct Post {
    outbox: Outbox,
    work: JoinHandle<()>,
    store: Store,
}

impl Post {
    async fn open(desk: &Desk, channels: Vec<(&str, Channel)>) -> Self {
        let store = Store::open(&desk.path("store")).unwrap().store;
        let settings = sender::Settings {
            channels: named(channels),
            routes: Vec::new(),
            origin: Origin::default(),
            edge: desk.edge.clone(),
        };
        let (outbox, worker) = Outbox::open(store.clone(), telemetry(), settings)
            .await
            .unwrap();
        Self {
            outbox,
            work: tokio::spawn(worker.run()),
            store,
        }
    }

    async fn tell(&self, event: Event) {
        let mut news = news(event);
        news.at = clock::now();
        self.outbox.tell(vec![news], Batch::new()).await.unwrap();
    }

    async fn thread(&self) -> Thread {
        self.outbox.threads().await.unwrap().pop().unwrap()
    }

    async fn until(&self, is_enough: impl Fn(&Thread) -> bool) -> Thread {
        loop {
            let thread = self.thread().await;
            if is_enough(&thread) {
                return thread;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends as a daemon does that is told to stop.
    async fn close(self) {
        drop(self.outbox);
        self.work.await.unwrap();
        self.store.close().await;
    }

    /// Ends as a daemon does that dies: nothing that is under way is waited for.
    async fn die(self) {
        self.work.abort();
        let _ = self.work.await;
        self.store.close().await;
    }
}

fn hook(receiver: &Receiver) -> Channel {
    channel(json!({"webhook": {"url": receiver.url("/")}}))
}

fn ids(receiver: &Receiver) -> Vec<String> {
    receiver
        .calls()
        .iter()
        .map(|call| call.header("webhook-id").to_owned())
        .collect()
}

fn results(thread: &Thread, channel: &str) -> Vec<Outcome> {
    let entries = thread.history.iter();
    entries
        .filter(|entry| entry.channel == channel)
        .map(|entry| entry.result)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_its_end_arrive_and_the_receipts_are_kept() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let post = Post::open(&desk, vec![("hook", hook(&receiver))]).await;
    post.tell(Event::Fired).await;
    receiver.until(|calls| calls.len() == 1).await;
    post.tell(Event::Resolved).await;
    receiver.until(|calls| calls.len() == 2).await;
    let thread = post.until(|thread| !thread.is_pending()).await;
    assert_eq!(
        results(&thread, "hook"),
        [Outcome::Delivered, Outcome::Delivered]
    );
    assert_eq!(
        thread.lines["hook"].told.as_ref().unwrap().receipt.said,
        "status 200: ok"
    );
    post.close().await;

    // The next process knows, and says nothing again.
    let post = Post::open(&desk, vec![("hook", hook(&receiver))]).await;
    assert_eq!(post.thread().await, thread);
    post.tell(Event::Resolved).await;
    post.close().await;
    let [fired, resolved] = ids(&receiver).try_into().unwrap();
    assert!(
        fired.ends_with(".1") && resolved.ends_with(".2"),
        "{fired} {resolved}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_hangs_holds_up_no_other_and_gets_it_later_under_the_same_key() {
    let (slow, quick) = (Receiver::start().await, Receiver::start().await);
    let desk = Desk::new();
    slow.always(Some(Answer::Hang));
    let channels = || vec![("slow", hook(&slow)), ("quick", hook(&quick))];
    let post = Post::open(&desk, channels()).await;
    post.tell(Event::Fired).await;
    quick.until(|calls| calls.len() == 1).await;
    slow.until(|calls| calls.len() == 1).await;
    post.until(|thread| results(thread, "quick") == [Outcome::Delivered])
        .await;
    // The process dies while it waits for an answer.
    post.die().await;

    slow.always(None);
    let post = Post::open(&desk, channels()).await;
    post.until(|thread| !thread.is_pending()).await;
    post.close().await;
    let ids = ids(&slow);
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert_eq!(ids[0], ids[1]);
    assert_eq!(quick.calls().len(), 1, "it is not told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_fails_and_limits_gets_it_all_the_same() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let post = Post::open(&desk, vec![("hook", hook(&receiver))]).await;
    receiver.answer(Answer::status(429).retry_after("1"));
    receiver.answer(Answer::Drop);
    post.tell(Event::Fired).await;
    receiver.until(|calls| calls.len() == 3).await;
    let thread = post.until(|thread| !thread.is_pending()).await;
    let expected = [Outcome::Failed, Outcome::Failed, Outcome::Delivered];
    assert_eq!(results(&thread, "hook"), expected);
    post.close().await;
    let ids = ids(&receiver);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_and_not_sent_is_sent_by_the_next_process() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let store = Store::open(&desk.path("store")).unwrap().store;
    let settings = sender::Settings {
        channels: named(vec![("hook", hook(&receiver))]),
        routes: Vec::new(),
        origin: Origin::default(),
        edge: desk.edge.clone(),
    };
    let (outbox, worker) = Outbox::open(store.clone(), telemetry(), settings)
        .await
        .unwrap();
    // Taken in, and not a moment longer.
    let work = tokio::spawn(worker.run());
    outbox
        .tell(vec![news(Event::Fired)], Batch::new())
        .await
        .unwrap();
    work.abort();
    let _ = work.await;
    store.close().await;
    drop((outbox, store));

    let post = Post::open(&desk, vec![("hook", hook(&receiver))]).await;
    receiver.until(|calls| !calls.is_empty()).await;
    post.until(|thread| !thread.is_pending()).await;
    post.close().await;
    let ids = ids(&receiver);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_may_come_and_go_while_it_runs() {
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    let desk = Desk::new();
    let post = Post::open(&desk, vec![("old", hook(&old))]).await;
    post.tell(Event::Fired).await;
    old.until(|calls| calls.len() == 1).await;
    post.until(|thread| !thread.is_pending()).await;
    let settings = sender::Settings {
        channels: named(vec![("new", hook(&new))]),
        routes: Vec::new(),
        origin: Origin::default(),
        edge: desk.edge.clone(),
    };
    post.outbox.configure(settings).await.unwrap();
    post.tell(Event::Reminder).await;
    let calls = new.until(|calls| calls.len() == 1).await;
    assert_eq!(
        calls[0].json["data"]["event"], "fired",
        "for this channel it is the beginning"
    );
    post.close().await;
    assert_eq!(old.calls().len(), 1);
}
