//! Binds `fast_tokenizer`.

/// Byte-level BPE.
#[pyo3::pymodule]
#[pyo3(module = "aios_plugins._native")]
pub(crate) mod fast_tokenizer {
    use std::path::PathBuf;

    use ::fast_tokenizer as engine;
    use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;
    use pyo3::pybacked::PyBackedStr;
    use pyo3::types::PyBytes;

    pyo3::create_exception!(
        aios_plugins._native.fast_tokenizer,
        FastTokenizerError,
        PyValueError,
        "A tokenizer cannot be trained, loaded, saved or applied; the message says why."
    );

    #[pymodule_export]
    const MAX_VOCAB: usize = engine::MAX_VOCAB;
    #[pymodule_export]
    const MIN_VOCAB: usize = engine::MIN_VOCAB;
    #[pymodule_export]
    const SPECIAL_TOKENS: [&str; 4] = engine::SPECIAL_TOKENS;

    /// Bytes of text that are taken from Python before the GIL is released to count their words.
    const CHUNK: usize = 1 << 20;

    fn error(error: engine::Error) -> PyErr {
        FastTokenizerError::new_err(error.to_string())
    }

    /// A byte-level BPE tokenizer, ready to use.
    #[pyclass(frozen)]
    struct Bpe(engine::Bpe);

    #[pymethods]
    impl Bpe {
        /// Learns from texts, the same from the same texts in any order.
        #[staticmethod]
        #[pyo3(signature = (texts, *, vocab_size, min_frequency))]
        fn train(
            py: Python<'_>,
            texts: &Bound<'_, PyAny>,
            vocab_size: usize,
            min_frequency: u64,
        ) -> PyResult<Self> {
            let settings = engine::Settings { vocab_size, min_frequency, threads: 0 };
            let mut trainer = engine::Trainer::new(settings).map_err(error)?;
            let (mut chunk, mut bytes) = (Vec::<PyBackedStr>::new(), 0);
            for text in texts.try_iter()? {
                let text: PyBackedStr = text?.extract()?;
                bytes += text.len();
                chunk.push(text);
                if bytes >= CHUNK {
                    py.check_signals()?;
                    py.detach(|| trainer.feed(&chunk)).map_err(error)?;
                    chunk.clear();
                    bytes = 0;
                }
            }
            py.detach(|| trainer.feed(&chunk).and_then(|()| trainer.finish()))
                .map(Self)
                .map_err(error)
        }

        /// Reads a `tokenizer.json` that `save` wrote.
        #[staticmethod]
        fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
            py.detach(|| engine::Bpe::load(&path)).map(Self).map_err(error)
        }

        /// Writes a `tokenizer.json`.
        fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
            py.detach(|| self.0.save(&path)).map_err(error)
        }

        /// The text that `save` writes: all that decides ids.
        fn to_json(&self, py: Python<'_>) -> String {
            py.detach(|| self.0.to_json())
        }

        /// Number of tokens, the special ones included.
        #[getter]
        fn vocab_size(&self) -> usize {
            self.0.vocab_size()
        }

        /// Ids of a text, none of them special.
        fn encode<'py>(
            &self,
            py: Python<'py>,
            text: PyBackedStr,
        ) -> PyResult<Bound<'py, PyArray1<i32>>> {
            let ids = py.detach(|| self.0.encode(&text)).map_err(error)?;
            Ok(ids.into_pyarray(py))
        }

        /// Ids of each of several texts, by several threads if that pays.
        fn encode_batch<'py>(
            &self,
            py: Python<'py>,
            texts: Vec<PyBackedStr>,
        ) -> PyResult<Vec<Bound<'py, PyArray1<i32>>>> {
            let rows = py.detach(|| self.0.encode_batch(&texts, 0)).map_err(error)?;
            Ok(rows.into_iter().map(|ids| ids.into_pyarray(py)).collect())
        }

        /// Text of ids without the special ones; bytes that are not UTF-8 become U+FFFD.
        fn decode(&self, py: Python<'_>, ids: PyReadonlyArray1<'_, i32>) -> PyResult<String> {
            let ids = ids.as_array().to_vec(); // others may write to it while the GIL is released
            py.detach(|| self.0.decode(&ids)).map_err(error)
        }

        /// Bytes of one token, its name if it is special.
        fn token<'py>(&self, py: Python<'py>, token_id: i32) -> PyResult<Bound<'py, PyBytes>> {
            self.0.token(token_id).map(|bytes| PyBytes::new(py, bytes)).map_err(error)
        }
    }

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("FastTokenizerError", m.py().get_type::<FastTokenizerError>())
    }
}
