//! `validate` as people run it: a small bad file for each rule, clean files, and the providers that it asks.

mod online;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use authcanary::audit::{Severity, rules};
use serde_json::{Value as Json, json};

/// Stands behind a line that a finding is due for.
const MARK: &str = "# <- here";

/// Exit code and output of `validate` on a file.
fn validate(file: &Path, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authcanary"));
    // Providers of this machine are reached without the proxies of the environment.
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command
        .arg("validate")
        .arg("-c")
        .arg(file)
        .args(arguments)
        .env_remove("AUTHCANARY_CONFIG")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{}: {stderr}", file.display());
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

fn report(file: &Path, arguments: &[&str]) -> (i32, Json) {
    let (code, text) = validate(file, &[arguments, &["--format", "json"]].concat());
    (code, serde_json::from_str(&text).unwrap())
}

/// Rule, file and line of each finding.
fn found(report: &Json) -> BTreeSet<(String, String, u64)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let text = |finding: &Json, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .map(|finding| {
            let line = finding["line"].as_u64().unwrap();
            (text(finding, "rule"), text(finding, "file"), line)
        })
        .collect()
}

/// The marked lines of a file and of the probe files that it names.
fn marked(file: &Path) -> BTreeSet<(String, u64)> {
    let text = fs::read_to_string(file).unwrap();
    let named = text
        .split(['[', ',', ']', ' ', '\n'])
        .filter(|word| word.starts_with("parts/"));
    let parts = named.map(|part| file.with_file_name("").join(part));
    let mut marks = BTreeSet::new();
    for file in parts.chain([file.to_owned()]) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().zip(1..);
        let lines = lines.filter(|(line, _)| line.ends_with(MARK));
        marks.extend(lines.map(|(_, line)| (file.display().to_string(), line)));
    }
    marks
}

fn bad_files(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .filter(|path| folder.ends_with("online") || !path.ends_with("clean.yaml"))
        .collect();
    files.sort();
    files
}

/// The rule that a bad file is named by; what follows two dashes tells variants apart.
fn rule_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap().to_str().unwrap();
    stem.split("--").next().unwrap().to_owned()
}

fn severity_of(id: &str) -> Severity {
    let rule = rules().find(|rule| rule.id == id);
    rule.unwrap_or_else(|| panic!("there is no rule {id}"))
        .severity
}

fn exit_code(severity: Severity, strict: bool) -> i32 {
    match severity {
        Severity::Error => 78,
        Severity::Warning if strict => 78,
        Severity::Warning | Severity::Advice => 0,
    }
}

#[test]
fn each_bad_file_breaks_its_rule_at_its_lines_and_no_other() {
    for file in bad_files("tests/it/audit") {
        let rule = rule_of(&file);
        let severity = severity_of(&rule);
        let (code, report) = report(&file, &[]);
        let expected: BTreeSet<_> = marked(&file)
            .into_iter()
            .map(|(file, line)| (rule.clone(), file, line))
            .collect();
        assert!(!expected.is_empty(), "{} marks no line", file.display());
        assert_eq!(found(&report), expected, "{}: {report:#}", file.display());
        assert_eq!(code, exit_code(severity, false), "{}", file.display());
        for finding in report["findings"].as_array().unwrap() {
            assert_eq!(finding["severity"], severity.as_str());
            assert!(finding["message"].is_string() && finding["column"].as_u64() > Some(0));
            assert!(!finding.to_string().contains("hunter2"), "{finding}");
        }
    }
}

#[test]
fn every_rule_has_a_bad_file_of_its_own() {
    let folder = |folder: &str| {
        let files = bad_files(folder).into_iter();
        files.map(|file| rule_of(&file)).collect::<BTreeSet<_>>()
    };
    let (offline, online) = (folder("tests/it/audit"), folder("tests/it/audit/online"));
    for rule in rules() {
        let files = if rule.is_online() { &online } else { &offline };
        assert!(files.contains(rule.id), "{} has no bad file", rule.id);
    }
    let ids: BTreeSet<&str> = rules().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules().count(), "two rules have one id");
}

#[test]
fn clean_files_have_nothing_to_put_right() {
    let shipped = fs::read_dir("probes")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    for file in shipped.chain([PathBuf::from("tests/it/audit/clean.yaml")]) {
        let (code, report) = report(&file, &["--strict"]);
        assert_eq!(report["findings"], json!([]), "{}", file.display());
        assert_eq!((code, &report["online"]), (0, &false.into()));
    }
}

#[test]
fn only_errors_fail_and_with_strict_warnings_too() {
    for id in ["prompt-none", "shared-secret", "timeout-short"] {
        let file = PathBuf::from(format!("tests/it/audit/{id}.yaml"));
        let severity = severity_of(id);
        assert_eq!(validate(&file, &[]).0, exit_code(severity, false), "{id}");
        assert_eq!(
            validate(&file, &["--strict"]).0,
            exit_code(severity, true),
            "{id}"
        );
    }
}

#[test]
fn rules_are_ignored_for_a_probe_a_file_and_everywhere() {
    let probe = |top: &str, own: &str| {
        format!(
            "version: 1\nprovider: generic\nbudget: {{stop_after_refused_credentials: 9}}\n{top}environments:\n  \
             prod:\n    issuer: https://sso.example.com\n    client: {{id: canary, secret: {{env: SECRET}}}}\n    \
             redirect_uri: http://app.example.com/callback\n    account: {{username: a, password: {{env: P}}}}\n{own}"
        )
    };
    let check = |top: &str, own: &str, daemon: Option<&str>, expected: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut file = folder.path().join("probe.yaml");
        fs::write(&file, probe(top, own)).unwrap();
        if let Some(daemon) = daemon {
            file = folder.path().join("authcanary.yaml");
            let text = format!("version: 1\nprobes: [probe.yaml]\naudit: {{ignore: [{daemon}]}}\n");
            fs::write(&file, text).unwrap();
        }
        let rules: Vec<String> = found(&report(&file, &[]).1)
            .into_iter()
            .map(|(rule, ..)| rule)
            .collect();
        assert_eq!(rules, expected, "{top}{own}{daemon:?}");
    };
    check("", "", None, &["lockout-danger", "redirect-uri-http"]);
    check(
        "audit: {ignore: [lockout-danger]}\n",
        "",
        None,
        &["redirect-uri-http"],
    );
    // As with all settings, that of the environment replaces that of the file.
    check(
        "audit: {ignore: [lockout-danger]}\n",
        "    audit: {ignore: [redirect-uri-http]}\n",
        None,
        &["lockout-danger"],
    );
    check(
        "",
        "",
        Some("no-channel, redirect-uri-http, lockout-danger"),
        &[],
    );
    check(
        "",
        "",
        Some("no-channel"),
        &["lockout-danger", "redirect-uri-http"],
    );
}

#[test]
fn faults_of_reading_keep_the_rules_to_the_other_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authcanary.yaml");
    fs::copy("tests/it/audit/clean.yaml", &file).unwrap();
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    let text = fs::read_to_string("tests/it/audit/parts/clean.yaml").unwrap();
    // A scope that is misspelt to a key that is not known would else make refresh look as if nothing asked for it.
    fs::write(parts.join("clean.yaml"), text.replace("scopes:", "scope:")).unwrap();
    let (code, report) = report(&file, &[]);
    let rules: BTreeSet<String> = found(&report).into_iter().map(|(rule, ..)| rule).collect();
    assert_eq!((code, rules), (78, ["invalid".to_owned()].into()));
}

#[test]
fn people_and_build_servers_read_the_same_findings() {
    let file = Path::new("tests/it/audit/redirect-uri-http.yaml");
    let (_, text) = validate(file, &[]);
    assert_eq!(
        text,
        "tests/it/audit/redirect-uri-http.yaml:7:19: error[redirect-uri-http] environments.prod.redirect_uri: is plain \
         http: an authorization code would cross the network in clear\n  fix: register and write an https address, or \
         one on 127.0.0.1 or [::1] for an app on the same machine\n\n1 probe: 1 error\n"
    );
    let (_, text) = validate(file, &["--format", "github"]);
    assert_eq!(
        text,
        "::error file=tests/it/audit/redirect-uri-http.yaml,line=7,col=19,title=redirect-uri-http\
         ::environments.prod.redirect_uri: is plain http: an authorization code would cross the network in clear%0A\
         register and write an https address, or one on 127.0.0.1 or [::1] for an app on the same machine\n"
    );
    let (_, text) = validate(
        Path::new("tests/it/audit/timeout-short.yaml"),
        &["--format", "github"],
    );
    assert!(text.starts_with("::notice file="), "{text}");
    let (_, text) = validate(file, &["--format", "junit"]);
    assert!(text.contains("type=\"redirect-uri-http\""), "{text}");
}

/// The table of `docs/audit.md` is made from the rules: `UPDATE_DOCS=1 cargo test --test it audit`.
#[test]
fn the_documents_list_every_rule_as_it_is() {
    const START: &str = "<!-- the rules, made by a test -->\n";
    let path = "docs/audit.md";
    let text = fs::read_to_string(path).unwrap();
    let (before, _) = text.split_once(START).unwrap();
    let mut table = String::from(
        "| rule | severity | what it finds | what to do |\n| --- | --- | --- | --- |\n",
    );
    let mut online = table.clone();
    for rule in rules() {
        let row = format!(
            "| `{}` | {} | {} | {} |\n",
            rule.id,
            rule.severity.as_str(),
            rule.what,
            rule.fix
        );
        if rule.is_online() {
            &mut online
        } else {
            &mut table
        }
        .push_str(&row);
    }
    let current = format!("{before}{START}\n{table}\nWith `--online`:\n\n{online}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, &current).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == current,
        "{path} is old; run the tests once with UPDATE_DOCS=1"
    );
    let by_severity: BTreeMap<Severity, usize> = rules().fold(BTreeMap::new(), |mut all, rule| {
        *all.entry(rule.severity).or_default() += 1;
        all
    });
    assert_eq!(by_severity.len(), 3);
}
