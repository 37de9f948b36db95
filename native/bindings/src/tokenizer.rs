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
    use crate::any::{Stream, Tokenizer};
    use crate::padded::{Padding, Rectangle, rectangle};
    use crate::texts::{Texts, is_arrow};

    #[pymodule_export]
    const MAX_VOCAB: usize = engine::MAX_VOCAB;
    #[pymodule_export]
    const MIN_VOCAB: usize = engine::MIN_VOCAB;
    #[pymodule_export]
    const SPECIAL_TOKENS: [&str; 4] = engine::SPECIAL_TOKENS;
    #[pymodule_export]
    const UNICODE_VERSION: &str = engine::engine::UNICODE_VERSION;

    /// Bytes of text that are taken from Python before the GIL is released to count their words.
    const CHUNK: usize = 1 << 20;

    /// Tokens that are learned between two checks whether the user asked to stop.
    const REPORTED: usize = 256;

    pub(crate) fn error(error: engine::Error) -> PyErr {
        FastTokenizerError::new_err(error.to_string())
    }

    /// Rows of an Arrow array that are counted at once.
    const ROWS: usize = 1 << 12;

    /// Counts the words of what an iterator gives, or of an Arrow array of texts.
    fn feed(trainer: &mut engine::Trainer, texts: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = texts.py();
        if is_arrow(texts)? {
            let texts: Texts = texts.extract()?;
            for rows in py.detach(|| texts.views())?.chunks(ROWS) {
                py.check_signals()?;
                py.detach(|| trainer.feed(rows)).map_err(error)?;
            }
            return Ok(());
        }
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
        py.detach(|| trainer.feed(&chunk)).map_err(error)
    }

    /// A byte-level BPE tokenizer, ready to use; it pickles by content.
    #[pyclass(frozen, module = "aios_plugins._native.fast_tokenizer")]
    struct Bpe(engine::Bpe);

    #[pymethods]
    impl Bpe {
        /// Learns from texts, the same from the same texts in any order.
        ///
        /// `progress` is called from time to time with the number of tokens.
        #[staticmethod]
        #[pyo3(signature = (texts, *, vocab_size, min_frequency, progress = None))]
        fn train(
            py: Python<'_>,
            texts: &Bound<'_, PyAny>,
            vocab_size: usize,
            min_frequency: u64,
            progress: Option<Py<PyAny>>,
        ) -> PyResult<Self> {
            let settings = engine::Settings { vocab_size, min_frequency, threads: 0 };
            let mut trainer = engine::Trainer::new(settings).map_err(error)?;
            feed(&mut trainer, texts)?;
            let mut stopped = Ok(());
            let trained = py.detach(|| {
                trainer.finish_watched(|tokens| {
                    if tokens % REPORTED == 0 || tokens == vocab_size {
                        stopped = Python::attach(|py| {
                            py.check_signals()?;
                            progress.as_ref().map_or(Ok(()), |p| p.call1(py, (tokens,)).map(drop))
                        });
                    }
                    stopped.is_ok()
                })
            });
            stopped?;
            trained.map(Self).map_err(error)
        }

        /// Reads the text that `to_json` gives; pickles are made of it.
        #[staticmethod]
        fn from_json(py: Python<'_>, json: &str) -> PyResult<Self> {
            py.detach(|| engine::Bpe::from_json(json)).map(Self).map_err(error)
        }

        fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
            Ok((slf.get_type().getattr("from_json")?, (slf.get().0.to_json(),)))
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
            texts: Texts,
        ) -> PyResult<Vec<Bound<'py, PyArray1<i32>>>> {
            let rows = py.detach(|| self.0.encode_batch(&texts.views()?, 0).map_err(error))?;
            Ok(rows.into_iter().map(|ids| ids.into_pyarray(py)).collect())
        }

        /// Ids of several texts as rows of one length, and where they are no padding.
        #[pyo3(signature = (texts, padding, pad_id, before, after))]
        fn encode_padded<'py>(
            &self,
            py: Python<'py>,
            texts: Texts,
            padding: Padding,
            pad_id: u32,
            before: Vec<u32>,
            after: Vec<u32>,
        ) -> PyResult<Rectangle<'py>> {
            rectangle(py, &texts, padding.layout(pad_id, before, after), |texts| {
                Ok(self.0.encode_together(texts, 0))
            })
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
