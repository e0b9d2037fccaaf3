//! Tells people: from an alert and what happened to it to a message in the form of each channel, and out of the house.
//!
//! What to say is decided purely: [`Channel::compose`] turns [`News`] into a [`Notice`], and the outbox decides who gets
//! which and when. Only [`Channel::deliver`] touches the network, a few lines per channel. No notice and no error of
//! this module holds a secret: keys, tokens and addresses that are keys are fetched when a notice is sent, and taken
//! out of whatever comes back.

mod alertmanager;
mod clean;
mod discord;
mod email;
mod exec;
mod limit;
mod news;
mod ntfy;
mod opsgenie;
pub mod outbox;
mod pagerduty;
pub mod route;
pub mod sample;
pub mod sender;
mod slack;
mod story;
mod teams;
#[cfg(test)]
mod tests;
mod webhook;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use strum::IntoStaticStr;
use url::Url;

pub use news::{Event, Failure, Key, News, Notice, Origin, Payload, Receipt};
pub use story::place;

use crate::http::{Courier, Http, HttpError};
use crate::secret::SecretRef;

/// Something that the schema of the settings cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Pointer from the settings of the channel, such as `/headers/X-Key`; empty for the whole.
    pub pointer: String,
    pub message: &'static str,
    pub help: &'static str,
    /// Whether a secret stands in the file.
    pub is_secret: bool,
}

/// Where notices of a channel are handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// At this address; of several, the first.
    At(Url),
    /// At the address that this secret holds.
    Kept(SecretRef),
    /// On this machine.
    Here,
}

/// What a channel composes from: news that were cleaned.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    news: &'a News,
    key: &'a Key,
    /// Sequence of the first notice of this alert that the channel got; that of `key` for the first itself.
    first: u32,
    origin: &'a Origin,
}

/// A channel that has not answered by then has not answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a delivery needs besides its notice.
#[derive(Debug, Clone)]
pub struct Edge {
    courier: Courier,
    /// Further certificate authorities, for mail.
    ca_file: Option<PathBuf>,
    /// A channel that has not answered by then has not answered.
    patience: Duration,
}

impl Edge {
    /// Notices go out by the proxy and the certificate authorities of the `http` section.
    pub fn new(http: &Http, ca_file: Option<PathBuf>) -> Result<Self, HttpError> {
        Ok(Self {
            courier: http.courier()?,
            ca_file,
            patience: PATIENCE,
        })
    }

    /// Waits so long for an answer instead of 30 s.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// One kind of channel: its settings, and what it makes of them. Each has a file of its own.
trait Kind {
    /// What the channel hangs on: a vendor, or a host. Channels that need the same fail together.
    fn needs(&self) -> String;

    /// Where its notices are handed over.
    fn server(&self) -> Server;

    /// The references to secrets among the settings, each with its key below the kind, such as `headers/X-Key`.
    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)>;

    /// The addresses that stand in the file, each with its key likewise.
    fn addresses(&self) -> Vec<(String, &Url)> {
        Vec::new()
    }

    /// What is wrong with the settings beyond what the schema says.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    /// How often a firing alert has to be posted again for the channel to believe it.
    fn keep_alive(&self) -> Option<Duration> {
        None
    }

    /// Pure: no clock, no network, no secret.
    fn compose(&self, message: &Message<'_>) -> Payload;

    /// Sends one notice. `earlier` is the receipt of the last one of the same alert.
    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        earlier: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>>;
}

macro_rules! channels {
    ($($(#[doc = $meaning:literal])* $variant:ident($settings:ty),)*) => {
        /// Where notices can go: exactly one kind.
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema, IntoStaticStr)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum Channel {
            $($(#[doc = $meaning])* $variant($settings),)*
        }

        impl Channel {
            fn kind(&self) -> &dyn Kind {
                match self { $(Self::$variant(settings) => settings,)* }
            }

            fn kind_mut(&mut self) -> &mut dyn Kind {
                match self { $(Self::$variant(settings) => settings,)* }
            }
        }
    };
}

// One line and one file each.
channels! {
    /// Mail.
    Email(email::Email),
    /// An HTTP POST of the alert as a CloudEvent.
    Webhook(webhook::Webhook),
    /// Slack: by a bot, which changes its message in place, or by an incoming webhook.
    Slack(slack::Slack),
    /// Microsoft Teams, by a workflow that takes webhooks.
    Teams(teams::Teams),
    /// Discord, by a webhook.
    Discord(discord::Discord),
    /// PagerDuty, by its events API.
    Pagerduty(pagerduty::Pagerduty),
    /// Opsgenie, by its alert API.
    Opsgenie(opsgenie::Opsgenie),
    /// Prometheus Alertmanager.
    Alertmanager(alertmanager::Alertmanager),
    /// ntfy.
    Ntfy(ntfy::Ntfy),
    /// A program on this machine, which gets the alert as JSON on its standard input.
    Exec(exec::Exec),
}

impl Channel {
    /// The kind's name in the files.
    pub fn name(&self) -> &'static str {
        self.into()
    }

    /// What the channel hangs on: a vendor, or a host. Channels that need the same fail together.
    pub fn needs(&self) -> String {
        self.kind().needs()
    }

    /// Where its notices are handed over.
    pub fn server(&self) -> Server {
        self.kind().server()
    }

    /// The references to secrets among the settings, each with its key below the kind, such as `headers/X-Key`.
    pub fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        self.kind_mut().secrets()
    }

    /// The addresses that stand in the file, each with its key below the kind.
    pub fn addresses(&self) -> Vec<(String, &Url)> {
        self.kind().addresses()
    }

    /// What is wrong with the settings beyond what the schema says.
    pub fn faults(&self) -> Vec<Fault> {
        self.kind().faults()
    }

    /// How often a firing alert has to be posted again for the channel to believe it; absent for most.
    pub fn keep_alive(&self) -> Option<Duration> {
        self.kind().keep_alive()
    }

    /// The notice of this channel. `first` is the sequence of the first notice of the alert that the channel got, absent
    /// when this is it.
    pub fn compose(&self, news: &News, key: &Key, first: Option<u32>, origin: &Origin) -> Notice {
        let news = clean::news(news, origin);
        let message = Message {
            news: &news,
            key,
            first: first.unwrap_or(key.sequence),
            origin,
        };
        Notice {
            key: key.clone(),
            event: news.event,
            payload: self.kind().compose(&message),
        }
    }

    /// Sends one notice, once. `earlier` is the receipt of the last one of the same alert that the channel took. Each request
    /// of a delivery is waited for 30 s at most.
    pub async fn deliver(
        &self,
        notice: &Notice,
        earlier: Option<&Receipt>,
        edge: &Edge,
    ) -> Result<Receipt, Failure> {
        self.kind().deliver(notice, earlier, edge).await
    }
}

/// News as plain text, in the words and order of all channels: a title, then a line for each fact.
pub fn plain(news: &News, origin: &Origin) -> String {
    const LONGEST: usize = 2000;
    let news = clean::news(news, origin);
    let key = Key {
        fingerprint: news.alert.fingerprint.clone(),
        opened_at: news.alert.started_at,
        sequence: 1,
    };
    let message = Message {
        news: &news,
        key: &key,
        first: 1,
        origin,
    };
    let story = story::Story::of(&message, LONGEST);
    format!("{}\n\n{}", story.title, story.plain())
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_lowercase()
}
