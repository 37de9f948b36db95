//! The only crate that knows Python: one submodule for each Rust crate.

use pyo3::prelude::*;

/// Rust kernels behind the default plugins.
#[pymodule]
#[pyo3(module = "aios_plugins")]
mod _native {
    use super::*;

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
