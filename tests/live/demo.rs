//! The demo as a newcomer runs it, unattended: it breaks its provider, somebody is told, and it ends well.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test]
async fn the_demo_tells_of_its_fault_and_of_its_end_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["demo", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", folder.path())
        .env_remove("AUTHCANARY_CONFIG")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(PATIENCE, demo)
        .await
        .expect("the demo ends")
        .unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{told}\n{errors}");
    let place = |words: &str| {
        let found = told.find(words);
        found.unwrap_or_else(|| panic!("{words:?} is not in: {told}"))
    };
    // In this order.
    let story = [
        "probes sign in every few seconds",
        ">> Now the provider signs ID tokens with a key that is not its own.",
        "signature_invalid",
        ">> A page, ",
        "   | Firing: loopback/",
        ">> The fault is gone again.",
        "   | Resolved after ",
        ">> That was it",
    ];
    let places: Vec<usize> = story.into_iter().map(place).collect();
    assert!(places.is_sorted(), "{told}");
    for fact in [
        "Where", "Verdict", "Cause", "Do", "Seen", "Why", "Since", "Runbook", "Evidence", "Silence",
    ] {
        place(&format!("   | {fact}: "));
    }
    assert_eq!(
        told.matches("   | Firing: ").count(),
        1,
        "one cause, one page: {told}"
    );
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
