//! The unit that is shipped, and the browser: what systemd forbids must leave Chromium its sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::container::{Running, until};

/// A folder that a user without rights may use.
fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

fn confined(folder: &Path, words: &[&str]) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // That of Debian, which has the package python3-seccomp.
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(here.join("tests/live/unit/confine.py"))
        .arg(here.join("systemd/authcanary.service"))
        .args(words)
        .current_dir(folder)
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    command
}

#[test]
fn the_filter_of_the_unit_leaves_chromium_its_sandbox() {
    let folder = open_folder();
    let program = folder.path().join("authcanary");
    fs::copy(env!("CARGO_BIN_EXE_authcanary"), &program).unwrap();
    let mut words = vec![program.to_str().unwrap(), "demo", "--listen", "127.0.0.1:0"];
    // A kernel that gives users no namespaces leaves no sandbox to try.
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let namespaces = Command::new("setpriv")
        .args(user)
        .args(["unshare", "--user", "true"])
        .output();
    if !namespaces.unwrap().status.success() {
        words.push("--no-sandbox");
    }
    let demo = confined(folder.path(), &words)
        .stdout(Stdio::piped())
        .spawn();
    let mut demo = Running(demo.unwrap());
    until(&mut demo, " ok ");
    // The browsers are ended by the daemon.
    kill(Pid::from_raw(demo.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(demo.0.wait().unwrap().success());
}

#[test]
fn what_the_unit_forbids_is_forbidden() {
    let folder = open_folder();
    let script = "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; unshare --user true && echo user; \
                  unshare --user --mount true 2>/dev/null || echo no mounts; ";
    let output = confined(folder.path(), &["sh", "-c", script])
        .output()
        .unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<&str> = seen.split_whitespace().collect();
    let status = [
        "CapBnd:",
        "0000000000000000",
        "NoNewPrivs:",
        "1",
        "Seccomp:",
        "2",
    ];
    assert_eq!(seen[..6], status);
    assert_eq!(seen[seen.len() - 2..], ["no", "mounts"]);
}
