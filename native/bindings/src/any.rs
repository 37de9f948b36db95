//! Binds tokenizers from any file.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ::fast_tokenizer as engine;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::padded::{Padding, Rectangle, rectangle};
use crate::texts::Texts;
use crate::tokenizer::fast_tokenizer::{FastTokenizerError, error};

/// A tokenizer from any `tokenizer.json`.
///
/// It pickles by content.
#[pyclass(frozen, module = "aios_plugins._native.fast_tokenizer")]
pub(crate) struct Tokenizer {
    any: engine::Any,
    parse_special: bool,
}

type Located<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray2<i64>>);
type Bytes<'py> = Vec<Option<Bound<'py, PyBytes>>>;
type Context<'py> = (Bytes<'py>, Option<Bytes<'py>>, Bound<'py, PyArray1<u32>>);
type Arrays<'py> = (Bound<'py, PyArray1<u32>>, Bound<'py, PyArray1<i64>>);

#[pymethods]
impl Tokenizer {
    /// Reads the text of a `tokenizer.json`.
    #[new]
    #[pyo3(signature = (json, *, engine = true, strict = false, parse_special = false))]
    fn new(
        py: Python<'_>,
        json: String,
        engine: bool,
        strict: bool,
        parse_special: bool,
    ) -> PyResult<Self> {
        let reading = engine::Reading { engine, strict, parse_special };
        py.detach(|| engine::Any::from_json(json, reading))
            .map(|any| Self { any, parse_special })
            .map_err(error)
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, (String, bool, bool))> {
        let Self { any, parse_special } = slf.get();
        let own = matches!(any.backend(), engine::Backend::Engine(_));
        let rebuild = slf.get_type().getattr("_rebuild")?;
        Ok((rebuild, (any.json().to_owned(), own, *parse_special)))
    }

    #[staticmethod]
    fn _rebuild(py: Python<'_>, json: String, own: bool, parse_special: bool) -> PyResult<Self> {
        Self::new(py, json, own, own, parse_special)
    }

    /// Whether the name of a special token in a text is that token, or text like any other.
    #[getter]
    fn parse_special(&self) -> bool {
        self.parse_special
    }

    /// Names of the file's special tokens and their ids.
    fn special_tokens(&self) -> std::collections::HashMap<String, u32> {
        self.any.special().clone()
    }

    /// Whether the file says how batches are cut or padded, which is not applied.
    #[getter]
    fn batches(&self) -> bool {
        self.any.batches()
    }

    /// `engine` or `tokenizers`: who works out the ids.
    #[getter]
    fn backend(&self) -> &'static str {
        match self.any.backend() {
            engine::Backend::Engine(_) => "engine",
            engine::Backend::Reference(..) => "tokenizers",
        }
    }

    /// Why it is not the engine, None if it is.
    #[getter]
    fn reason(&self) -> Option<&str> {
        match self.any.backend() {
            engine::Backend::Engine(_) => None,
            engine::Backend::Reference(_, reason) => Some(reason),
        }
    }

    /// The file's text.
    fn to_json(&self) -> &str {
        self.any.json()
    }

    /// One more than the highest id.
    #[getter]
    fn vocab_size(&self) -> usize {
        self.any.vocab_size()
    }

    /// Added tokens and their ids.
    fn added_tokens(&self) -> std::collections::HashMap<String, u32> {
        self.any.added()
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
            self.any.encode(text, template)
        } else {
            py.detach(|| self.any.encode(text, template))
        };
        Ok(ids.map_err(error)?.into_pyarray(py))
    }

    /// Ids of several texts in one array, and where each text's ids start and end in it.
    #[pyo3(signature = (texts, *, template = false, threads = 0))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Texts,
        template: bool,
        threads: usize,
    ) -> PyResult<Arrays<'py>> {
        let batch =
            py.detach(|| self.any.encode_batch(&texts.views()?, template, threads).map_err(error))?;
        let offsets: Vec<i64> = batch.offsets.into_iter().map(|end| end as i64).collect();
        Ok((batch.ids.into_pyarray(py), offsets.into_pyarray(py)))
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
            self.any.encode_batch(texts, false, 0).map_err(error)
        })
    }

    /// Ids of a file of text, which is mapped: it may be larger than memory.
    #[pyo3(signature = (path, *, threads = 0))]
    fn encode_file<'py>(
        &self,
        py: Python<'py>,
        path: std::path::PathBuf,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let ids = py.detach(|| self.any.encode_file(&path, threads)).map_err(error)?;
        Ok(ids.into_pyarray(py))
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
        py.detach(|| self.any.decode(&ids, skip_special)).map_err(error)
    }

    /// Bytes of ids, of which not all need be whole characters; only by the engine.
    #[pyo3(signature = (ids, *, skip_special = true))]
    fn decode_bytes<'py>(
        &self,
        py: Python<'py>,
        ids: PyReadonlyArray1<'_, u32>,
        skip_special: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let engine::Backend::Engine(own) = self.any.backend() else {
            return Err(FastTokenizerError::new_err("only the engine decodes to bytes"));
        };
        let ids = ids.as_array().to_vec(); // others may write to it while the GIL is released
        let bytes = py.detach(|| own.decode_bytes(&ids, skip_special));
        Ok(PyBytes::new(py, &bytes))
    }

    /// Bytes of one token, nothing for an id that is none.
    fn token<'py>(&self, py: Python<'py>, token_id: u32) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.any.token(token_id))
    }

    /// What each id adds to a decoded text, by where it stands: for every context the bytes of
    /// each token or None, those where a text ends with it if they differ, and the context behind
    /// it. A text begins in the first context.
    fn spelling<'py>(&self, py: Python<'py>) -> PyResult<Vec<Context<'py>>> {
        let contexts = py.detach(|| self.any.spelling()).map_err(error)?;
        let objects = |bytes: engine::Bytes| {
            bytes.into_iter().map(|bytes| bytes.map(|bytes| PyBytes::new(py, &bytes))).collect()
        };
        let context = |context: engine::Context| {
            (objects(context.bytes), context.last.map(objects), context.next.into_pyarray(py))
        };
        Ok(contexts.into_iter().map(context).collect())
    }

    /// Ids of a text, and for each its start and end in bytes or in characters, (n, 2).
    #[pyo3(signature = (text, *, unit = "characters"))]
    fn encode_with_offsets<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        unit: &str,
    ) -> PyResult<Located<'py>> {
        let characters = match unit {
            "bytes" => false,
            "characters" => true,
            _ => {
                let problem = format!("unit: expected \"bytes\" or \"characters\", got {unit:?}");
                return Err(FastTokenizerError::new_err(problem));
            }
        };
        let (ids, ranges) =
            py.detach(|| self.any.encode_with_offsets(text, characters)).map_err(error)?;
        let shape = [ids.len(), 2];
        let flat: Vec<i64> =
            ranges.into_iter().flat_map(|r| [r.start as i64, r.end as i64]).collect();
        Ok((ids.into_pyarray(py), flat.into_pyarray(py).reshape(shape)?))
    }

    /// A decoder for ids that come one after the other.
    fn stream(slf: Py<Self>) -> Stream {
        let stream = slf.get().any.stream().into();
        Stream { tokenizer: slf, stream }
    }
}

/// Text of ids as it becomes complete, never half a character.
#[pyclass(frozen, module = "aios_plugins._native.fast_tokenizer")]
pub(crate) struct Stream {
    tokenizer: Py<Tokenizer>,
    stream: Mutex<engine::AnyStream>,
}

#[pymethods]
impl Stream {
    /// The text that is certain after one more id.
    fn push(&self, token_id: u32) -> PyResult<String> {
        self.stream().push(&self.tokenizer.get().any, token_id).map_err(error)
    }

    /// What is left: U+FFFD if a character was begun.
    fn finish(&self) -> PyResult<String> {
        self.stream().finish(&self.tokenizer.get().any).map_err(error)
    }
}

impl Stream {
    fn stream(&self) -> MutexGuard<'_, engine::AnyStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
