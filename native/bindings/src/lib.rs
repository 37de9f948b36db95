//! The only crate that knows Python: one submodule for each Rust crate.
//!
//! It converts, checks, releases the GIL, and does nothing else.

use pyo3::prelude::*;

/// Rust kernels behind the default plugins.
#[pymodule]
#[pyo3(module = "aios_plugins")]
mod _native {
    use super::*;

    #[pymodule_export]
    use crate::quant::arrow_quant;
    #[pymodule_export]
    use crate::store::arrow_storage;
    #[pymodule_export]
    use crate::tokenizer::fast_tokenizer;
    #[pymodule_export]
    use crate::vectors::vector_search;

    /// Puts every submodule into `sys.modules`, so that `import` finds it, with the digest of
    /// its sources.
    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let modules = m.py().import("sys")?.getattr("modules")?;
        for (name, digest) in [
            ("arrow_quant", env!("SOURCE_DIGEST_ARROW_QUANT")),
            ("arrow_storage", env!("SOURCE_DIGEST_ARROW_STORAGE")),
            ("fast_tokenizer", env!("SOURCE_DIGEST_FAST_TOKENIZER")),
            ("vector_search", env!("SOURCE_DIGEST_VECTOR_SEARCH")),
        ] {
            let module = m.getattr(name)?;
            module.setattr("__source_digest__", digest)?;
            modules.set_item(format!("aios_plugins._native.{name}"), module)?;
        }
        Ok(())
    }
}

mod any;
mod arrays;
mod choices;
mod matrix;
mod padded;
mod quant;
mod schemes;
mod snapshot;
mod store;
mod texts;
mod tokenizer;
mod vectors;
mod weights;
