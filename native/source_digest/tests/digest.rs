//! What changes a digest, and what does not.

use source_digest::Workspace;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const ROOT: &str = "[workspace.dependencies]\n\
    engine = { path = \"native/engine\" }\n\
    helper = { path = \"native/helper\" }\n\
    half = { version = \"2\" }\n\
    proptest = \"1\"\n";

const LOCK: &str = r#"version = 4

[[package]]
name = "crunchy"
version = "0.2.4"
checksum = "aa"

[[package]]
name = "engine"
version = "0.1.0"
dependencies = [
 "half",
 "helper",
 "proptest",
]

[[package]]
name = "glue"
version = "0.1.0"
dependencies = [
 "engine",
]

[[package]]
name = "half"
version = "2.7.1"
checksum = "bb"
dependencies = [
 "crunchy",
 "zerocopy 0.8.1",
]

[[package]]
name = "helper"
version = "0.1.0"

[[package]]
name = "proptest"
version = "1.0.0"
checksum = "cc"

[[package]]
name = "zerocopy"
version = "0.7.9"
checksum = "dd"

[[package]]
name = "zerocopy"
version = "0.8.1"
checksum = "ee"
"#;

const CRATES: [&str; 3] = ["engine", "glue", "helper"];

fn workspace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Cargo.toml", ROOT);
    write(folder.path(), "Cargo.lock", LOCK);
    let compiled = "half = { workspace = true }\nhelper = { workspace = true }\n";
    let only_tests = "[dev-dependencies]\nproptest = { workspace = true }\n";
    for (name, dependencies) in [
        ("engine", format!("[dependencies]\n{compiled}{only_tests}")),
        ("glue", "[dependencies]\nengine = { workspace = true }\n".to_owned()),
        ("helper", String::new()),
    ] {
        let manifest = format!("[package]\nname = \"{name}\"\n{dependencies}");
        write(folder.path(), &format!("native/{name}/Cargo.toml"), &manifest);
        write(folder.path(), &format!("native/{name}/src/lib.rs"), &format!("//! {name}\n"));
        write(folder.path(), &format!("native/{name}/src/deep/part.rs"), "");
    }
    folder
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The digest of each of [`CRATES`].
fn digests(root: &Path) -> [String; 3] {
    let workspace = Workspace::open(root).unwrap();
    CRATES.map(|name| workspace.digest(&[(name, &[])]).unwrap())
}

/// Which digests a change changes.
fn changed(change: impl FnOnce(&Path)) -> Vec<&'static str> {
    let folder = workspace();
    let before = digests(folder.path());
    change(folder.path());
    let after = digests(folder.path());
    (0..CRATES.len()).filter(|&i| before[i] != after[i]).map(|i| CRATES[i]).collect()
}

fn replace(root: &Path, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(root.join(path)).unwrap();
    assert!(text.contains(from));
    write(root, path, &text.replace(from, to));
}

#[test]
fn every_checkout_has_the_same() {
    let (first, second) = (workspace(), workspace());
    let digests = digests(first.path());
    assert_eq!(digests, self::digests(second.path()));
    assert!(digests.iter().all(|digest| digest.len() == 64));
    assert!(digests.iter().flat_map(|digest| digest.chars()).all(|c| c.is_ascii_hexdigit()));
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn sources_count_for_their_crate_and_for_those_that_depend_on_it() {
    let all = ["engine", "glue", "helper"];
    assert_eq!(changed(|root| write(root, "native/helper/src/deep/part.rs", "//")), all);
    assert_eq!(changed(|root| write(root, "native/helper/src/new.rs", "")), all);
    assert_eq!(changed(|root| write(root, "native/helper/build.rs", "")), all);
    assert_eq!(changed(|root| write(root, "native/glue/src/lib.rs", "")), ["glue"]);
    let rename = |root: &Path| {
        let folder = root.join("native/engine/src");
        fs::rename(folder.join("deep/part.rs"), folder.join("part.rs")).unwrap();
    };
    assert_eq!(changed(rename), ["engine", "glue"]);
    let manifest = |root: &Path| replace(root, "native/glue/Cargo.toml", "name", "edition");
    assert_eq!(changed(manifest), ["glue"]);
}

#[test]
fn versions_and_features_of_dependencies_count() {
    let lock = |from: &'static str, to: &'static str| {
        changed(move |root| replace(root, "Cargo.lock", from, to))
    };
    assert_eq!(lock("2.7.1", "2.7.2"), ["engine", "glue"]);
    assert_eq!(lock("\"aa\"", "\"ab\""), ["engine", "glue"]);
    assert_eq!(lock("0.8.1", "0.8.2"), ["engine", "glue"]);
    let feature = |root: &Path| replace(root, "Cargo.toml", "\"2\"", "\"2\", features = [\"std\"]");
    assert_eq!(changed(feature), ["engine", "glue"]);
}

#[test]
fn tests_and_what_only_they_depend_on_do_not_count() {
    let none: [&str; 0] = [];
    assert_eq!(changed(|root| write(root, "native/engine/tests/all.rs", "")), none);
    assert_eq!(changed(|root| write(root, "native/engine/src/.lib.rs.swp", "")), none);
    assert_eq!(changed(|root| replace(root, "Cargo.lock", "1.0.0", "1.0.1")), none);
    assert_eq!(changed(|root| replace(root, "Cargo.lock", "\"dd\"", "\"de\"")), none);
}

#[test]
fn dependencies_may_be_left_out() {
    let folder = workspace();
    let digest = || {
        let workspace = Workspace::open(folder.path()).unwrap();
        let with_glue = workspace.digest(&[("helper", &[]), ("glue", &["engine"])]).unwrap();
        (workspace.digest(&[("glue", &["engine"])]).unwrap(), with_glue)
    };
    let before = digest();
    write(folder.path(), "native/engine/src/lib.rs", "");
    assert_eq!(before, digest());
    write(folder.path(), "native/helper/src/lib.rs", "");
    assert_eq!(before.0, digest().0);
    assert_ne!(before.1, digest().1);
}

#[test]
fn what_can_change_a_digest_is_watched() {
    let folder = workspace();
    write(folder.path(), "native/helper/build.rs", "");
    let watched = Workspace::open(folder.path()).unwrap().watched(&[("glue", &[])]).unwrap();
    let expected = [
        "Cargo.toml",
        "Cargo.lock",
        "native/engine/src",
        "native/engine/Cargo.toml",
        "native/glue/src",
        "native/glue/Cargo.toml",
        "native/helper/src",
        "native/helper/Cargo.toml",
        "native/helper/build.rs",
    ];
    assert_eq!(watched, expected.map(PathBuf::from));
}

#[test]
fn refuses_what_it_cannot_cover() {
    let refusal = |change: &dyn Fn(&Path)| {
        let folder = workspace();
        change(folder.path());
        let workspace = Workspace::open(folder.path()).unwrap();
        workspace.digest(&[("engine", &[])]).unwrap_err().to_string()
    };
    let unlocked = refusal(&|root| replace(root, "Cargo.lock", " \"half\",\n", ""));
    assert_eq!(unlocked, "expected engine with half in Cargo.lock, got none");
    let undeclared = refusal(&|root| replace(root, "Cargo.toml", "half =", "full ="));
    assert_eq!(undeclared, "expected half in [workspace.dependencies], got none");
    let versioned = refusal(&|root| {
        replace(root, "native/engine/Cargo.toml", "half = { workspace = true }", "half = \"2\"");
    });
    assert_eq!(versioned, "expected `half = { workspace = true }`, got `half = \"2\"`");
    let gone = refusal(&|root| fs::remove_dir_all(root.join("native/helper/src")).unwrap());
    assert!(gone.contains("native/helper/src: "), "{gone}");
}
