//! Files: what is read from good ones, and what is said about bad ones.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use authcanary::audit::disk::Disk;
use authcanary::audit::{Severity, audit};
use authcanary::config::{FileKind, load, read as read_whole, schema};
use authcanary::probe::{Cadence, Login, LoginAct, Target, Value};
use authcanary::secret::SecretRef;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Every file of `tests/it/bad` breaks one rule; the words about it stand beside it.
#[test]
fn every_bad_file_is_answered_in_plain_words() {
    let mut files: Vec<PathBuf> = fs::read_dir("tests/it/bad")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    assert!(files.len() > 60, "{}", files.len());
    for file in files {
        let faults = load(&file)
            .expect_err(&file.display().to_string())
            .to_string();
        assert!(
            !faults.contains("hunter2"),
            "{} shows a secret:\n{faults}",
            file.display()
        );
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        insta::with_settings!({
            snapshot_path => "bad",
            prepend_module_to_snapshot => false,
            omit_expression => true,
            input_file => &file,
        }, {
            insta::assert_snapshot!(name, faults);
        });
    }
}

/// Reads `text` as a file of its own in an empty folder.
fn read(text: &str) -> authcanary::config::Daemon {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.yaml");
    fs::write(&file, text).unwrap();
    load(&file).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

#[test]
fn a_daemon_file_brings_its_probes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authcanary.yaml");
    fs::create_dir(folder.path().join("probes")).unwrap();
    fs::copy(
        "probes/generic.yaml",
        folder.path().join("probes/generic.yaml"),
    )
    .unwrap();
    let text = "version: 1\nlocation: fra1\nprobes: [probes/*.yaml, probes/generic.yaml, '*.yaml', probes/gen*]\n\
                store: {path: data, keep: {runs: 10d}}\nhttp: {ca_file: ca.pem}\n";
    fs::write(&file, text.replace("'*.yaml', ", "")).unwrap();
    let daemon = load(&file).unwrap();
    assert_eq!(daemon.location, "fra1");
    assert_eq!(daemon.store.path, folder.path().join("data"));
    assert_eq!(daemon.store.keep.runs, Duration::from_secs(864_000));
    assert_eq!(daemon.store.keep.evidence, Duration::from_secs(604_800));
    assert_eq!(daemon.http.ca_file, Some(folder.path().join("ca.pem")));
    assert_eq!(daemon.source, file);
    assert_eq!(
        daemon.files,
        [file.clone(), folder.path().join("probes/generic.yaml")]
    );
    let ids: Vec<&str> = daemon
        .probes
        .iter()
        .map(|probe| probe.id.as_str())
        .collect();
    assert_eq!(ids, ["generic/prod"]);
    // The daemon file is not taken for a probe file, however it is found.
    fs::write(&file, text).unwrap();
    assert!(
        load(&file)
            .unwrap_err()
            .to_string()
            .contains("probes[2]: no file is found by this")
    );
}

#[test]
fn settings_of_a_probe_win_over_those_of_its_environment_and_its_file() {
    let daemon = read(
        "version: 1\nprovider: auth0\ncron: '0 8 * * MON'\ntimezone: Europe/Berlin\nscopes: [openid, email]\n\
         redirect_uri: https://app.example.com/cb\nclient: {id: web, secret: {file: secrets/web}}\n\
         account: {username: canary, password: {env: PASSWORD}}\nenvironments:\n  \
         prod: {issuer: https://a.example.com/}\n  \
         staging:\n    issuer: https://b.example.com\n    every: 20s\n    probes:\n      \
         public: {client: {id: public, auth: none}}\n      \
         robot: {flow: client_credentials, every: 1m, timeout: 10s, scopes: []}\n",
    );
    let [prod, public, robot] = daemon.probes.as_slice() else {
        panic!("{:?}", daemon.probes);
    };
    assert_eq!(prod.id.as_str(), "auth0/prod");
    let Cadence::Cron { pattern, timezone } = &prod.cadence else {
        panic!("{:?}", prod.cadence);
    };
    assert_eq!(
        (pattern.as_str(), timezone.iana_name()),
        ("0 8 * * MON", Some("Europe/Berlin"))
    );
    assert_eq!(
        prod.server.issuer.as_deref(),
        Some("https://a.example.com/")
    );
    assert_eq!(
        (prod.timeout, prod.step_timeout),
        (Duration::from_secs(60), Duration::from_secs(30))
    );
    let Some(SecretRef::File(secret)) = &prod.client.secret else {
        panic!("{:?}", prod.client);
    };
    assert!(
        secret.is_absolute() && secret.ends_with("secrets/web"),
        "{}",
        secret.display()
    );

    assert_eq!(public.id.as_str(), "auth0/staging/public");
    assert_eq!(
        (public.client.id.as_str(), &public.client.secret),
        ("public", &None)
    );
    assert_eq!(public.cadence, Cadence::Every(Duration::from_secs(20)));
    assert_eq!(
        (public.timeout, public.step_timeout),
        (Duration::from_secs(20), Duration::from_secs(20))
    );
    assert_eq!(public.scopes, ["openid", "email"]);

    assert_eq!(robot.id.as_str(), "auth0/staging/robot");
    assert_eq!(robot.cadence, Cadence::Every(Duration::from_secs(60)));
    assert_eq!(robot.timeout, Duration::from_secs(10));
    assert!(robot.scopes.is_empty());
}

#[test]
fn a_login_script_becomes_steps_with_their_lines() {
    let daemon = read(&format!(
        "{BASE}login:\n  - {{fill: '#user', with: account.username}}\n  - if: text=Code\n    fill: //input\n    \
         with: account.totp\n    within: 3s\n  - {{frame: top}}\n  - {{press: Enter}}\n"
    ));
    let Login::Steps(steps) = &daemon.probes[0].login else {
        panic!("{:?}", daemon.probes[0].login);
    };
    let first = LoginAct::Fill {
        target: Target::Css("#user".to_owned()),
        with: Value::Username,
    };
    let second = LoginAct::Fill {
        target: Target::XPath("//input".to_owned()),
        with: Value::Totp,
    };
    assert_eq!((&steps[0].act, steps[0].line), (&first, 11));
    assert_eq!((&steps[1].act, steps[1].line), (&second, 12));
    assert_eq!(steps[1].only_if, Some(Target::Text("Code".to_owned())));
    assert_eq!(steps[1].within, Some(Duration::from_secs(3)));
    assert_eq!(steps[2].act, LoginAct::Frame(None));
    assert_eq!(steps[3].act, LoginAct::Press("Enter".to_owned()));
}

/// A whole probe file that settings can be added to.
const BASE: &str = "version: 1\nprovider: generic\nenvironments:\n  prod:\n    issuer: https://sso.example.com\n    \
                    client: {id: canary, secret: {env: SECRET}}\n    redirect_uri: https://app.example.com/cb\n    \
                    account: {username: canary, password: {env: PASSWORD}, totp: {env: TOTP}}\n\n";

/// Not even a warning: whoever fills one in has then only their own to put right.
#[test]
fn shipped_probes_are_valid() {
    let mut seen = Vec::new();
    for entry in fs::read_dir("probes").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let reading = read_whole(&path);
        if let Some(faults) = reading.faults {
            panic!("{faults}");
        }
        let findings = audit(&read_whole(&path), &Disk::default(), None);
        let bad = |severity| matches!(severity, Severity::Error | Severity::Warning);
        let bad: Vec<_> = findings
            .iter()
            .filter(|finding| bad(finding.severity))
            .collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", path.display());
        for probe in &reading.daemon.unwrap().probes {
            assert_eq!(probe.provider, name);
            assert!(
                ["generic", "loopback"].contains(&name.as_str())
                    || authcanary::provider::find(&name).is_some_and(|known| known.name == name),
                "{name}"
            );
        }
        seen.push(name);
    }
    seen.sort();
    let expected = [
        "auth0",
        "generic",
        "github",
        "gitlab",
        "google",
        "keycloak",
        "loopback",
        "microsoft-entra",
        "okta",
        "salesforce",
        "slack",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn every_kind_of_channel_has_its_section() {
    let document = fs::read_to_string("docs/channels.md").unwrap();
    let schema = schema(Some(FileKind::Daemon));
    let kinds = schema["$defs"]["Channel"]["properties"]
        .as_object()
        .unwrap();
    for kind in kinds.keys() {
        assert!(
            document.contains(&format!("{kind}: ")) || document.contains(&format!("{kind}:\n")),
            "{kind}"
        );
    }
}

#[test]
fn every_key_is_documented() {
    let document = fs::read_to_string("docs/files.md").unwrap();
    let mut missing = Vec::new();
    keys(&schema(None), &mut |key| {
        // In backticks, alone or as the start of an example such as `verify: true`.
        if ![format!("`{key}`"), format!("`{key}:")]
            .iter()
            .any(|text| document.contains(text))
            && !document.contains(&format!("`{{{key}: "))
        {
            missing.push(key.to_owned());
        }
    });
    assert!(
        missing.is_empty(),
        "docs/files.md does not mention {}",
        missing.join(", ")
    );
}

/// Calls `found` with every key that the schema knows.
fn keys(schema: &Json, found: &mut impl FnMut(&str)) {
    match schema {
        Json::Object(map) => {
            for (word, below) in map {
                if let ("properties", Json::Object(properties)) = (word.as_str(), below) {
                    properties.keys().for_each(|key| found(key));
                    properties
                        .values()
                        .for_each(|property| keys(property, found));
                } else {
                    keys(below, found);
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

#[test]
fn shipped_schemas_are_those_of_this_version() {
    for (kind, path) in [
        (FileKind::Daemon, "docs/daemon.schema.json"),
        (FileKind::Probe, "docs/probe.schema.json"),
    ] {
        let current = format!("{:#}\n", schema(Some(kind)));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(path, &current).unwrap();
        }
        let shipped = fs::read_to_string(path).unwrap();
        assert!(
            shipped == current,
            "{path} is old; run the tests once with UPDATE_SCHEMAS=1"
        );
    }
}

#[test]
fn one_schema_takes_either_file() {
    let validator = jsonschema::validator_for(&schema(None)).unwrap();
    let daemon = serde_json::json!({"version": 1, "location": "fra1"});
    let probe =
        serde_json::json!({"version": 1, "provider": "generic", "environments": {"prod": {}}});
    let neither = serde_json::json!({"version": 1, "provider": "generic"});
    let verdicts = [&daemon, &probe, &neither].map(|file| validator.is_valid(file));
    assert_eq!(verdicts, [true, true, false]);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        folder.path().join("nowhere.yaml"),
        folder.path().to_owned(),
        PathBuf::from("/dev/zero"),
    ] {
        let faults = load(&path).unwrap_err().to_string();
        assert!(
            faults.starts_with(&format!("{}:", path.display())),
            "{faults}"
        );
    }
}

/// Texts of the largest size that is read, made to take the most of a parser.
#[test]
fn hostile_files_are_answered() {
    let size = 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.yaml");
    let environments: String = (0..8000)
        .map(|n| format!("  e{n}: {{issuer: http://x, client: {{id: a}}}}\n"))
        .collect();
    let mut texts: Vec<String> = [
        "[", "{", "- ", "? ", "a:", "!a ", "&a ", "\"", "a: b\n", "- *a\n", "|\n", "# \n",
    ]
    .iter()
    .map(|part| part.repeat(size / part.len()))
    .collect();
    texts.push(format!(
        "version: 1\nprovider: x\nenvironments:\n{environments}"
    ));
    texts.push((0..70_000).map(|n| format!("k{n}: 1\n")).collect());
    for text in texts {
        fs::write(&file, &text).unwrap();
        let start: String = text.chars().take(20).collect();
        assert!(load(&file).is_err(), "{start}");
    }
    fs::write(
        &file,
        format!("{BASE}{}", "# far too much\n".repeat(size / 10)),
    )
    .unwrap();
    assert!(
        load(&file)
            .unwrap_err()
            .to_string()
            .contains("larger than 1 MiB")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a hand, a merge or a disk does to a good file: an answer, and no panic.
    #[test]
    fn a_damaged_file_gives_an_answer(
        which in 0_usize..3,
        from in 0_usize..1500,
        length in 0_usize..40,
        patch in "[-:?&*!|>%@`{}\\[\\], \n\t\"'#a-z0-9~<.$\u{0}é]{0,12}",
    ) {
        let good = ["tests/it/bad/many.yaml", "probes/generic.yaml", "tests/it/bad/daemon_channels.yaml"][which];
        let mut text = fs::read(good).unwrap();
        let from = from % text.len();
        let to = (from + length).min(text.len());
        text.splice(from..to, patch.into_bytes());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.yaml");
        fs::write(&file, &text).unwrap();
        if let Err(faults) = load(&file) {
            prop_assert!(faults.iter().count() > 0);
        }
    }
}
