//! Whether a nameserver says anything at all. What it says is the business of name resolution; a server that refuses,
//! or knows no such name, is there.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// A question that was lost is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

/// The socket takes nothing from anybody else, so that one id does for all questions.
const ID: u16 = 0x5ca1;

/// Header of a query for one name, recursion desired (RFC 1035 section 4.1.1), behind its id.
const HEADER: [u8; 10] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// One question for an address (type A, class IN).
const QUESTION: [u8; 4] = [0, 1, 0, 1];

/// The nameservers of a `resolv.conf`; none where it cannot be read.
pub(super) fn configured(path: &Path) -> Vec<SocketAddr> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(nameserver).collect()
}

fn nameserver(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    if words.next() != Some("nameserver") {
        return None;
    }
    // A zone (`fe80::1%eth0`) cannot be told to a socket by its name.
    let address: IpAddr = words.next()?.parse().ok()?;
    Some(SocketAddr::new(address, 53))
}

/// Asks for `name` until anything comes back.
pub(super) async fn answers(server: SocketAddr, name: &str, deadline: Instant) -> bool {
    let Some(question) = question(ID, name) else {
        return false;
    };
    while Instant::now() < deadline {
        let until = deadline.min(Instant::now() + RETRY);
        match timeout_at(until, ask(server, &question)).await {
            Ok(Ok(())) => return true,
            // Nobody listens there.
            Ok(Err(_)) => return false,
            Err(_) => (),
        }
    }
    false
}

async fn ask(server: SocketAddr, question: &[u8]) -> std::io::Result<()> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = [0; 512];
    loop {
        let length = socket.recv(&mut answer).await?;
        if length >= 2 && answer[..2] == question[..2] {
            return Ok(());
        }
    }
}

/// `None` for a name that does not fit (RFC 1035 section 2.3.4).
fn question(id: u16, name: &str) -> Option<Vec<u8>> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(HEADER);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len())
            .ok()
            .filter(|it| (1..64).contains(it))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(QUESTION);
    (bytes.len() <= 12 + 255 + 4).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_as_the_resolver_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let text = "# nameserver 192.0.2.1\nsearch corp.example\nnameserver 192.0.2.53\n\tnameserver  2001:db8::53 \nnameserver x\n";
        fs::write(&path, text).unwrap();
        let expected = ["192.0.2.53:53", "[2001:db8::53]:53"].map(|it| it.parse().unwrap());
        assert_eq!(configured(&path), expected);
        assert_eq!(configured(&folder.path().join("none")), []);
    }

    #[test]
    fn names_become_questions() {
        let asked = question(7, "a.example.").unwrap();
        assert_eq!(&asked[..4], &[0, 7, 1, 0]);
        assert_eq!(&asked[12..], b"\x01a\x07example\x00\x00\x01\x00\x01");
        assert_eq!(question(7, "a..b"), None);
        assert_eq!(question(7, &"a".repeat(64)), None);
        assert_eq!(question(7, &"a.".repeat(200)), None);
    }

    #[tokio::test]
    async fn a_server_that_says_anything_is_there() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut asked = [0; 512];
            let (length, from) = server.recv_from(&mut asked).await.unwrap();
            // "Server failure" with the same id.
            asked[2..4].copy_from_slice(&[0x81, 0x82]);
            server.send_to(&asked[..length], from).await.unwrap();
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(answers(address, "login.example", deadline).await);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_is_gone_is_not() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        drop(server);
        let deadline = Instant::now() + Duration::from_secs(60);
        assert!(!answers(address, "login.example", deadline).await);
    }
}
