//! The few lines of `Cargo.toml` that name dependencies. All manifests here write one a line.

use crate::invalid;
use std::io;

/// Names of what a crate depends on, tests left out.
pub(crate) fn dependencies(manifest: &str) -> io::Result<Vec<&str>> {
    let compiled = |section: &str| {
        let kind = section.rsplit('.').next();
        kind.is_some_and(|kind| kind == "dependencies" || kind == "build-dependencies")
    };
    entries(manifest, compiled)
        .map(|(name, line)| match line.contains("workspace = true") {
            true => Ok(name),
            false => {
                Err(invalid(format!("expected `{name} = {{ workspace = true }}`, got `{line}`")))
            }
        })
        .collect()
}

/// The line of the root manifest that declares a dependency.
pub(crate) fn declaration<'a>(root: &'a str, name: &str) -> io::Result<&'a str> {
    entries(root, |section| section == "workspace.dependencies")
        .find_map(|(entry, line)| (entry == name).then_some(line))
        .ok_or_else(|| invalid(format!("expected {name} in [workspace.dependencies], got none")))
}

/// Name and line of each entry in sections that `accepted` is true for.
fn entries(manifest: &str, accepted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = accepted(section);
            return None;
        }
        let (name, _) = line.split_once(['=', '.'])?;
        (inside && !line.starts_with('#')).then_some((name.trim(), line))
    })
}
