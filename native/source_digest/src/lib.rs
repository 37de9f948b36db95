#![doc = include_str!("../README.md")]

mod lock;
mod manifest;

use lock::Lock;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The folder of a workspace that its crates are in, each under its name.
const CRATES: &str = "native";

/// A workspace whose crates are `native/NAME`, with its root manifest and lock file read.
pub struct Workspace {
    root: PathBuf,
    manifest: String,
    lock: Lock,
}

/// What a digest covers.
#[derive(Default)]
struct Covered {
    /// Each file by its path from the root.
    files: BTreeMap<String, Vec<u8>>,
    /// Each dependency of a crate, as the root manifest declares it, with its features.
    declared: BTreeSet<String>,
    /// Each package from a registry: name, version and checksum.
    locked: BTreeSet<String>,
    /// Each crate of the workspace.
    names: BTreeSet<String>,
}

impl Workspace {
    /// Read `Cargo.toml` and `Cargo.lock` of the folder `root`.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or `Cargo.lock` is not as cargo writes it.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        let manifest = read_text(&root.join("Cargo.toml"))?;
        let lock = Lock::parse(&read_text(&root.join("Cargo.lock"))?)?;
        Ok(Self { root, manifest, lock })
    }

    /// The SHA-256, in 64 hexadecimal digits, of all that these crates are compiled from.
    ///
    /// `crates` gives the name of each, and the dependencies that do not count for it.
    ///
    /// # Errors
    ///
    /// A crate is missing, cannot be read, or has a dependency that `Cargo.lock` or the root
    /// manifest does not name.
    pub fn digest(&self, crates: &[(&str, &[&str])]) -> io::Result<String> {
        let covered = self.cover(crates)?;
        let mut text = String::new();
        for (path, content) in &covered.files {
            text.push_str(&format!("{}  {path}\n", hex_digest(content)));
        }
        for line in covered.declared.iter().chain(&covered.locked) {
            text.push_str(line);
            text.push('\n');
        }
        Ok(hex_digest(text.as_bytes()))
    }

    /// Files and folders whose change can change the digest of these crates, from the root.
    ///
    /// # Errors
    ///
    /// As [`Workspace::digest`].
    pub fn watched(&self, crates: &[(&str, &[&str])]) -> io::Result<Vec<PathBuf>> {
        let mut paths = vec![PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock")];
        for name in self.cover(crates)?.names {
            let folder = Path::new(CRATES).join(name);
            let parts = ["src", "Cargo.toml", "build.rs"].map(|part| folder.join(part));
            paths.extend(parts.into_iter().filter(|path| self.root.join(path).exists()));
        }
        Ok(paths)
    }

    fn cover(&self, crates: &[(&str, &[&str])]) -> io::Result<Covered> {
        let mut covered = Covered::default();
        for (name, without) in crates {
            self.add_crate(name, without, &mut covered)?;
        }
        Ok(covered)
    }

    fn add_crate(&self, name: &str, without: &[&str], covered: &mut Covered) -> io::Result<()> {
        if !covered.names.insert(name.to_owned()) {
            return Ok(());
        }
        let folder = self.root.join(CRATES).join(name);
        let manifest = read_text(&folder.join("Cargo.toml"))?;
        self.add_files(&folder.join("src"), covered)?;
        self.add_file(&folder.join("Cargo.toml"), covered)?;
        if folder.join("build.rs").exists() {
            self.add_file(&folder.join("build.rs"), covered)?;
        }
        for dependency in manifest::dependencies(&manifest)? {
            if without.contains(&dependency) {
                continue;
            }
            covered.declared.insert(manifest::declaration(&self.manifest, dependency)?.to_owned());
            if self.root.join(CRATES).join(dependency).is_dir() {
                self.add_crate(dependency, without, covered)?;
            } else {
                self.lock.add_closure(name, dependency, &mut covered.locked)?;
            }
        }
        Ok(())
    }

    fn add_files(&self, folder: &Path, covered: &mut Covered) -> io::Result<()> {
        for entry in fs::read_dir(folder).map_err(|e| at(folder, &e))? {
            let path = entry?.path();
            // Editors leave hidden files, which are no sources.
            if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            if path.is_dir() {
                self.add_files(&path, covered)?;
            } else {
                self.add_file(&path, covered)?;
            }
        }
        Ok(())
    }

    fn add_file(&self, path: &Path, covered: &mut Covered) -> io::Result<()> {
        let relative = path.strip_prefix(&self.root).map_err(io::Error::other)?;
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        covered.files.insert(parts.join("/"), fs::read(path).map_err(|e| at(path, &e))?);
        Ok(())
    }
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_text(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|e| at(path, &e))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
