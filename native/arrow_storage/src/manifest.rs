//! The list of files that make up a store, replaced as a whole.

use crate::dead::{self, Tombstones};
use crate::files::{Files, replace};
use crate::{Error, Metric, Result};
use arrow_schema::SchemaRef;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The format written, and the latest that can be read.
const FORMAT: u32 = 1;
const NAME: &str = "MANIFEST";

/// Which columns have a meaning to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// The unique id: int64 or utf8.
    pub id: String,
    /// The vector: a fixed-size list of float32.
    pub vector: String,
}

impl Default for Columns {
    fn default() -> Self {
        Self { id: "id".into(), vector: "vector".into() }
    }
}

/// A segment: its number, which names its files, and what they should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub number: u64,
    pub bytes: u64,
    /// The checksum of the file of checksums.
    pub sums: u32,
}

/// A file of tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dead {
    pub number: u64,
    pub sum: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub format: u32,
    pub schema: SchemaRef,
    pub columns: Columns,
    #[serde(with = "metric")]
    pub metric: Metric,
    pub segments: Vec<Segment>,
    pub dead: Option<Dead>,
    pub log: u64,
    /// The next file number.
    pub next: u64,
}

mod metric {
    use super::Metric;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    fn name(metric: Metric) -> &'static str {
        match metric {
            Metric::Cosine => "cosine",
            Metric::InnerProduct => "inner_product",
            Metric::L2 => "l2",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(metric: &Metric, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(name(*metric))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Metric, D::Error> {
        let found = String::deserialize(from)?;
        let known = Metric::ALL.into_iter().find(|&metric| name(metric) == found);
        known.ok_or_else(|| D::Error::custom(format!("unknown metric {found:?}")))
    }
}

/// Only to learn the format before anything else is understood.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl Manifest {
    pub fn new(schema: SchemaRef, columns: Columns, metric: Metric) -> Self {
        let (segments, dead) = (Vec::new(), None);
        Self { format: FORMAT, schema, columns, metric, segments, dead, log: 0, next: 1 }
    }

    /// Text for people, with a checksum in its last line.
    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let sum = crc32fast::hash(&text);
        text.extend(format!("crc32 {sum:08x}\n").bytes());
        Ok(text)
    }

    pub fn decode(path: &Path, text: &[u8]) -> Result<Self> {
        let at = text.len().saturating_sub("crc32 00000000\n".len());
        let (body, last) = text.split_at(at);
        if last != format!("crc32 {:08x}\n", crc32fast::hash(body)).as_bytes() {
            return Err(Error::corrupt(path, at, "its checksum is wrong"));
        }
        let json = |e: serde_json::Error| Error::corrupt(path, e.column(), e.to_string());
        let head: Head = serde_json::from_slice(body).map_err(json)?;
        if head.format > FORMAT {
            return Err(Error::Newer { path: path.to_owned(), found: head.format, known: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(body).map_err(json)?;
        crate::schema::check(&manifest.schema, &manifest.columns)?;
        Ok(manifest)
    }

    pub fn read(files: &dyn Files, folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        match files.read(&path) {
            Ok(text) => Self::decode(&path, &text),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::NotAStore { path: folder.to_owned() })
            }
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Replace the manifest; once this returns, it is on disk with all files made before it.
    pub fn write(&self, files: &dyn Files, folder: &Path) -> Result<()> {
        let path = folder.join(NAME);
        let text = self.encode().map_err(Error::io(&path))?;
        replace(files, &path, |file| file.write(&text, 0).map_err(Error::io(&path)))
    }

    /// The files that belong to the store.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec![NAME.to_owned(), "LOCK".to_owned(), format!("{}.log", self.log)];
        for Segment { number, .. } in &self.segments {
            names.extend([format!("{number}.arrow"), format!("{number}.sums")]);
        }
        names.extend(self.dead.map(|dead| format!("{}.dead", dead.number)));
        names
    }

    pub fn log_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.log", self.log))
    }

    /// Write tombstones, and list their file.
    pub fn bury(&mut self, files: &dyn Files, folder: &Path, dead: &Tombstones) -> Result<()> {
        self.dead = None;
        if !dead.is_empty() {
            let number = self.take_number();
            self.dead = Some(dead::write(files, folder, number, dead)?);
        }
        Ok(())
    }

    pub fn take_number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_schema::{DataType, Field, Schema};
    use std::sync::Arc;

    fn manifest() -> Manifest {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("vector", DataType::FixedSizeList(item, 4), false),
        ]);
        let mut manifest = Manifest::new(Arc::new(schema), Columns::default(), Metric::L2);
        manifest.segments.push(Segment { number: 7, bytes: 99, sums: 3 });
        manifest.dead = Some(Dead { number: 8, sum: 1 });
        manifest
    }

    #[test]
    fn comes_back_as_it_was_and_every_flipped_bit_is_noticed() {
        let (path, text) = (Path::new("MANIFEST"), manifest().encode().unwrap());
        assert_eq!(manifest(), Manifest::decode(path, &text).unwrap());
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[at] ^= 1 << bit;
                assert!(matches!(Manifest::decode(path, &damaged), Err(Error::Corrupt { .. })));
            }
            assert!(Manifest::decode(path, &text[..at]).is_err());
        }
    }

    #[test]
    fn a_newer_format_is_named_as_such() {
        let newer = Manifest { format: 2, ..manifest() }.encode().unwrap();
        let found = Manifest::decode(Path::new("MANIFEST"), &newer);
        assert!(matches!(found, Err(Error::Newer { found: 2, known: 1, .. })));
    }
}
