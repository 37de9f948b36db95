//! A graph as bytes, and in a file.
//!
//! Little-endian: magic, settings and counts; for each slot its row, line and level; all codes; for
//! each slot and level a count and that many neighbours; a checksum of everything before it. A
//! graph is derived from the vectors, so a damaged file is refused and can be built again.

use super::table::Table;
use super::{Entry, Hnsw, Settings, set_bit};
use crate::{Error, Metric, Result};
use files::{Disk, replace};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"AIOSGRF1";
/// The highest level that is ever drawn.
const LEVELS: usize = 15;

fn corrupt<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::Corrupt(what.into()))
}

/// Reads forward through bytes; never beyond them.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(length) {
            Some((taken, rest)) => {
                self.0 = rest;
                Ok(taken)
            }
            None => corrupt("it is cut off"),
        }
    }

    fn word(&mut self) -> Result<u32> {
        match self.take(4)?.first_chunk() {
            Some(bytes) => Ok(u32::from_le_bytes(*bytes)),
            None => corrupt("it is cut off"),
        }
    }

    fn size(&mut self) -> Result<usize> {
        Ok(self.word()? as usize)
    }
}

impl Hnsw {
    /// Everything, as bytes. Removed rows are taken out first.
    #[must_use]
    pub fn to_bytes(&mut self) -> Vec<u8> {
        self.settle();
        let slots = self.slots();
        let mut out = MAGIC.to_vec();
        let mut word = |x: usize| out.extend(u32::try_from(x).unwrap_or(u32::MAX).to_le_bytes());
        word(Metric::ALL.iter().position(|&m| m == self.nodes.metric).unwrap_or(0));
        word(self.nodes.dim);
        word(self.settings.degree);
        word(self.settings.build_width);
        word(slots as usize);
        word(self.entry.map_or(u32::MAX as usize, |entry| entry.slot as usize));
        for slot in 0..slots {
            out.extend(self.nodes.rows[slot as usize].to_le_bytes());
            out.extend(self.nodes.lines[slot as usize].map(f32::to_le_bytes).as_flattened());
            out.extend(u32::try_from(self.links.level(slot)).unwrap_or(0).to_le_bytes());
        }
        out.extend(self.nodes.codes.iter().map(|code| code.cast_unsigned()));
        let mut list = Vec::new();
        for slot in 0..slots {
            for level in 0..=self.links.level(slot) {
                list.clear();
                self.links.read(slot, level, &mut list);
                out.extend(u32::try_from(list.len()).unwrap_or(0).to_le_bytes());
                out.extend(list.iter().flat_map(|other| other.to_le_bytes()));
            }
        }
        out.extend(crc32fast::hash(&out).to_le_bytes());
        out
    }

    /// A graph from its bytes.
    ///
    /// # Errors
    /// If they are not a graph's, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes, None)
    }

    /// A graph from its bytes, which may lie in a map.
    fn parse(bytes: &[u8], map: Option<&Arc<Mmap>>) -> Result<Self> {
        let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
            return corrupt("it is shorter than a checksum");
        };
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return corrupt("its checksum is wrong");
        }
        let mut from = Reader(body);
        if from.take(MAGIC.len())? != MAGIC {
            return corrupt("it does not start as a graph does");
        }
        let Some(&metric) = Metric::ALL.get(from.size()?) else {
            return corrupt("it has an unknown metric");
        };
        let (dim, degree, build_width) = (from.size()?, from.size()?, from.size()?);
        let mut graph = Self::new(metric, dim, Settings { degree, build_width })?;
        let (slots, entry) = (from.size()?, from.word()?);
        // Each slot takes at least this much, so a wrong count cannot make a huge allocation.
        if from.0.len() / (graph.nodes.width + 20) < slots {
            return corrupt("it is too short for its slots");
        }
        graph.nodes.lines.resize(slots, [0.0; 2]);
        graph.nodes.rows.resize(slots, u32::MAX);
        graph.links.grow(slots);
        graph.read_nodes(&mut from)?;
        let (first, length) = (body.len() - from.0.len(), slots * graph.nodes.width);
        let codes = from.take(length)?;
        graph.nodes.codes = match map {
            Some(map) => Table::Mapped(map.clone(), first..first + length),
            None => Table::Own(codes.iter().map(|byte| byte.cast_signed()).collect()),
        };
        graph.read_links(&mut from)?;
        if !from.0.is_empty() {
            return corrupt("it goes on after its end");
        }
        if entry != u32::MAX {
            if entry as usize >= slots || !graph.is_live(entry) {
                return corrupt("its entry does not exist");
            }
            graph.entry = Some(Entry { slot: entry, level: graph.links.level(entry) });
        } else if graph.live_count > 0 {
            return corrupt("it has no entry");
        }
        Ok(graph)
    }

    fn read_nodes(&mut self, from: &mut Reader<'_>) -> Result<()> {
        for slot in 0..self.slots() {
            let row = from.word()?;
            let line = [f32::from_bits(from.word()?), f32::from_bits(from.word()?)];
            let level = from.size()?;
            if level > LEVELS || line.iter().any(|x| x.is_nan()) {
                return corrupt(format!("slot {slot} is impossible"));
            }
            self.nodes.rows[slot as usize] = row;
            self.nodes.lines[slot as usize] = line;
            self.links.reset(slot, level);
            if row == u32::MAX {
                self.free.push(slot);
            } else if self.contains(row) {
                return corrupt(format!("row {row} is there twice"));
            } else {
                set_bit(&mut self.live, row, true);
                self.live_count += 1;
            }
        }
        Ok(())
    }

    fn read_links(&mut self, from: &mut Reader<'_>) -> Result<()> {
        let slots = self.slots();
        let mut list = Vec::new();
        for slot in 0..slots {
            for level in 0..=self.links.level(slot) {
                let count = from.size()?;
                if count > self.links.most(level) + super::links::SPARE {
                    return corrupt(format!("slot {slot} has {count} links"));
                }
                list.clear();
                for _ in 0..count {
                    let other = from.word()?;
                    if other >= slots || self.links.level(other) < level {
                        return corrupt(format!("slot {slot} is linked to nothing"));
                    }
                    list.push(other);
                }
                self.links.write(slot, level, &list);
            }
        }
        Ok(())
    }

    /// Write the graph to a file, which is replaced as a whole, and on disk when this returns.
    ///
    /// # Errors
    /// If the disk fails; the file is as it was then.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes();
        replace(&Disk, path, |file| Ok(file.write(&bytes, 0)?))
    }

    /// Map a graph from a file: all of it is checked now, links are copied, and codes stay in the
    /// file until the graph is changed. The file may be replaced or removed, but not changed in place.
    ///
    /// # Errors
    /// If it is not there, not a graph, or damaged.
    pub fn load(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return corrupt("it is empty");
        }
        // SAFETY: the file is open and not empty. `save` replaces files by a rename and never
        // changes one in place, and the docs above ask the same of everyone else.
        let map = Arc::new(unsafe { Mmap::map(&file) }?);
        Self::parse(&map, Some(&map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vectors;
    use files::Files;
    use std::fs;

    /// Two vectors of three values on the bottom level alone, byte by byte.
    #[test]
    fn bytes_are_those_that_are_documented() {
        let values = [127.0, 0.0, -64.0, 0.0, 254.0, 2.0];
        let vectors = Vectors::f32(&values, 3).unwrap();
        let settings = Settings { degree: 40, build_width: 300 };
        for (number, metric) in (0u32..).zip(Metric::ALL) {
            let mut graph = Hnsw::new(metric, 3, settings).unwrap();
            graph.insert(&vectors, &[1, 0]).unwrap();
            let mut expected = b"AIOSGRF1".to_vec();
            let mut words =
                |words: &[u32]| expected.extend(words.iter().flat_map(|w| w.to_le_bytes()));
            words(&[number, 3, 40, 300, 2, 0]);
            let lengths = [(254.0f64.powi(2) + 4.0), (127.0f64.powi(2) + 64.0f64.powi(2))];
            for ((row, scale), square) in [(1, 2.0), (0, 1.0)].into_iter().zip(lengths) {
                let [factor, term] = match metric {
                    Metric::Cosine => [-(scale / square.sqrt()) as f32, 1.0],
                    Metric::InnerProduct => [-scale as f32, 0.0],
                    Metric::L2 => [-2.0 * scale as f32, square as f32],
                };
                words(&[row, factor.to_bits(), term.to_bits(), 0]);
            }
            for codes in [[0i8, 127, 1], [127, 0, -64]] {
                let mut padded = [0; 64];
                padded[..3].copy_from_slice(&codes.map(i8::cast_unsigned));
                expected.extend(padded);
            }
            expected.extend([1u32, 1, 1, 0].iter().flat_map(|w| w.to_le_bytes()));
            let sum = crc32fast::hash(&expected);
            expected.extend(sum.to_le_bytes());

            assert_eq!(expected, graph.to_bytes(), "{metric:?}");
            assert_eq!(expected, Hnsw::from_bytes(&expected).unwrap().to_bytes());
        }
    }

    /// With upper levels, free slots and an entry that is not the first.
    #[test]
    fn a_graph_that_comes_back_is_the_same() {
        let mut state = 1u32;
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .take(900 * 5)
        .collect();
        let vectors = Vectors::f32(&values, 5).unwrap();
        let mut graph = Hnsw::new(Metric::Cosine, 5, Settings::default()).unwrap();
        graph.insert(&vectors, &(0..900).collect::<Vec<_>>()).unwrap();
        graph.remove(&(100..300).collect::<Vec<_>>());
        let bytes = graph.to_bytes();
        let mut back = Hnsw::from_bytes(&bytes).unwrap();

        assert_eq!((200, 700, 900), (back.free.len(), back.len(), back.slots()));
        assert_eq!(graph.entry.map(|e| (e.slot, e.level)), back.entry.map(|e| (e.slot, e.level)));
        assert!(back.entry.is_some_and(|entry| entry.level > 0));
        assert_eq!(graph.live, back.live);
        assert_eq!(bytes, back.to_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph");
        fs::write(&path, b"what was there").unwrap();
        graph.save(&path).unwrap();
        assert_eq!(bytes, fs::read(&path).unwrap());
        assert_eq!(["graph"], Disk.list(folder.path()).unwrap()[..]);
        let mut mapped = Hnsw::load(&path).unwrap();
        assert_eq!(bytes, mapped.to_bytes());
        mapped.insert(&vectors, &[100, 101]).unwrap();
        assert_eq!((900, 702), (mapped.slots(), mapped.len()));
        assert_eq!(bytes, fs::read(&path).unwrap(), "the file of a map is never written to");
    }
}
