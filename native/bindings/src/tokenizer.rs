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

    /// A tokenizer from any `tokenizer.json`.
    ///
    /// It pickles by content.
    #[pyclass(frozen)]
    struct Tokenizer(engine::Any);

    type Arrays<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<i64>>);

    #[pymethods]
    impl Tokenizer {
        /// Reads the text of a `tokenizer.json`.
        #[new]
        #[pyo3(signature = (json, *, engine = true, strict = false))]
        fn new(py: Python<'_>, json: String, engine: bool, strict: bool) -> PyResult<Self> {
            py.detach(|| engine::Any::from_json(json, engine, strict)).map(Self).map_err(error)
        }

        fn __reduce__<'py>(
            slf: &Bound<'py, Self>,
        ) -> PyResult<(Bound<'py, PyAny>, (String, bool, bool))> {
            let own = matches!(slf.get().0.backend(), engine::Backend::Engine(_));
            let rebuild = slf.get_type().getattr("_rebuild")?;
            Ok((rebuild, (slf.get().0.json().to_owned(), own, own)))
        }

        #[staticmethod]
        fn _rebuild(py: Python<'_>, json: String, own: bool, strict: bool) -> PyResult<Self> {
            Self::new(py, json, own, strict)
        }

        /// `engine` or `tokenizers`: who works out the ids.
        #[getter]
        fn backend(&self) -> &'static str {
            match self.0.backend() {
                engine::Backend::Engine(_) => "engine",
                engine::Backend::Reference(..) => "tokenizers",
            }
        }

        /// Why it is not the engine, None if it is.
        #[getter]
        fn reason(&self) -> Option<&str> {
            match self.0.backend() {
                engine::Backend::Engine(_) => None,
                engine::Backend::Reference(_, reason) => Some(reason),
            }
        }

        /// The file's text.
        fn to_json(&self) -> &str {
            self.0.json()
        }

        /// Version of the Unicode tables that decide where the engine cuts.
        #[getter]
        fn unicode_version(&self) -> &'static str {
            self.0.unicode_version()
        }

        /// One more than the highest id.
        #[getter]
        fn vocab_size(&self) -> usize {
            self.0.vocab_size()
        }

        /// Added tokens and their ids.
        fn added_tokens(&self) -> std::collections::HashMap<String, u32> {
            self.0.added()
        }

        /// Ids of a text; `template` adds what the file's post-processor puts around it.
        #[pyo3(signature = (text, *, template = false))]
        fn encode<'py>(
            &self,
            py: Python<'py>,
            text: &str,
            template: bool,
        ) -> PyResult<Bound<'py, PyArray1<u32>>> {
            // A prompt takes less time than letting other threads run would.
            let ids = if text.len() < 1024 {
                self.0.encode(text, template)
            } else {
                py.detach(|| self.0.encode(text, template))
            };
            Ok(ids.map_err(error)?.into_pyarray(py))
        }

        /// Ids of several texts in one array, and where each text's ids start and end in it.
        #[pyo3(signature = (texts, *, threads = 0))]
        fn encode_batch<'py>(
            &self,
            py: Python<'py>,
            texts: Vec<PyBackedStr>,
            threads: usize,
        ) -> PyResult<Arrays<'py>> {
            let batch = py.detach(|| self.0.encode_batch(&texts, threads)).map_err(error)?;
            let offsets: Vec<i64> = batch.offsets.into_iter().map(|end| end as i64).collect();
            Ok((batch.ids.into_pyarray(py), offsets.into_pyarray(py)))
        }

        /// Text of ids.
        #[pyo3(signature = (ids, *, skip_special = true))]
        fn decode(
            &self,
            py: Python<'_>,
            ids: PyReadonlyArray1<'_, u32>,
            skip_special: bool,
        ) -> PyResult<String> {
            let ids = ids.as_array().to_vec(); // others may write to it while the GIL is released
            py.detach(|| self.0.decode(&ids, skip_special)).map_err(error)
        }

        /// Bytes of ids, of which not all need be whole characters; only by the engine.
        #[pyo3(signature = (ids, *, skip_special = true))]
        fn decode_bytes<'py>(
            &self,
            py: Python<'py>,
            ids: PyReadonlyArray1<'_, u32>,
            skip_special: bool,
        ) -> PyResult<Bound<'py, PyBytes>> {
            let engine::Backend::Engine(own) = self.0.backend() else {
                return Err(FastTokenizerError::new_err("only the engine decodes to bytes"));
            };
            let ids = ids.as_array().to_vec(); // others may write to it while the GIL is released
            let bytes = py.detach(|| own.decode_bytes(&ids, skip_special));
            Ok(PyBytes::new(py, &bytes))
        }

        /// Bytes of one token, nothing for an id that is none.
        fn token<'py>(&self, py: Python<'py>, token_id: u32) -> Bound<'py, PyBytes> {
            PyBytes::new(py, &self.0.token(token_id))
        }

        /// Ids of a text, and for each its start and end in bytes or in characters; by the engine.
        #[pyo3(signature = (text, *, unit = "characters"))]
        fn encode_with_offsets<'py>(
            &self,
            py: Python<'py>,
            text: &str,
            unit: &str,
        ) -> PyResult<Arrays<'py>> {
            let engine::Backend::Engine(own) = self.0.backend() else {
                return Err(FastTokenizerError::new_err("only the engine tells offsets"));
            };
            let (ids, mut ranges) = own.encode_with_offsets(text.as_bytes(), true);
            match unit {
                "bytes" => {}
                "characters" => ranges = engine::engine::in_characters(text, &ranges),
                _ => {
                    let problem = format!("unit is {unit:?}; want \"bytes\" or \"characters\"");
                    return Err(FastTokenizerError::new_err(problem));
                }
            }
            let flat: Vec<i64> =
                ranges.into_iter().flat_map(|r| [r.start as i64, r.end as i64]).collect();
            Ok((ids.into_pyarray(py), flat.into_pyarray(py)))
        }

        /// A decoder for ids that come one after the other.
        fn stream(slf: Py<Self>) -> Stream {
            Stream { tokenizer: slf, stream: engine::engine::Stream::default().into() }
        }
    }

    /// Text of ids as it becomes complete, never half a character.
    #[pyclass(frozen)]
    struct Stream {
        tokenizer: Py<Tokenizer>,
        stream: std::sync::Mutex<engine::engine::Stream>,
    }

    #[pymethods]
    impl Stream {
        /// The text that is certain after one more id.
        fn push(&self, token_id: u32) -> String {
            let bytes = self.tokenizer.get().0.token(token_id);
            self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(&bytes)
        }

        /// What is left: U+FFFD if a character was begun.
        fn finish(&self) -> String {
            self.stream.lock().unwrap_or_else(std::sync::PoisonError::into_inner).finish()
        }
    }

    #[pymodule_init]
    fn init(m: &Bound<'_, PyModule>) -> PyResult<()> {
        m.add("FastTokenizerError", m.py().get_type::<FastTokenizerError>())
    }
}
