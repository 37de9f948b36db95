//! Approximate search in one part: by a graph where one was built, else by compact codes.
//!
//! Both are derived from the vectors, so a graph's file that is missing or damaged is passed over,
//! and can be built again. A part never changes, so neither does what is derived from it.

use crate::store::{Store, publish};
use crate::{Error, Metric, Part, Result, schema};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use vector_search::hnsw::Settings;
use vector_search::{Hnsw, Int8Codes, Vectors};

/// Parts with fewer rows are searched exactly: that is as fast.
const FEW: usize = 4096;

/// What is made of a part when it is first wanted.
#[derive(Default)]
pub(crate) struct Derived {
    graph: OnceLock<Option<Hnsw>>,
    codes: OnceLock<Int8Codes>,
    pub words: OnceLock<Arc<crate::text::Words>>,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derived")
    }
}

/// A way to find near rows of a part.
pub(crate) enum Index<'a> {
    Graph(&'a Hnsw),
    Codes(&'a Int8Codes),
}

fn graph_path(folder: &Path, (segment, batch): (u64, u32)) -> PathBuf {
    folder.join(format!("{segment}-{batch}.graph"))
}

/// The segment that a file of a graph belongs to.
pub(crate) fn segment_of_graph(name: &str) -> Option<u64> {
    let (segment, batch) = name.strip_suffix(".graph")?.split_once('-')?;
    batch.parse::<u32>().ok()?;
    segment.parse().ok()
}

impl Part {
    /// The best index there is of a column of vectors; none where an exact search is as good.
    pub(crate) fn index(
        &self,
        folder: &Path,
        (place, rows): (usize, &Vectors<'_>),
        metric: Metric,
    ) -> Result<Option<Index<'_>>> {
        if rows.len() < FEW {
            return Ok(None);
        }
        if let Some(graph) = self.graph(folder, rows) {
            return Ok(Some(Index::Graph(graph)));
        }
        if let Some(codes) = self.derived.codes.get() {
            return Ok(Some(Index::Codes(codes)));
        }
        self.rows.column(place)?;
        let made = Int8Codes::encode(rows, metric)?;
        Ok(Some(Index::Codes(self.derived.codes.get_or_init(|| made))))
    }

    /// The graph, from its file when it is first wanted and there; a damaged one is tried once.
    fn graph(&self, folder: &Path, rows: &Vectors<'_>) -> Option<&Hnsw> {
        let path = graph_path(folder, self.home?);
        if self.derived.graph.get().is_none() && !path.exists() {
            return None;
        }
        let load = || {
            let graph = Hnsw::load(&path).ok()?;
            (graph.dim() == rows.dim() && graph.len() == rows.len()).then_some(graph)
        };
        self.derived.graph.get_or_init(load).as_ref()
    }
}

impl Store {
    /// Build a graph for each large batch of the segments that has none, and keep them in files:
    /// approximate search is then many times faster. [`Store::compact`] builds them anew.
    ///
    /// Others write and read meanwhile.
    ///
    /// # Errors
    /// If the store is open for reading only, or the disk fails.
    pub fn create_index(&self) -> Result<()> {
        drop(self.writer()?);
        let snapshot = self.snapshot();
        for part in &*snapshot.parts {
            let Some(home) = part.home.filter(|_| part.rows.len() >= FEW) else { continue };
            let dim = snapshot.dimension();
            let place = schema::position(&snapshot.schema, &snapshot.columns.vector)?;
            let column = part.rows.column(place)?;
            let rows = Vectors::f32(schema::vectors(&column, dim)?, dim)?;
            if part.graph(&self.folder, &rows).is_some() {
                continue;
            }
            let mut graph = Hnsw::new(snapshot.metric, rows.dim(), Settings::default())?;
            let all: Vec<u32> = (0..).take(rows.len()).collect();
            graph.insert(&rows, &all)?;
            let path = graph_path(&self.folder, home);
            graph.save(&path).map_err(|e| match e {
                vector_search::Error::Io(source) => Error::Io { path, source },
                other => other.into(),
            })?;
            self.adopt(home, graph);
        }
        Ok(())
    }

    /// Let searches use a graph, if its segment is still there.
    fn adopt(&self, home: (u64, u32), graph: Hnsw) {
        let Ok(mut writer) = self.writer() else { return };
        let part = writer.state.parts.iter_mut().find(|part| part.home == Some(home));
        if let Some(part) = part {
            part.derived = Arc::new(Derived { graph: Some(graph).into(), ..Derived::default() });
            publish(&self.current, &writer);
        } else {
            let _ = self.files.remove(&graph_path(&self.folder, home));
        }
    }

    /// How many rows a graph covers.
    #[must_use]
    pub fn indexed(&self) -> usize {
        let names = self.files.list(&self.folder).unwrap_or_default();
        let there = |home: &(u64, u32)| {
            names.iter().any(|name| *name == format!("{}-{}.graph", home.0, home.1))
        };
        let snapshot = self.snapshot();
        let covered = snapshot.parts.iter().filter(|part| part.home.as_ref().is_some_and(there));
        covered.map(Part::live).sum()
    }
}
