//! Computes a digest of the sources behind each submodule, for keys of results.

use source_digest::Workspace;
use std::error::Error;
use std::path::Path;

/// The crates that have a submodule each.
const SUBMODULES: [&str; 4] = ["arrow_quant", "arrow_storage", "fast_tokenizer", "vector_search"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = std::env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&here).ancestors().nth(2).ok_or("expected native/bindings in a folder")?;
    let workspace = Workspace::open(root)?;
    for path in workspace.watched(&[("bindings", &[])])? {
        // Cargo takes them from the folder of this crate.
        println!("cargo:rerun-if-changed=../../{}", path.display());
    }
    let not_glue = [&SUBMODULES[..], &["source_digest"]].concat();
    for name in SUBMODULES {
        // Each depends on all of the glue, but not on the crates of the others.
        let digest = workspace.digest(&[(name, &[]), ("bindings", &not_glue)])?;
        println!("cargo:rustc-env=SOURCE_DIGEST_{}={digest}", name.to_uppercase());
    }
    Ok(())
}
