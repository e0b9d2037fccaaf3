//! Rules of the house that a compiler does not hold.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Top modules in the order of `lib.rs`.
fn modules() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(ROOT).join("src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The text without its unit tests, which may look at what they like.
fn product_code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn each_module_imports_only_from_those_above_it() {
    let modules = modules();
    let place: HashMap<&str, usize> = modules
        .iter()
        .enumerate()
        .map(|(index, name)| (name.as_str(), index))
        .collect();
    let src = Path::new(ROOT).join("src");
    let mut wrong = Vec::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap();
        let first = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        let own = first.trim_end_matches(".rs");
        let Some(&here) = place.get(own) else {
            continue;
        };
        for part in product_code(&path).split("crate::").skip(1) {
            let name: String = part
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if place.get(name.as_str()).is_some_and(|&there| there > here) {
                wrong.push(format!(
                    "{} imports {name}, which stands below {own}",
                    inside.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_of_the_library_belongs_to_a_module_of_the_map() {
    let modules = modules();
    for path in sources(&Path::new(ROOT).join("src")) {
        let inside = path
            .strip_prefix(Path::new(ROOT).join("src"))
            .unwrap()
            .to_owned();
        let first = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .to_owned();
        let own = first.trim_end_matches(".rs");
        let known = ["lib", "main"].contains(&own) || modules.iter().any(|name| name == own);
        assert!(known, "{} is not in lib.rs", inside.display());
    }
}
