//! Where the files go, and how they name each other.

use std::io;
use std::path::{Path, PathBuf, absolute};

use super::write::Typed;
use crate::secret::SecretRef;

/// The files of one `init`.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) daemon: PathBuf,
    pub(super) probe: PathBuf,
    /// Folder of the daemon file, from the root.
    folder: PathBuf,
}

impl Places {
    /// `name` is that of the probe file, without its ending.
    pub(super) fn new(daemon: PathBuf, name: &str) -> io::Result<Self> {
        let folder = daemon.parent().unwrap_or(Path::new("")).to_owned();
        let probe = folder.join("probes").join(format!("{name}.yaml"));
        let whole = match folder.as_os_str().is_empty() {
            true => std::env::current_dir()?,
            false => absolute(&folder)?,
        };
        Ok(Self {
            daemon,
            probe,
            folder: whole,
        })
    }

    /// Whether nothing is there that would be lost; names all that is. A daemon file that is there stays as it is.
    pub(super) fn are_free(&self, force: bool, typed: &[Typed]) -> bool {
        if force {
            return true;
        }
        let mut files = vec![&self.probe];
        files.extend(typed.iter().map(|typed| &typed.path));
        let taken: Vec<&PathBuf> = files.into_iter().filter(|path| path.exists()).collect();
        for path in &taken {
            eprintln!(
                "authcanary: {} is there already: choose another --name, or replace it by --force",
                path.display()
            );
        }
        taken.is_empty()
    }

    /// Whether the daemon file is found without being named.
    pub(super) fn is_usual(&self) -> bool {
        self.daemon == Path::new("authcanary.yaml")
    }

    /// A path as the daemon file writes it.
    pub(super) fn beside(&self, path: &Path) -> PathBuf {
        match self.inside(path) {
            Ok(inside) => inside,
            Err(whole) => whole,
        }
    }

    /// A reference as the probe file writes it, which stands one folder below.
    pub(super) fn as_seen(&self, reference: SecretRef) -> SecretRef {
        match reference {
            SecretRef::File(path) => SecretRef::File(match self.inside(&path) {
                Ok(inside) => Path::new("..").join(inside),
                Err(whole) => whole,
            }),
            other => other,
        }
    }

    /// From the folder of the daemon file; the whole path where it is elsewhere, or was given whole.
    fn inside(&self, path: &Path) -> Result<PathBuf, PathBuf> {
        if path.is_absolute() {
            return Err(path.to_owned());
        }
        let whole = absolute(path).map_err(|_| path.to_owned())?;
        match whole.strip_prefix(&self.folder) {
            Ok(inside) => Ok(inside.to_owned()),
            Err(_) => Err(whole),
        }
    }
}

/// Whether a part of a probe's name can also be the name of a file.
pub(super) fn is_name(text: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) {
        true => Ok(()),
        false => Err(
            "a name has letters, digits, dashes, underscores and dots, and begins with a letter or digit",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_written_as_the_files_see_them() {
        let here = std::env::current_dir().unwrap();
        let places = Places::new("conf/authcanary.yaml".into(), "kc").unwrap();
        assert_eq!(places.probe, Path::new("conf/probes/kc.yaml"));
        assert_eq!(places.beside(Path::new("conf/ca.pem")), Path::new("ca.pem"));
        assert_eq!(places.beside(Path::new("ca.pem")), here.join("ca.pem"));
        assert_eq!(
            places.beside(Path::new("/etc/ca.pem")),
            Path::new("/etc/ca.pem")
        );
        let seen = |path: &str| places.as_seen(SecretRef::File(path.into()));
        assert_eq!(
            seen("conf/secrets/kc"),
            SecretRef::File("../secrets/kc".into())
        );
        assert_eq!(seen("/run/kc"), SecretRef::File("/run/kc".into()));
        assert_eq!(
            places.as_seen(SecretRef::Env("A".to_owned())),
            SecretRef::Env("A".to_owned())
        );
    }

    #[test]
    fn a_name_never_leaves_its_folder() {
        assert!(is_name("keycloak-2.eu").is_ok());
        for name in ["", "../x", "a/b", ".x", "a b", "a\n"] {
            assert!(is_name(name).is_err(), "{name}");
        }
    }
}
