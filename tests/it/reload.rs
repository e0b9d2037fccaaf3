//! The configuration changes under a daemon that serves: the real binary, real files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::serving::Serving;

const SUCCESSFUL: &str = "\nauthcanary_config_last_reload_successful";

fn write(folder: &Path, environments: &[&str]) {
    let mut probe = "version: 1\nprovider: generic\nflow: client_credentials\ncron: 0 0 29 2 *\n\
                     scopes: [a]\nenvironments:\n"
        .to_owned();
    for name in environments {
        probe.push_str(&format!(
            "  {name}: {{issuer: \"http://127.0.0.1:9\", client: {{id: a, auth: client_secret_basic, secret: {{env: SECRET}}}}}}\n"
        ));
    }
    fs::write(folder.join("probe.yaml"), probe).unwrap();
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("authcanary.yaml"),
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {path: store}\n",
    )
    .unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_over_and_a_bad_one_changes_nothing() {
    let folder = folder();
    write(folder.path(), &["prod", "staging"]);
    let mut daemon = Serving::start(folder.path());
    daemon
        .probes_become(&["generic/prod", "generic/staging"])
        .await;

    write(folder.path(), &["prod", "test"]);
    daemon
        .probes_become(&["generic/prod", "generic/test"])
        .await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("generic/test") && !metrics.contains("generic/staging"));

    fs::write(folder.path().join("probe.yaml"), "version: 1\nprovder: x\n").unwrap();
    daemon.log_with("the one before stays in force");
    let fault = daemon.log_with("probe.yaml:");
    assert!(fault.contains("probe.yaml:"), "{fault}");
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(&format!("{SUCCESSFUL} 0")), "{metrics}");
    daemon
        .probes_become(&["generic/prod", "generic/test"])
        .await;

    write(folder.path(), &["prod"]);
    daemon.probes_become(&["generic/prod"]).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(&format!("{SUCCESSFUL} 1")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let folder = folder();
    write(folder.path(), &["prod"]);
    let mut daemon = Serving::start(folder.path());
    let main = folder.path().join("authcanary.yaml");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{text}location: elsewhere\n")).unwrap();
    daemon.hang_up();
    daemon.log_with("it takes effect at the next start");
    daemon.log_with("read again and is in force");
    daemon.probes_become(&["generic/prod"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_start_life_reload_and_end() {
    let folder = folder();
    write(folder.path(), &["prod"]);
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let told = |words: &str| {
        let mut message = [0; 4096];
        while let Ok(length) = manager.recv(&mut message) {
            let message = String::from_utf8_lossy(&message[..length]);
            if message.lines().any(|line| line == words) {
                return message.into_owned();
            }
        }
        panic!("the manager was not told {words}");
    };
    let environment = [
        ("NOTIFY_SOCKET", path.as_os_str()),
        ("WATCHDOG_USEC", OsStr::new("60000000")),
    ];
    let daemon = Serving::start_with(folder.path(), environment);
    assert!(told("READY=1").contains("STATUS=1 probes at work"));
    told("WATCHDOG=1");
    daemon.hang_up();
    told("RELOADING=1");
    told("READY=1");
    let (status, _) = daemon.stop();
    told("STOPPING=1");
    assert!(status.success());
}
