//! The unit that is shipped, judged by systemd's own tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The most exposure that the unit may have, in tenths; systemd calls up to 2.9 OK.
const EXPOSURE: &str = "25";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name)
}

fn analyze(arguments: &[&str], unit: &Path) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
        .expect("systemd-analyze is installed: package systemd");
    let text = [stdout, stderr].concat();
    (status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_unit_is_valid_without_a_remark() {
    let folder = TempDir::new().unwrap();
    let unit = fs::read_to_string(shipped("authcanary.service")).unwrap();
    let installed = "/usr/bin/authcanary";
    assert!(unit.contains(&format!("ExecStart={installed} serve")));
    // The verdict includes whether the program is there.
    let copy = folder.path().join("authcanary.service");
    fs::write(
        &copy,
        unit.replace(installed, env!("CARGO_BIN_EXE_authcanary")),
    )
    .unwrap();
    let (valid, remarks) = analyze(&["verify", "--man=no"], &copy);
    assert!(valid, "{remarks}");
    assert_eq!(remarks, "");
}

#[test]
fn the_unit_leaves_little_exposed() {
    let judge = ["security", "--offline=true", "--threshold", EXPOSURE];
    let (good, table) = analyze(&judge, &shipped("authcanary.service"));
    assert!(good, "{table}");
}

#[test]
fn users_and_folders_are_as_the_unit_names_them() {
    let unit = fs::read_to_string(shipped("authcanary.service")).unwrap();
    let users = fs::read_to_string(shipped("authcanary.sysusers")).unwrap();
    let folders = fs::read_to_string(shipped("authcanary.tmpfiles")).unwrap();
    assert!(unit.contains("\nUser=authcanary\n"));
    assert!(
        users
            .lines()
            .any(|line| line.starts_with("u ") && line.contains(" authcanary "))
    );
    let credentials = unit
        .lines()
        .find_map(|line| line.strip_prefix("LoadCredential=authcanary:"))
        .unwrap();
    assert!(folders.contains(credentials));
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let root = format!("--root={}", root.path().display());
    for (tool, file) in [
        ("systemd-sysusers", "authcanary.sysusers"),
        ("systemd-tmpfiles", "authcanary.tmpfiles"),
    ] {
        let mut command = Command::new(tool);
        command.arg(&root).arg(shipped(file));
        if tool == "systemd-tmpfiles" {
            command.arg("--create");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{tool}: {output:?}");
    }
}
