//! Fetches the secrets that files only refer to. Errors name the reference, never the value.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::child::Group;
use crate::run::Finding;
use crate::secret::{Secret, SecretRef};
use crate::taxonomy::Class;

/// `LoadCredential=authcanary:FOLDER` in the unit that is shipped.
const FOLDER_CREDENTIAL: &str = "authcanary";

/// A command that prints no secret by then is killed.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// Longer values are refused: no secret that is sent to a provider is larger.
const SIZE_LIMIT_BYTES: u64 = 64 * 1024;

/// Why a secret is not to be had. `secret` is the reference.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("{secret} is not set")]
    Missing { secret: SecretRef },
    #[error("{secret} is empty")]
    Empty { secret: SecretRef },
    #[error("{secret} is not valid UTF-8")]
    NotText { secret: SecretRef },
    #[error("{secret} is longer than {SIZE_LIMIT_BYTES} bytes")]
    TooLong { secret: SecretRef },
    #[error("{secret} cannot be read")]
    Unreadable {
        secret: SecretRef,
        source: io::Error,
    },
    #[error("{secret}: CREDENTIALS_DIRECTORY is not set; run under systemd with LoadCredential=")]
    NoCredentials { secret: SecretRef },
    #[error("{secret} is not a plain file name")]
    CredentialName { secret: SecretRef },
    #[error("{secret} names no program")]
    NoProgram { secret: SecretRef },
    #[error("{secret} cannot be started")]
    NotStarted {
        secret: SecretRef,
        source: io::Error,
    },
    #[error("{secret} failed with {status}")]
    CommandFailed {
        secret: SecretRef,
        status: std::process::ExitStatus,
    },
    #[error("{secret} gave no secret within {} s", COMMAND_LIMIT.as_secs())]
    CommandSlow { secret: SecretRef },
}

impl From<&VaultError> for Finding {
    /// The run cannot be judged: `secret_unavailable`.
    fn from(error: &VaultError) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        Self::new(
            Class::SecretUnavailable,
            format!("{error}{}", cause.unwrap_or_default()),
        )
    }
}

/// Fetches what `secret` refers to, without one trailing line break. Read anew each time, so that a rotated secret
/// counts from the next run on.
pub async fn resolve(secret: &SecretRef) -> Result<Secret, VaultError> {
    let value = match secret {
        SecretRef::Env(name) => variable(secret, name)?,
        SecretRef::File(path) => file(secret, path).await?,
        SecretRef::Credential(name) => {
            let folder = env::var_os("CREDENTIALS_DIRECTORY");
            file(secret, &credential(secret, name, folder)?).await?
        }
        SecretRef::Command(argv) => command(secret, argv, COMMAND_LIMIT).await?,
    };
    text(secret, value)
}

fn variable(secret: &SecretRef, name: &str) -> Result<Vec<u8>, VaultError> {
    // Names that no variable can have make the standard library panic.
    let possible = !name.is_empty() && !name.contains(['=', '\0']);
    let value = possible.then(|| env::var_os(name)).flatten();
    value
        .map(OsString::into_encoded_bytes)
        .ok_or_else(|| VaultError::Missing {
            secret: secret.clone(),
        })
}

async fn file(secret: &SecretRef, path: &Path) -> Result<Vec<u8>, VaultError> {
    let unreadable = |source: io::Error| VaultError::Unreadable {
        secret: secret.clone(),
        source,
    };
    let path = path.to_owned();
    // A pipe or a dead mount may block: the file is opened off the runtime, and waited for no longer than a command.
    let read = tokio::task::spawn_blocking(move || -> io::Result<Vec<u8>> {
        use std::io::Read;
        let mut value = Vec::new();
        std::fs::File::open(path)?
            .take(SIZE_LIMIT_BYTES + 1)
            .read_to_end(&mut value)?;
        Ok(value)
    });
    match timeout(COMMAND_LIMIT, read).await {
        Ok(Ok(value)) => value.map_err(unreadable),
        Ok(Err(stopped)) => Err(unreadable(io::Error::other(stopped))),
        Err(_) => Err(unreadable(io::ErrorKind::TimedOut.into())),
    }
}

/// The file of a credential, wherever in the folder of credentials systemd has put it.
fn credential(
    secret: &SecretRef,
    name: &str,
    folder: Option<OsString>,
) -> Result<PathBuf, VaultError> {
    let secret = || secret.clone();
    let mut parts = Path::new(name).components();
    let plain = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
    if !plain {
        return Err(VaultError::CredentialName { secret: secret() });
    }
    let folder = folder.ok_or_else(|| VaultError::NoCredentials { secret: secret() })?;
    let folder = Path::new(&folder);
    // A whole folder that is loaded under one name gives its files that name as a prefix; so does our own unit.
    let of_folder = folder.join(format!("{FOLDER_CREDENTIAL}_{name}"));
    let single = folder.join(name);
    Ok(match !single.exists() && of_folder.exists() {
        true => of_folder,
        false => single,
    })
}

/// Runs a program without a shell. What it prints on stderr is dropped: it may hold the secret.
async fn command(
    secret: &SecretRef,
    argv: &[String],
    limit: Duration,
) -> Result<Vec<u8>, VaultError> {
    let secret = || secret.clone();
    let Some((program, arguments)) = argv.split_first() else {
        return Err(VaultError::NoProgram { secret: secret() });
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A group of its own, so that whatever it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| VaultError::NotStarted {
            secret: secret(),
            source,
        })?;
    let mut group = Group::of(&child);
    let printed = timeout(limit, output(&mut child)).await;
    if let Ok(Ok((value, Some(status)))) = printed {
        // What it left running, such as an agent, is its own business once it has done its work.
        group.release();
        if !status.success() {
            return Err(VaultError::CommandFailed {
                secret: secret(),
                status,
            });
        }
        return Ok(value);
    }
    drop(group);
    // Reap it; it has just been killed.
    let _ = child.wait().await;
    match printed {
        Ok(Ok((value, _))) => Ok(value),
        Ok(Err(source)) => Err(VaultError::Unreadable {
            secret: secret(),
            source,
        }),
        Err(_) => Err(VaultError::CommandSlow { secret: secret() }),
    }
}

/// All it prints and how it ended; no end for one that prints more than the limit.
async fn output(child: &mut Child) -> io::Result<(Vec<u8>, Option<std::process::ExitStatus>)> {
    let mut value = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = stdout.take(SIZE_LIMIT_BYTES + 1);
        stdout.read_to_end(&mut value).await?;
    }
    if value.len() as u64 > SIZE_LIMIT_BYTES {
        return Ok((value, None));
    }
    Ok((value, Some(child.wait().await?)))
}

fn text(secret: &SecretRef, value: Vec<u8>) -> Result<Secret, VaultError> {
    let value = zeroize::Zeroizing::new(value);
    let secret = || secret.clone();
    if value.len() as u64 > SIZE_LIMIT_BYTES {
        return Err(VaultError::TooLong { secret: secret() });
    }
    let text = std::str::from_utf8(&value).map_err(|_| VaultError::NotText { secret: secret() })?;
    let text = text
        .strip_suffix('\n')
        .map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.trim().is_empty() {
        return Err(VaultError::Empty { secret: secret() });
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> SecretRef {
        SecretRef::Command(["sh", "-c", script].map(str::to_owned).to_vec())
    }

    fn written(content: &[u8]) -> (tempfile::NamedTempFile, SecretRef) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let secret = SecretRef::File(file.path().to_owned());
        (file, secret)
    }

    async fn value(secret: &SecretRef) -> String {
        resolve(secret).await.unwrap().expose().to_owned()
    }

    async fn error(secret: &SecretRef) -> Finding {
        let error = resolve(secret).await.unwrap_err();
        let finding = Finding::from(&error);
        assert_eq!(finding.class, Class::SecretUnavailable);
        finding
    }

    #[tokio::test]
    async fn a_file_gives_its_content_without_one_trailing_line_break() {
        for (content, expected) in [
            (&b"s3cret"[..], "s3cret"),
            (b"s3cret\n", "s3cret"),
            (b"s3cret\r\n", "s3cret"),
            (b"s3cret\n\n", "s3cret\n"),
            (b" s3cret ", " s3cret "),
        ] {
            let (_file, secret) = written(content);
            assert_eq!(value(&secret).await, expected);
        }
    }

    #[tokio::test]
    async fn a_file_that_is_missing_empty_too_long_or_no_text_is_named() {
        let missing = SecretRef::File("/nonexistent/secret".into());
        assert!(
            error(&missing)
                .await
                .detail
                .starts_with("file /nonexistent/secret cannot be read: No such")
        );
        for (content, expected) in [
            (vec![], "is empty"),
            (b"\n".to_vec(), "is empty"),
            (vec![b'x'; 70_000], "is longer than 65536 bytes"),
            (vec![0xff, 0xfe], "is not valid UTF-8"),
        ] {
            let (_file, secret) = written(&content);
            let detail = error(&secret).await.detail;
            assert!(detail.ends_with(expected), "{detail}");
        }
        assert!(
            error(&SecretRef::File("/".into()))
                .await
                .detail
                .contains("cannot be read")
        );
    }

    #[tokio::test]
    async fn a_variable_gives_its_value_and_a_missing_one_is_named() {
        assert_eq!(
            value(&SecretRef::Env("CARGO_PKG_NAME".into())).await,
            "authcanary"
        );
        let missing = SecretRef::Env("AUTHCANARY_NO_SUCH".into());
        assert_eq!(
            error(&missing).await.detail,
            "environment variable AUTHCANARY_NO_SUCH is not set"
        );
        for impossible in ["", "A=B", "A\0B"] {
            error(&SecretRef::Env(impossible.into())).await;
        }
    }

    #[test]
    fn a_credential_is_a_file_of_the_credentials_folder() {
        let check = |name: &str, folder: Option<&str>| {
            let secret = SecretRef::Credential(name.into());
            credential(&secret, name, folder.map(OsString::from)).map_err(|error| error.to_string())
        };
        assert_eq!(
            check("kc-prod", Some("/run/creds")),
            Ok("/run/creds/kc-prod".into())
        );
        assert!(
            check("kc-prod", None)
                .unwrap_err()
                .contains("CREDENTIALS_DIRECTORY is not set")
        );
        let loaded = tempfile::tempdir().unwrap();
        std::fs::write(loaded.path().join("authcanary_kc-prod"), "x").unwrap();
        let folder = loaded.path().to_str().unwrap();
        assert_eq!(
            check("kc-prod", Some(folder)),
            Ok(loaded.path().join("authcanary_kc-prod")),
            "one of a folder that was loaded whole"
        );
        for name in ["../shadow", "/etc/shadow", "a/b", "", ".."] {
            assert!(
                check(name, Some("/run/creds"))
                    .unwrap_err()
                    .contains("plain file name"),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn a_command_gives_what_it_prints() {
        assert_eq!(
            value(&sh("printf 's3cret\\n'; echo noise >&2")).await,
            "s3cret"
        );
        let argument = SecretRef::Command(["echo", "$HOME;x"].map(str::to_owned).to_vec());
        assert_eq!(value(&argument).await, "$HOME;x", "no shell takes part");
    }

    #[tokio::test]
    async fn a_command_that_fails_floods_or_is_missing_is_named_without_its_output() {
        let failed = error(&sh("echo s3cret; echo s3cret >&2; exit 3"))
            .await
            .detail;
        assert_eq!(failed, "command sh failed with exit status: 3");
        assert!(
            error(&sh("yes"))
                .await
                .detail
                .ends_with("is longer than 65536 bytes")
        );
        assert!(error(&sh(":")).await.detail.ends_with("is empty"));
        let missing = SecretRef::Command(vec!["/nonexistent/program".into()]);
        assert!(
            error(&missing)
                .await
                .detail
                .starts_with("command /nonexistent/program cannot be started")
        );
        assert_eq!(
            error(&SecretRef::Command(vec![])).await.detail,
            "command  names no program"
        );
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let ids = folder.path().join("ids");
        let script = format!("sleep 600 & echo $! $$ > {}; wait", ids.display());
        let secret = sh(&script);
        let SecretRef::Command(argv) = &secret else {
            unreachable!()
        };
        let slow = command(&secret, argv, Duration::from_millis(500)).await;
        assert!(
            matches!(slow, Err(VaultError::CommandSlow { .. })),
            "{slow:?}"
        );
        let ids = std::fs::read_to_string(&ids).unwrap();
        for id in ids.split_whitespace() {
            // The shell is reaped here; the other one by whoever inherits orphans, until when it is a zombie.
            let gone = || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
                Ok(stat) => stat.contains(") Z "),
                Err(_) => true,
            };
            while !gone() {
                tokio::task::yield_now().await;
            }
        }
    }
}
