//! One-time codes (RFC 6238), each given out at most once: a server refuses a code that it has seen in the same time step.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

use crate::clock;
use crate::secret::Secret;

/// A shared secret of an authenticator, ready to give codes.
pub struct Totp {
    inner: totp_rs::Totp,
    /// Stands for the secret in the ledger.
    fingerprint: Fingerprint,
}

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TotpError {
    /// Neither base32 nor an `otpauth://` address.
    #[error("the totp secret is neither base32 nor an otpauth:// address")]
    Unreadable,
    /// A part of the address has a value that no authenticator takes.
    #[error("the otpauth:// address has an unusable {0}")]
    Parameter(&'static str),
    /// The code of this time step was used before, and the next one comes too late.
    #[error(
        "the one-time code of this time step was used before, and the next comes in {wait_s} s, after the time limit"
    )]
    NextTooLate {
        /// Seconds until the next time step.
        wait_s: u64,
    },
}

type Fingerprint = [u8; 32];

/// Last time step whose code was given out, by secret. Process-wide, since probes may share an account.
static USED: LazyLock<Mutex<HashMap<Fingerprint, u64>>> = LazyLock::new(Mutex::default);

impl Totp {
    /// Reads base32 (case, blanks and padding do not matter) or an `otpauth://totp/…` address.
    pub fn parse(secret: &Secret) -> Result<Self, TotpError> {
        let text = secret.expose().trim();
        if text
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("otpauth://"))
        {
            return from_address(text);
        }
        build(text, totp_rs::Algorithm::SHA1, 6, 30)
    }

    /// A code that was not given out before; waits for the next time step where this one is spent or about to end.
    pub async fn code(&self, deadline: Instant) -> Result<Secret, TotpError> {
        loop {
            match self.take(clock::now().as_second().cast_unsigned()) {
                Ok(code) => return Ok(code),
                Err(wait) if Instant::now() + wait >= deadline => {
                    return Err(TotpError::NextTooLate {
                        wait_s: wait.as_secs(),
                    });
                }
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// The code of the time step that `now_s` lies in, or how long to wait for one.
    fn take(&self, now_s: u64) -> Result<Secret, Duration> {
        let period = self.inner.step();
        let step = now_s / period;
        let left = Duration::from_secs((step + 1) * period - now_s);
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        if used
            .get(&self.fingerprint)
            .is_some_and(|last| *last >= step)
        {
            return Err(left);
        }
        // In its last second a code would often arrive too late.
        if left <= Duration::from_secs(1) && period > 2 {
            return Err(left);
        }
        used.insert(self.fingerprint, step);
        Ok(Secret::new(self.inner.generate(now_s).to_string()))
    }
}

impl std::fmt::Debug for Totp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Totp(***)")
    }
}

fn from_address(text: &str) -> Result<Totp, TotpError> {
    let address = Url::parse(text).map_err(|_| TotpError::Unreadable)?;
    if address.host_str() != Some("totp") {
        return Err(TotpError::Parameter("type (only totp is supported)"));
    }
    let find = |wanted: &str| {
        let mut pairs = address.query_pairs();
        pairs
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.into_owned())
    };
    let number = |name: &'static str, default: u64| match find(name) {
        Some(value) => value.parse().map_err(|_| TotpError::Parameter(name)),
        None => Ok(default),
    };
    let algorithm = match find("algorithm")
        .map(|name| name.to_ascii_uppercase().replace('-', ""))
        .as_deref()
    {
        None | Some("SHA1" | "HMACSHA1") => totp_rs::Algorithm::SHA1,
        Some("SHA256" | "HMACSHA256") => totp_rs::Algorithm::SHA256,
        Some("SHA512" | "HMACSHA512") => totp_rs::Algorithm::SHA512,
        Some(_) => return Err(TotpError::Parameter("algorithm")),
    };
    let secret = Secret::new(find("secret").ok_or(TotpError::Parameter("secret"))?);
    build(
        secret.expose(),
        algorithm,
        number("digits", 6)?,
        number("period", 30)?,
    )
}

fn build(
    base32: &str,
    algorithm: totp_rs::Algorithm,
    digits: u64,
    period: u64,
) -> Result<Totp, TotpError> {
    let digits = u8::try_from(digits)
        .ok()
        .filter(|digits| (6..=8).contains(digits));
    let digits = digits.ok_or(TotpError::Parameter("digits"))?;
    if !(1..=3600).contains(&period) {
        return Err(TotpError::Parameter("period"));
    }
    let kept = base32
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '=' | '-'));
    let clean = Secret::new(kept.map(|c| c.to_ascii_uppercase()).collect::<String>());
    let key =
        totp_rs::Secret::try_from_base32(clean.expose()).map_err(|_| TotpError::Unreadable)?;
    if key.as_bytes().is_empty() {
        return Err(TotpError::Unreadable);
    }
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    let builder = totp_rs::Builder::new()
        .with_algorithm(algorithm)
        .with_digits(digits)
        .with_step_duration(period);
    // Many servers hand out secrets of 80 bits, which the strict builder refuses.
    let inner = builder.with_secret(key).build_noncompliant();
    Ok(Totp { inner, fingerprint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totp(text: &str) -> Result<Totp, TotpError> {
        Totp::parse(&Secret::new(text))
    }

    fn code(totp: &Totp, now_s: u64) -> Option<String> {
        totp.take(now_s).ok().map(|code| code.expose().to_owned())
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238 appendix B; its secret repeats the digits 1 to 0 to the length of the hash.
        let sha1 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let address = |secret: &str, algorithm: &str| {
            format!("otpauth://totp/x?secret={secret}&algorithm={algorithm}&digits=8&period=30")
        };
        assert_eq!(
            code(&totp(&address(sha1, "SHA1")).unwrap(), 59).as_deref(),
            None,
            "the last second"
        );
        assert_eq!(
            code(&totp(&address(sha1, "SHA1")).unwrap(), 1_111_111_109).as_deref(),
            None,
            "the last second"
        );
        assert_eq!(
            code(&totp(&address(sha1, "SHA1")).unwrap(), 1_111_111_111).as_deref(),
            Some("14050471")
        );
        let sha256 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
        assert_eq!(
            code(&totp(&address(sha256, "SHA256")).unwrap(), 1_111_111_111).as_deref(),
            Some("67062674")
        );
        let other = totp("gezd gnbv-gy3t qojq gezd gnbv gy3t qojr").unwrap();
        assert_eq!(code(&other, 30).map(|code| code.len()), Some(6));
    }

    #[test]
    fn no_code_is_given_twice_in_one_step() {
        let one = totp("ORSXG5DPNZSQ").unwrap();
        let same = totp("otpauth://totp/Some:one?secret=ORSXG5DPNZSQ&issuer=Some").unwrap();
        assert!(one.take(60).is_ok());
        assert_eq!(same.take(61).unwrap_err(), Duration::from_secs(29));
        assert!(same.take(90).is_ok());
        assert!(one.take(65).is_err(), "nor after a clock that went back");
    }

    #[test]
    fn unusable_secrets_are_named_without_showing_them() {
        let check = |text: &str, expected: TotpError| {
            assert_eq!(totp(text).unwrap_err(), expected, "{text}");
        };
        check("", TotpError::Unreadable);
        check("not base32!", TotpError::Unreadable);
        check(
            "otpauth://hotp/x?secret=ORSXG5DP",
            TotpError::Parameter("type (only totp is supported)"),
        );
        check(
            "otpauth://totp/x?secret=ORSXG5DP&digits=99",
            TotpError::Parameter("digits"),
        );
        check(
            "otpauth://totp/x?secret=ORSXG5DP&period=0",
            TotpError::Parameter("period"),
        );
        check(
            "otpauth://totp/x?secret=ORSXG5DP&algorithm=MD5",
            TotpError::Parameter("algorithm"),
        );
        check("otpauth://totp/x", TotpError::Parameter("secret"));
    }

    #[tokio::test]
    async fn a_wait_beyond_the_deadline_is_said_at_once() {
        let totp = totp("otpauth://totp/x?secret=MRSWCZDMNFXGK&period=3600").unwrap();
        let deadline = Instant::now() + Duration::from_secs(3);
        let _ = totp.code(deadline).await;
        assert!(matches!(
            totp.code(deadline).await,
            Err(TotpError::NextTooLate { .. })
        ));
    }
}
