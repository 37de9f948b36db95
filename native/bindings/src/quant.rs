//! Binds `arrow_quant`.

/// Quantized weights.
#[pyo3::pymodule]
#[pyo3(module = "aios_plugins._native")]
pub(crate) mod arrow_quant {
    use ::arrow_quant as engine;
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    pyo3::create_exception!(
        aios_plugins._native.arrow_quant,
        ArrowQuantError,
        PyValueError,
        "A weight cannot be quantized, or bytes are none; the message says why."
    );

    #[pymodule_export]
    use crate::matrix::QuantizedMatrix;

    #[pymodule_export]
    const LAYOUT: &str = engine::LAYOUT;

    pub(crate) fn error(error: engine::Error) -> PyErr {
        ArrowQuantError::new_err(error.to_string())
    }

    pub(crate) fn problem(message: String) -> PyErr {
        ArrowQuantError::new_err(message)
    }

    /// Instruction sets of this machine that kernels are written for, the fastest last.
    #[pyfunction]
    fn instruction_sets() -> Vec<&'static str> {
        engine::Level::available().into_iter().map(engine::Level::name).collect()
    }

    /// For each tensor the choice that together do the least damage within a budget.
    #[pyfunction]
    #[pyo3(signature = (weights, bits, damage, *, budget))]
    fn plan(
        weights: Vec<usize>,
        bits: Vec<Vec<f64>>,
        damage: Vec<Vec<f64>>,
        budget: f64,
    ) -> PyResult<Vec<usize>> {
        let same = |a: usize, b: usize| a == b;
        if !same(weights.len(), bits.len()) || !same(weights.len(), damage.len()) {
            let lengths = (weights.len(), bits.len(), damage.len());
            let message = format!(
                "expected weights, bits and damage of as many tensors each, got {lengths:?}"
            );
            return Err(problem(message));
        }
        let mut tensors = Vec::with_capacity(weights.len());
        for (t, ((weights, bits), damage)) in weights.into_iter().zip(bits).zip(damage).enumerate()
        {
            if !same(bits.len(), damage.len()) {
                let lengths = (bits.len(), damage.len());
                let message = format!(
                    "tensor {t}: expected bits and damage of as many choices each, got {lengths:?}"
                );
                return Err(problem(message));
            }
            let pairs = bits.into_iter().zip(damage);
            let choices = pairs.map(|(bits, damage)| engine::plan::Choice { bits, damage });
            tensors.push((weights, choices.collect()));
        }
        engine::plan(&tensors, budget).map_err(error)
    }

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("ArrowQuantError", m.py().get_type::<ArrowQuantError>())
    }
}
