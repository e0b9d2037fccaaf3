//! A mailbox for the demo: takes mail by SMTP (RFC 5321) on loopback and keeps each as files that people can open.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Longest line and longest mail, in bytes.
const LINE: u64 = 8 * 1024;
const MAIL: usize = 1024 * 1024;

/// A mailbox that is open until it is dropped.
pub(super) struct Mailbox {
    pub(super) address: SocketAddr,
    pub(super) arrived: mpsc::UnboundedReceiver<Mail>,
    task: tokio::task::JoinHandle<()>,
}

/// One that arrived.
pub(super) struct Mail {
    /// Its part in plain text.
    pub(super) text: String,
    /// The whole mail.
    pub(super) file: PathBuf,
    /// Its part in HTML, as a mail program shows it.
    pub(super) page: PathBuf,
}

impl Mailbox {
    /// Opens one that writes into `folder`.
    pub(super) async fn open(folder: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&folder).context("no room for mail")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (deliver, arrived) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut count = 0;
            // One after the other: there is one sender.
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever breaks off comes again.
                let _ = talk(stream, &folder, &mut count, &deliver).await;
            }
        });
        Ok(Self {
            address,
            arrived,
            task,
        })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One conversation. A mail counts as taken once it is kept.
async fn talk(
    mut stream: TcpStream,
    folder: &Path,
    count: &mut u32,
    deliver: &mpsc::UnboundedSender<Mail>,
) -> anyhow::Result<()> {
    let (from, mut to) = stream.split();
    let mut from = BufReader::new(from);
    to.write_all(b"220 mailbox of the demo\r\n").await?;
    while let Some(line) = line(&mut from).await? {
        let command = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        let answer = match command.as_str() {
            "EHLO" => "250-mailbox of the demo\r\n250 8BITMIME",
            "HELO" | "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 ok",
            "DATA" => {
                to.write_all(b"354 go on\r\n").await?;
                let mail = body(&mut from).await?;
                *count += 1;
                // Nobody may be listening any more.
                let _ = deliver.send(keep(&mail, folder, *count)?);
                "250 taken"
            }
            "QUIT" => "221 goodbye",
            _ => "502 not here",
        };
        to.write_all(format!("{answer}\r\n").as_bytes()).await?;
        if command == "QUIT" {
            break;
        }
    }
    Ok(())
}

/// A line without its end; none when the sender is gone.
async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<Option<String>> {
    let mut bytes = Vec::new();
    from.take(LINE).read_until(b'\n', &mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    Ok((!bytes.is_empty()).then(|| text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The lines of a mail up to the lone dot, with the dots that were doubled on the way made single again (section 4.5.2).
async fn body(from: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<String> {
    let mut mail = String::new();
    loop {
        let line = line(from).await?.context("the sender broke off")?;
        if line == "." {
            return Ok(mail);
        }
        anyhow::ensure!(mail.len() + line.len() < MAIL, "the mail is too long");
        mail.push_str(line.strip_prefix('.').unwrap_or(&line));
        mail.push_str("\r\n");
    }
}

fn keep(mail: &str, folder: &Path, number: u32) -> anyhow::Result<Mail> {
    let (file, page) = (
        folder.join(format!("{number}.eml")),
        folder.join(format!("{number}.html")),
    );
    std::fs::write(&file, mail)?;
    std::fs::write(&page, part(mail, "text/html"))?;
    Ok(Mail {
        text: part(mail, "text/plain"),
        file,
        page,
    })
}

/// The part of this type (RFC 2046 section 5.1), decoded (RFC 2045 section 6); empty where there is none.
fn part(mail: &str, of_type: &str) -> String {
    let boundary = mail
        .split_once("boundary=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(boundary, _)| boundary);
    let between = format!("--{boundary}");
    let parts = mail.split(&between).skip(1);
    let mut parts = parts.filter_map(|part| part.split_once("\r\n\r\n"));
    let Some((head, body)) = parts.find(|(head, _)| head.contains(of_type)) else {
        return String::new();
    };
    let bytes = match head.to_ascii_lowercase() {
        head if head.contains("quoted-printable") => {
            quoted_printable::decode(body, quoted_printable::ParseMode::Robust).unwrap_or_default()
        }
        head if head.contains("base64") => BASE64_STANDARD
            .decode(body.split_whitespace().collect::<String>())
            .unwrap_or_default(),
        _ => body.as_bytes().to_vec(),
    };
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_of_a_mail_are_found_and_decoded() {
        let mail = "Subject: x\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n\
                    --=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                    R3LDvMOf\r\nZQ==\r\n\
                    --=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
                    <p>Gr=C3=BC=\r\n=C3=9Fe</p>\r\n--=_b--\r\n";
        assert_eq!(part(mail, "text/plain"), "Grüße");
        assert_eq!(part(mail, "text/html").trim_end(), "<p>Grüße</p>");
        assert_eq!(part("Subject: x\r\n\r\nhello", "text/plain"), "");
    }
}
