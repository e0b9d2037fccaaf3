use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// Longer ones are no longer read at three in the morning.
const LONGEST_LINES: usize = 125;

/// Paragraphs of fewer characters may say the same: there are only so many ways to say "ask the network team".
const LONG_PARAGRAPH: usize = 100;

/// Names of providers as probe files and the rules of the verdict write them.
const SLUGS: [&str; 42] = [
    "amazon-lwa",
    "apigee",
    "apple",
    "arcgis",
    "atlassian",
    "auth0",
    "authentik",
    "aws-cognito",
    "azure-ad-b2c",
    "box",
    "dex",
    "dropbox",
    "facebook",
    "fitbit",
    "freshdesk",
    "github",
    "gitlab",
    "google",
    "hubspot",
    "keycloak",
    "kong",
    "linkedin",
    "microsoft-account",
    "microsoft-entra",
    "node-oidc-provider",
    "okta",
    "openiddict",
    "ory-hydra",
    "paypal",
    "salesforce",
    "servicenow",
    "slack",
    "strava",
    "stripe",
    "tiktok",
    "truelayer",
    "twitch",
    "wechat",
    "withings",
    "x-twitter",
    "zoho",
    "zoom",
];

/// Everything that is printed or served, by file name.
fn files() -> Vec<(String, &'static str)> {
    let classes = Class::all().map(|class| (format!("{class}.md"), text(class)));
    let common = ("README.md".to_owned(), COMMON);
    classes.chain([common]).collect()
}

/// Lines with whether they stand inside a fenced block.
fn lines(text: &'static str) -> impl Iterator<Item = (bool, &'static str)> {
    let mut inside = false;
    text.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        (inside || is_fence, line)
    })
}

fn prose(text: &'static str) -> String {
    let lines = lines(text).filter(|(code, _)| !code).map(|(_, line)| line);
    lines.collect::<Vec<_>>().join("\n")
}

/// The fenced blocks, without their fences.
fn code(text: &'static str) -> String {
    let lines = lines(text).filter(|(code, line)| *code && !line.trim_start().starts_with("```"));
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

fn headings(text: &'static str, mark: &str) -> Vec<&'static str> {
    lines(text)
        .filter(|(code, _)| !code)
        .filter_map(|(_, line)| line.strip_prefix(mark))
        .collect()
}

/// What stands under a heading, up to the next one of its rank.
fn section(text: &'static str, heading: &str) -> &'static str {
    let start = text.find(&format!("\n## {heading}\n")).unwrap();
    let rest = &text[start + 1..];
    let body = rest.split_once('\n').unwrap().1;
    body.find("\n## ").map_or(body, |end| &body[..end]).trim()
}

#[test]
fn each_has_its_own_name_and_every_section_in_order() {
    for class in Class::all() {
        assert_eq!(headings(text(class), "# "), [class.as_str()]);
        assert_eq!(headings(text(class), "## "), SECTIONS, "{class}");
        for heading in SECTIONS {
            assert!(
                !section(text(class), heading).is_empty(),
                "{class}: {heading}"
            );
        }
    }
}

#[test]
fn the_meaning_is_one_sentence() {
    for class in Class::all() {
        let meaning = section(text(class), "What it means").replace('\n', " ");
        let ends = meaning.matches(". ").count();
        assert!(meaning.ends_with('.') && ends == 0, "{class}: {meaning}");
    }
}

#[test]
fn causes_are_numbered_and_users_get_a_sentence() {
    for class in Class::all() {
        let causes = section(text(class), "Likely causes");
        assert!(causes.starts_with("1. **"), "{class}");
        assert!(
            causes.contains("\n3. **"),
            "{class} has fewer than three causes"
        );
        assert!(
            section(text(class), "Tell").contains("\n> "),
            "{class} has nothing to say to users"
        );
        let sure = section(text(class), "Be sure");
        assert!(
            sure.contains("```sh\n"),
            "{class} has no command to be sure by"
        );
    }
}

#[test]
fn they_are_short() {
    for (file, text) in files() {
        let count = text.lines().count();
        assert!(
            count <= LONGEST_LINES || file == "README.md",
            "{file} has {count} lines"
        );
        for (_, line) in lines(text) {
            assert!(line.chars().count() <= 120, "{file}: {line}");
        }
    }
}

#[test]
fn notes_are_on_known_providers_once_each_and_in_order() {
    for class in Class::all() {
        let providers = providers(class);
        assert_eq!(
            headings(text(class), "### "),
            providers,
            "{class}: only under Providers"
        );
        assert!(
            providers.is_sorted_by(|a, b| a < b),
            "{class}: {providers:?}"
        );
        for slug in providers {
            assert!(SLUGS.contains(&slug), "{class}: {slug}");
        }
    }
}

/// Paragraphs and items of lists, in one line each.
fn paragraphs(text: &'static str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in prose(text).lines() {
        let is_item = line.starts_with("- ") || line.starts_with(|c: char| c.is_ascii_digit());
        if line.is_empty() || is_item {
            paragraphs.push(String::new());
        }
        let paragraph = paragraphs.last_mut().expect("there is one from the start");
        paragraph.extend([line.trim(), " "]);
    }
    paragraphs
}

#[test]
fn no_two_say_the_same_at_length() {
    let mut seen: HashMap<String, String> = HashMap::new();
    for (file, text) in files() {
        let long = |paragraph: &String| paragraph.len() >= LONG_PARAGRAPH;
        for paragraph in paragraphs(text).into_iter().filter(long) {
            if let Some(other) = seen.insert(paragraph.clone(), file.clone()) {
                panic!("{file} and {other} share: {paragraph}");
            }
        }
    }
    assert!(seen.len() > 500, "only {} were found", seen.len());
}

#[test]
fn links_lead_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)]*)\)").unwrap();
    let anchors: Vec<String> = headings(COMMON, "## ")
        .iter()
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    for (file, text) in files() {
        for found in link.captures_iter(&prose(text)) {
            let (target, anchor) = found[1].split_once('#').unwrap_or((&found[1], ""));
            let own = target.is_empty() && file == "README.md";
            let good =
                own || target == "README.md" || files().iter().any(|(name, _)| name == target);
            assert!(good, "{file} links to {target}");
            assert!(
                anchor.is_empty() || anchors.iter().any(|known| known == anchor),
                "{file}: #{anchor}"
            );
        }
    }
}

#[test]
fn the_list_of_all_classes_is_whole() {
    for class in Class::all() {
        assert!(
            COMMON.contains(&format!("[{class}]({class}.md)")),
            "{class} is missing"
        );
    }
}

#[test]
fn commands_can_be_pasted() {
    for (file, text) in files() {
        let mut shell = Command::new("sh")
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let script = code(text);
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        let output = shell.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {complaint}\n{script}");
    }
}

/// A placeholder that nobody sets is an empty text at three in the morning.
#[test]
fn placeholders_are_explained() {
    let used = regex::Regex::new(r"\$\{?([A-Z_]+)\b").unwrap();
    let set = regex::Regex::new(r"(?m)\b([A-Z_]+)=|read -rs ([A-Z_]+)").unwrap();
    let names = |text: &str| -> Vec<String> {
        set.captures_iter(text)
            .filter_map(|found| found.get(1).or(found.get(2)))
            .map(|name| name.as_str().to_owned())
            .collect()
    };
    let common = names(&code(COMMON));
    for (file, text) in files() {
        let own = names(&code(text));
        for found in used.captures_iter(&code(text)) {
            let name = &found[1];
            // `$VERIFIER` is a value of the reader's own that the text asks for.
            let known = own.iter().chain(&common).any(|set| set == name) || name == "VERIFIER";
            assert!(known, "{file}: ${name}");
        }
    }
}

#[test]
fn one_provider_s_notes_come_alone() {
    let whole = for_provider(Class::PkceMismatch, None);
    assert_eq!(whole, text(Class::PkceMismatch));
    let google = for_provider(Class::PkceMismatch, Some("google"));
    assert!(google.starts_with("# pkce_mismatch\n") && google.contains("\n## Escalate\n"));
    assert!(google.contains("\n### google\n") && google.contains("Missing code verifier"));
    assert!(!google.contains("### okta") && !google.contains("AADSTS"));
    let last = providers(Class::PkceMismatch).pop().unwrap();
    assert!(for_provider(Class::PkceMismatch, Some(last)).ends_with(".\n"));
}

#[test]
fn an_unknown_provider_is_told_and_not_repeated() {
    let text = for_provider(Class::PkceMismatch, Some("<script>"));
    assert!(text.contains("no notes on this provider") && text.contains("google, keycloak"));
    assert!(!text.contains("<script>") && !text.contains("### "));
    let none = for_provider(Class::Internal, Some("google"));
    assert_eq!(none, super::text(Class::Internal));
}

#[test]
fn a_misspelt_class_is_recognised() {
    let check = |word, class| assert_eq!(nearest(word), class, "{word}");
    check("pkce_mismatch", Some(Class::PkceMismatch));
    check("pkce-missmatch", Some(Class::PkceMismatch));
    check("Invalid Client", Some(Class::InvalidClient));
    check("refresh_token_reuse", Some(Class::RefreshTokenReused));
    check("tls_expire", Some(Class::TlsExpired));
    check("zzz", None);
    check(&"x".repeat(10_000), None);
}
