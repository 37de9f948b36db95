//! Rows that share words with a text, ranked by BM25.

use crate::found::Found;
use crate::search::Query;
use crate::words::words;
use crate::{Error, Part, Result, Snapshot, schema};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use per_process::spread;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use vector_search::Neighbor;

/// How soon a word that is repeated counts no more, and how much long texts are held back; the
/// values of Lucene.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// The words of the rows of one column of a part.
pub(crate) struct Words {
    column: usize,
    /// For each word its rows, and how often it is in each.
    postings: HashMap<Box<str>, Vec<(u32, u32)>>,
    /// How many words a row has.
    lengths: Vec<u32>,
}

impl Words {
    fn new(column: usize, texts: &ArrayRef) -> Self {
        let texts = texts.as_string::<i32>();
        let mut postings: HashMap<Box<str>, Vec<(u32, u32)>> = HashMap::new();
        let mut lengths = Vec::with_capacity(texts.len());
        for (row, text) in (0..).zip(texts) {
            let mut length = 0;
            for word in words(text.unwrap_or_default(), false) {
                length += 1;
                let list = match postings.get_mut(word.as_str()) {
                    Some(list) => list,
                    None => postings.entry(word.into()).or_default(),
                };
                match list.last_mut() {
                    Some((last, count)) if *last == row => *count += 1,
                    _ => list.push((row, 1)),
                }
            }
            lengths.push(length);
        }
        Self { column, postings, lengths }
    }
}

/// What BM25 must know of all rows.
#[derive(Clone, Copy, Default)]
struct Totals {
    rows: usize,
    words: u64,
}

impl Snapshot {
    /// At most `k` rows whose text has words of the query, the best first. The last column, `_score`,
    /// sums, for each word of the query, idf f (k1 + 1) / (f + k1 (1 - b + b l / mean l)): f is how
    /// often the word is in the text, l how many words that has, and the idf is
    /// ln(1 + (N - n + 1/2) / (n + 1/2)) for a word in n of N rows; k1 = 1.2, b = 0.75 (Robertson
    /// and Zaragoza 2009, as in Lucene). Rows that the filter leaves out count in N and n.
    ///
    /// # Errors
    /// If there is no such column, it is no text, or the filter does not fit.
    pub fn search_text(&self, column: &str, text: &str, query: &Query<'_>) -> Result<RecordBatch> {
        let shown = self.projection(query.columns)?;
        let found = self.best_texts(column, text, query)?;
        let (places, distances): (Vec<_>, Vec<_>) = found.iter().unzip();
        let scores = distances.into_iter().map(|distance: f32| -distance).collect();
        self.table(&places, &shown, "_score", scores)
    }

    /// The places of the best rows; a distance is a negative score.
    pub(crate) fn best_texts(&self, column: &str, text: &str, query: &Query<'_>) -> Result<Found> {
        let place = schema::position(&self.schema, column)?;
        let kind = self.schema.field(place).data_type();
        if *kind != DataType::Utf8 {
            let message = format!("column {column:?} is {kind}; only Utf8 is searched as text");
            return Err(Error::Schema(message));
        }
        if let Some(filter) = query.filter {
            filter.check(&self.schema)?;
        }
        let known = |part| Ok((Part::words(part, place)?, part));
        let parts: Vec<(Arc<Words>, &Part)> =
            spread(|| self.parts.par_iter().map(known).collect::<Result<_>>())?;
        let totals = parts.iter().fold(Totals::default(), |sum, (words, part)| {
            let gone = part.dead.iter().map(|row| u64::from(words.lengths[row as usize]));
            let all = words.lengths.iter().map(|&length| u64::from(length)).sum::<u64>();
            Totals { rows: sum.rows + part.live(), words: sum.words + all - gone.sum::<u64>() }
        });
        let wanted: BTreeSet<String> = words(text, true).into_iter().collect();
        let weights: Vec<(String, f64)> = wanted
            .into_iter()
            .map(|word| {
                let with = parts.iter().map(|(words, part)| part.having(words, &word)).sum();
                let idf = idf(totals.rows, with);
                (word, idf)
            })
            .collect();
        let mut found = Found::new(query.k);
        for (p, (words, part)) in parts.iter().enumerate() {
            found.merge(p, &part.score(words, &weights, totals, query)?);
        }
        Ok(found)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn idf(rows: usize, with: usize) -> f64 {
    let (rows, with) = (rows as f64, with as f64);
    ((rows - with + 0.5) / (with + 0.5)).ln_1p()
}

impl Part {
    /// The words of a column, found when they are first wanted.
    fn words(&self, column: usize) -> Result<Arc<Words>> {
        let make = || Ok(Arc::new(Words::new(column, &self.rows.column(column)?)));
        let kept = match self.derived.words.get() {
            Some(kept) => kept,
            None => {
                let made = make()?;
                self.derived.words.get_or_init(|| made)
            }
        };
        // A store has one column of texts, as a rule; others are read again.
        if kept.column == column { Ok(kept.clone()) } else { make() }
    }

    /// How many live rows have a word.
    fn having(&self, words: &Words, word: &str) -> usize {
        let rows = words.postings.get(word).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter(|(row, _)| !self.dead.contains(*row)).count()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    #[expect(clippy::cast_possible_truncation, reason = "a score to rank by")]
    fn score(
        &self,
        words: &Words,
        weights: &[(String, f64)],
        totals: Totals,
        query: &Query<'_>,
    ) -> Result<Vec<Neighbor>> {
        let allowed = self.allowed(query.filter)?;
        let keep = |row: u32| {
            allowed.as_deref().is_none_or(|a| vector_search::Bitmap::new(a).contains(row))
        };
        let mean = (totals.words as f64 / totals.rows.max(1) as f64).max(1.0);
        let mut scores: HashMap<u32, f64> = HashMap::new();
        for (word, idf) in weights {
            for &(row, count) in words.postings.get(word.as_str()).into_iter().flatten() {
                if keep(row) {
                    let (count, length) =
                        (f64::from(count), f64::from(words.lengths[row as usize]));
                    let long = 1.0 - B + B * length / mean;
                    *scores.entry(row).or_default() +=
                        idf * count * (K1 + 1.0) / (count + K1 * long);
                }
            }
        }
        let mut best = vector_search::top_k::TopK::new(query.k);
        for (row, score) in scores {
            best.push(-score as f32, row);
        }
        Ok(best.into_sorted())
    }
}
