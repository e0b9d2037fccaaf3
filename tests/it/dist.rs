//! What `make dist` puts together.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

fn dist(folder: &Path) {
    let status = Command::new(".ci/dist")
        .arg(env!("CARGO_BIN_EXE_authcanary"))
        .arg(folder)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.unwrap().success());
}

fn said(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_archive_is_whole_runs_and_comes_out_the_same_again() {
    let version = env!("CARGO_PKG_VERSION");
    let folder = TempDir::new().unwrap();
    let (first, again) = (folder.path().join("first"), folder.path().join("again"));
    dist(&first);
    said("sha256sum", &["--check", "--strict", "SHA256SUMS"], &first);

    let sums = fs::read_to_string(first.join("SHA256SUMS")).unwrap();
    let names: Vec<&str> = sums.split_whitespace().skip(1).step_by(2).collect();
    let [alone, archive] = names[..] else {
        panic!("{sums}")
    };
    // The folder in the archive has the name of the program beside it.
    fs::rename(first.join(alone), first.join("alone")).unwrap();
    said("tar", &["--extract", "--file", archive], &first);
    let tree = first.join(alone);
    for program in ["../alone", "./authcanary"] {
        let answer = said(program, &["--version"], &tree);
        assert_eq!(answer.trim(), format!("authcanary {version}"));
    }
    for part in [
        "systemd/authcanary.service",
        "systemd/authcanary.sysusers",
        "systemd/authcanary.tmpfiles",
        "dashboards/overview.json",
        "probes/generic.yaml",
        "docs/runbooks/README.md",
        "docs/systemd.md",
        "completions/authcanary.bash",
        "completions/authcanary.zsh",
        "completions/authcanary.fish",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
    ] {
        let size = fs::metadata(tree.join(part)).map(|file| file.len());
        assert!(size.is_ok_and(|size| size > 0), "{part}");
    }

    dist(&again);
    assert_eq!(sums, fs::read_to_string(again.join("SHA256SUMS")).unwrap());
}
