//! What `Cargo.lock` pins. Cargo writes it, so its lines have one form.

use crate::invalid;
use std::collections::BTreeSet;
use std::io;

/// All packages of a lock file.
pub(crate) struct Lock(Vec<Package>);

#[derive(Default)]
struct Package {
    name: String,
    version: String,
    checksum: String,
    /// Each as `name`, or `name version` where there are several versions.
    dependencies: Vec<String>,
}

impl Lock {
    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        let packages = text.split("[[package]]").skip(1).map(Package::parse);
        packages.collect::<io::Result<_>>().map(Self)
    }

    /// Add the package `dependency` of the package `of`, and all that it depends on itself.
    pub(crate) fn add_closure(
        &self,
        of: &str,
        dependency: &str,
        locked: &mut BTreeSet<String>,
    ) -> io::Result<()> {
        let missing =
            || invalid(format!("expected {of} with {dependency} in Cargo.lock, got none"));
        let package = self.0.iter().find(|package| package.name == of).ok_or_else(missing)?;
        let named = |entry: &&String| entry.split(' ').next() == Some(dependency);
        let entry = package.dependencies.iter().find(named).ok_or_else(missing)?;
        let mut rest = vec![entry];
        while let Some(entry) = rest.pop() {
            let mut words = entry.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            let fits = |p: &&Package| p.name == name && version.is_none_or(|v| p.version == v);
            let package = self.0.iter().find(fits).ok_or_else(missing)?;
            if locked.insert(package.line()) {
                rest.extend(&package.dependencies);
            }
        }
        Ok(())
    }
}

impl Package {
    fn parse(block: &str) -> io::Result<Self> {
        let mut package = Self::default();
        for line in block.lines().map(str::trim) {
            let quoted = || line.split('"').nth(1).unwrap_or_default().to_owned();
            match line.split(' ').next() {
                Some("name") => package.name = quoted(),
                Some("version") => package.version = quoted(),
                Some("checksum") => package.checksum = quoted(),
                Some(word) if word.starts_with('"') => package.dependencies.push(quoted()),
                _ => {}
            }
        }
        match package.name.is_empty() || package.version.is_empty() {
            true => Err(invalid(format!("expected a package of Cargo.lock, got `{block}`"))),
            false => Ok(package),
        }
    }

    fn line(&self) -> String {
        format!("{} {} {}", self.name, self.version, self.checksum)
    }
}
