//! Mail, as HTML and as text, over SMTP: TLS from the start or STARTTLS, with the certificate checked either way.
//! All mails about one alert are one thread.

use askama::Template;
use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, address::Envelope};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use url::{Host, Url};

use super::story::{Story, Tone};
use super::wire::Secrets;
use super::{
    Edge, Event, Failure, Fault, Key, Kind, Message, Notice, Payload, Receipt, Server, host, limit,
};
use crate::secret::SecretRef;

/// Characters of a subject: lists of mails show fewer, and RFC 5322 (section 2.1.1) ends a line at 998.
const SUBJECT: usize = 200;

/// Ports of mail submission (RFC 8314 section 7): TLS from the start, and STARTTLS.
const PORTS: (u16, u16) = (465, 587);

/// Mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Email {
    /// Server that takes the mail: `smtps://host` (TLS from the start) or `smtp://host` (STARTTLS, which only a server on
    /// this machine may lack).
    #[schemars(with = "String", extend("format" = "smtp-address"))]
    pub smtp: Url,
    /// User name at the server.
    #[serde(default)]
    pub username: Option<String>,
    /// Password at the server.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Sender.
    #[schemars(extend("format" = "mail-address"))]
    pub from: String,
    /// Receivers.
    #[schemars(schema_with = "mail_addresses")]
    pub to: Vec<String>,
}

fn mail_addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "items": {"type": "string", "format": "mail-address"}})
}

/// One mail, without its sender and receivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// With angle brackets, as the header has it.
    pub message_id: String,
    /// Id of the first mail about the alert; absent in that one.
    pub in_reply_to: Option<String>,
    pub date: Timestamp,
    pub is_urgent: bool,
}

impl Kind for Email {
    fn needs(&self) -> String {
        host(&self.smtp)
    }

    fn server(&self) -> Server {
        Server::At(self.smtp.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        let password = self.password.iter_mut();
        password
            .map(|secret| ("password".to_owned(), secret))
            .collect()
    }

    fn faults(&self) -> Vec<Fault> {
        let fault = |message, help| {
            vec![Fault {
                pointer: String::new(),
                message,
                help,
                is_secret: false,
            }]
        };
        match (&self.username, &self.password) {
            (None, Some(_)) => fault("a password without a user name", "add `username`"),
            (Some(_), None) => fault("a user name without a password", "add `password`"),
            (Some(_), Some(_)) | (None, None) => Vec::new(),
        }
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        Payload::Mail(self.mail(message))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let Payload::Mail(mail) = &notice.payload else {
                return Err(Failure::refused("this notice was not composed as a mail"));
            };
            // A conversation of many turns, so twice as long as one request.
            let limit = 2 * edge.patience;
            let sent = timeout(limit, self.send(mail, &notice.key, edge)).await;
            sent.unwrap_or_else(|_| {
                Err(Failure::Retry {
                    why: format!(
                        "the mail server has not taken it within {} s",
                        limit.as_secs()
                    ),
                    after: None,
                    may_have_arrived: true,
                })
            })
        }
        .boxed()
    }
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Page<'a> {
    story: &'a Story,
    color: String,
    footer: &'a str,
}

impl Email {
    fn mail(&self, message: &Message<'_>) -> Mail {
        let Message {
            news, key, origin, ..
        } = message;
        let story = Story::of(message, 2000);
        let footer = format!("authcanary at {}, notice {key}", origin.location);
        let page = Page {
            story: &story,
            color: format!("#{:06x}", story.tone.color()),
            footer: &footer,
        };
        let html = page.render();
        Mail {
            subject: limit::units(&story.title, SUBJECT),
            text: format!("{}\n\n{}\n-- \n{footer}\n", story.title, story.plain()),
            html: html.expect("writing into a text cannot fail"),
            message_id: self.message_id(key, key.sequence),
            in_reply_to: (message.first != key.sequence)
                .then(|| self.message_id(key, message.first)),
            date: news.at,
            is_urgent: story.tone == Tone::Page && news.event != Event::Updated,
        }
    }

    fn message_id(&self, key: &Key, sequence: u32) -> String {
        let key = Key {
            sequence,
            ..key.clone()
        };
        let domain = self.from.rsplit_once('@').map_or("", |(_, domain)| domain);
        format!("<{key}@{}>", domain.trim_end_matches('>'))
    }

    async fn send(&self, mail: &Mail, key: &Key, edge: &Edge) -> Result<Receipt, Failure> {
        let secrets = Secrets::default();
        let (from, to) = self.addresses()?;
        let bytes = self.message(mail, key)?;
        let envelope = |to: Vec<Address>| {
            let envelope = Envelope::new(Some(from.clone()), to);
            envelope.map_err(|error| Failure::refused(error.to_string()))
        };
        let all = envelope(to.clone())?;
        let refused = match self.hand_over(&all, &bytes, edge, &secrets).await {
            Err(Failure::Refused { why }) if to.len() > 1 => why,
            other => return other,
        };
        // One address that is no more must not keep the mail from the others.
        let mut taken = Vec::new();
        let mut left_out = Vec::new();
        for address in to {
            let one = envelope(vec![address.clone()])?;
            match self.hand_over(&one, &bytes, edge, &secrets).await {
                Ok(receipt) => taken.push(receipt.said),
                Err(Failure::Refused { why }) => left_out.push(format!("{address}: {why}")),
                Err(failure @ Failure::Retry { .. }) => return Err(failure),
            }
        }
        let Some(said) = taken.first() else {
            return Err(Failure::refused(refused));
        };
        Ok(Receipt {
            said: format!(
                "{} of {} receivers: {said}; refused: {}",
                taken.len(),
                taken.len() + left_out.len(),
                left_out.join("; ")
            ),
            handle: None,
        })
    }

    fn addresses(&self) -> Result<(Address, Vec<Address>), Failure> {
        let to: Result<Vec<Address>, Failure> =
            self.to.iter().map(|to| Ok(mailbox(to)?.email)).collect();
        Ok((mailbox(&self.from)?.email, to?))
    }

    fn message(&self, mail: &Mail, key: &Key) -> Result<Vec<u8>, Failure> {
        let plain = |name: &'static str, value: &str| {
            HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
        };
        let mut builder = lettre::Message::builder()
            .from(mailbox(&self.from)?)
            .subject(mail.subject.as_str())
            .date(mail.date.into())
            .message_id(Some(mail.message_id.clone()))
            // Nobody's absence note should answer (RFC 3834 section 5).
            .raw_header(plain("Auto-Submitted", "auto-generated"))
            .raw_header(plain("X-Authcanary-Key", &key.to_string()));
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        if let Some(first) = &mail.in_reply_to {
            builder = builder.in_reply_to(first.clone()).references(first.clone());
        }
        if mail.is_urgent {
            builder = builder.raw_header(plain("Importance", "high"));
        }
        let parts = MultiPart::alternative()
            .boundary(format!("=_{}", key.incident()))
            .singlepart(SinglePart::plain(mail.text.clone()))
            .singlepart(SinglePart::html(mail.html.clone()));
        let message = builder.multipart(parts);
        let message = message.map_err(|error| Failure::refused(error.to_string()))?;
        Ok(message.formatted())
    }

    /// One conversation with the server.
    async fn hand_over(
        &self,
        envelope: &Envelope,
        bytes: &[u8],
        edge: &Edge,
        secrets: &Secrets,
    ) -> Result<Receipt, Failure> {
        let mut connection = self.connect(edge, secrets).await?;
        let taken = connection.send(envelope, bytes).await;
        let answer = taken.map_err(|error| failure(&error, true, secrets))?;
        // It has the mail; how it takes its leave is all the same.
        let _ = connection.quit().await;
        let line = answer.first_line().unwrap_or_default();
        Ok(Receipt {
            said: secrets.clean(&format!("{} {line}", answer.code())),
            handle: None,
        })
    }

    /// A connection that is encrypted, unless the server is on this machine and there is no password to protect, and
    /// logged in where there is a user name.
    async fn connect(
        &self,
        edge: &Edge,
        secrets: &Secrets,
    ) -> Result<AsyncSmtpConnection, Failure> {
        let is_implicit = self.smtp.scheme() == "smtps";
        let host = self.smtp.host_str().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        let usual = if is_implicit { PORTS.0 } else { PORTS.1 };
        let port = self.smtp.port().unwrap_or(usual);
        let is_open = !is_implicit && self.username.is_none() && is_this_machine(&self.smtp);
        let tls = match is_open {
            true => None,
            false => Some(parameters(host, edge).await?),
        };
        let name = ClientId::default();
        let not_yet = |error: &Error| failure(error, false, secrets);
        let first = tls.clone().filter(|_| is_implicit);
        let mut connection = AsyncSmtpConnection::connect_tokio1(
            (host, port),
            Some(edge.patience),
            &name,
            first,
            None,
        )
        .await
        .map_err(|error| not_yet(&error))?;
        if let Some(tls) = tls.filter(|_| !is_implicit) {
            if !connection.can_starttls() {
                connection.abort().await;
                return Err(Failure::refused(
                    "the mail server offers no STARTTLS, and nothing is sent in clear",
                ));
            }
            let encrypted = connection.starttls(tls, &name).await;
            encrypted.map_err(|error| not_yet(&error))?;
        }
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            let password = secrets.get(password).await?;
            let credentials = Credentials::new(username.clone(), password.expose().to_owned());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let logged_in = connection.auth(&mechanisms, &credentials).await;
            logged_in.map_err(|error| not_yet(&error))?;
        }
        Ok(connection)
    }
}

async fn parameters(host: &str, edge: &Edge) -> Result<TlsParameters, Failure> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &edge.ca_file {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::retry(format!(
                "cannot read certificates from {}: {error}",
                path.display()
            ))
        };
        let pem = tokio::fs::read(path)
            .await
            .map_err(|error| unreadable(&error))?;
        let certificates = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.add_root_certificate(certificates);
    }
    let parameters = builder.build();
    parameters.map_err(|error| Failure::retry(format!("TLS cannot be set up: {error}")))
}

fn mailbox(address: &str) -> Result<Mailbox, Failure> {
    address
        .parse()
        .map_err(|error| Failure::refused(format!("{address} is no mail address: {error}")))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host_str().map(Host::parse) {
        Some(Ok(Host::Ipv4(address))) => address.is_loopback(),
        Some(Ok(Host::Ipv6(address))) => address.is_loopback(),
        Some(Ok(Host::Domain(name))) => name == "localhost",
        Some(Err(_)) | None => false,
    }
}

/// `is_sending` says whether the server may have the mail without us knowing.
fn failure(error: &Error, is_sending: bool, secrets: &Secrets) -> Failure {
    let why = secrets.clean(&format!("the mail server: {error}"));
    // What it says with a code of 500 and above it will say again; so will a certificate.
    if error.is_permanent() || error.is_client() || is_about_certificate(error) {
        return Failure::Refused { why };
    }
    Failure::Retry {
        why,
        after: None,
        may_have_arrived: is_sending && !error.is_transient(),
    }
}

fn is_about_certificate(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<std::io::Error>();
        let inner = inner.and_then(|io| io.get_ref());
        let own = cause.downcast_ref::<rustls::Error>();
        let inner = inner.and_then(|error| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(_)) = own.or(inner) {
            return true;
        }
        source = cause.source();
    }
    false
}
