//! The rows of a part: in memory, or columns of a segment that are read when they are first wanted.

use crate::blocks::Blocks;
use crate::segment::guarded;
use crate::{Error, Result, schema};
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, MetadataVersion, root_as_message};
use arrow_schema::{DataType, SchemaRef};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Columns of equal length. One that is there has been checked.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    count: usize,
    columns: Box<[OnceLock<ArrayRef>]>,
    source: Option<Source>,
}

/// Where columns that are not there yet come from.
#[derive(Debug)]
struct Source {
    blocks: Arc<Blocks>,
    block: Block,
    version: MetadataVersion,
    /// For each column the places of its buffers in the file.
    buffers: Vec<Vec<Range<usize>>>,
    /// Columns of fixed size that were mapped and are checked row by row.
    unchecked: Box<[OnceLock<ArrayRef>]>,
}

fn empty<T>(count: usize) -> Box<[OnceLock<T>]> {
    (0..count).map(|_| OnceLock::new()).collect()
}

impl From<RecordBatch> for Rows {
    fn from(batch: RecordBatch) -> Self {
        let (schema, columns, count) = batch.into_parts();
        let columns = columns.into_iter().map(OnceLock::from).collect();
        Self { schema, count, columns, source: None }
    }
}

/// How many buffers a column of a type has; none for types that are rare here.
fn buffers(kind: &DataType) -> Option<usize> {
    match kind {
        DataType::Null => Some(0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => Some(3),
        DataType::List(item) | DataType::LargeList(item) => Some(2 + buffers(item.data_type())?),
        DataType::FixedSizeList(item, _) => Some(1 + buffers(item.data_type())?),
        DataType::Struct(fields) => {
            fields.iter().try_fold(1, |sum, field| Some(sum + buffers(field.data_type())?))
        }
        kind if kind.is_primitive() => Some(2),
        DataType::Boolean | DataType::FixedSizeBinary(_) => Some(2),
        _ => None,
    }
}

impl Rows {
    /// The rows of one block of a segment, of which only the description is read now.
    pub fn map(
        blocks: &Arc<Blocks>,
        block: Block,
        version: MetadataVersion,
        schema: &SchemaRef,
    ) -> Result<Self> {
        let place = |x: i64| usize::try_from(x).ok();
        let whole = place(block.offset()).zip(usize::try_from(block.metaDataLength()).ok());
        let inside = whole.zip(place(block.bodyLength())).and_then(|((start, head), body)| {
            let start_of_body = start.checked_add(head)?;
            let end = start_of_body.checked_add(body)?;
            (end <= blocks.bytes().len()).then_some((start, start_of_body, end))
        });
        let damaged = |what: String| blocks.damaged(0, what);
        let (start, body, end) =
            inside.ok_or_else(|| damaged("a block lies outside the file".into()))?;
        blocks.check(start..body)?;
        let head = &blocks.bytes()[start..body];
        let marked = head.starts_with(&[u8::MAX; 4]);
        let message = head.get(if marked { 8 } else { 4 }..).unwrap_or_default();
        let message = root_as_message(message).map_err(|e| damaged(e.to_string()))?;
        let batch = message
            .header_as_record_batch()
            .ok_or_else(|| damaged("a block holds no rows".into()))?;
        let count = place(batch.length()).filter(|&count| u32::try_from(count).is_ok());
        let count = count.ok_or_else(|| damaged("a block has an impossible length".into()))?;
        let listed = batch.buffers().map(|list| list.iter().copied().collect::<Vec<_>>());
        let mut listed = listed.unwrap_or_default().into_iter().map(|buffer| {
            let start = body.checked_add(place(buffer.offset())?)?;
            let range = start..start.checked_add(place(buffer.length())?)?;
            (range.end <= end).then_some(range)
        });
        let mut places = Vec::new();
        for field in schema.fields() {
            // Where that is not known, all of the block is checked.
            let Some(wanted) = buffers(field.data_type()) else {
                let whole = Vec::from_iter(std::iter::once(body..end));
                places = vec![whole; schema.fields().len()];
                break;
            };
            let own: Option<Vec<_>> = listed.by_ref().take(wanted).collect();
            let own = own.filter(|own| own.len() == wanted);
            places.push(own.ok_or_else(|| damaged("a buffer lies outside its block".into()))?);
        }
        let width = schema.fields().len();
        let unchecked = empty(width);
        let source = Source { blocks: blocks.clone(), block, version, buffers: places, unchecked };
        Ok(Self { schema: schema.clone(), count, columns: empty(width), source: Some(source) })
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The columns there are.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One column, compared with its checksums when it is first wanted.
    pub fn column(&self, at: usize) -> Result<ArrayRef> {
        let kept = &self.columns[at];
        if kept.get().is_none()
            && let Some(source) = &self.source
        {
            source.buffers[at].iter().try_for_each(|range| source.blocks.check(range.clone()))?;
            let column = match source.unchecked[at].get() {
                Some(column) => column.clone(),
                None => source.read(&self.schema, at, self.count)?,
            };
            return Ok(kept.get_or_init(|| column).clone());
        }
        kept.get().cloned().ok_or_else(|| Error::Schema("a column is missing".into()))
    }

    /// A column of vectors, whose rows are to be passed to [`Rows::touch`] before they are used.
    pub fn vectors(&self, at: usize) -> Result<ArrayRef> {
        let (Some(source), None) = (&self.source, self.columns[at].get()) else {
            return self.column(at);
        };
        let Some((_, others)) = source.buffers[at].split_last() else { return self.column(at) };
        if let Some(column) = source.unchecked[at].get() {
            return Ok(column.clone());
        }
        others.iter().try_for_each(|range| source.blocks.check(range.clone()))?;
        let column = source.read(&self.schema, at, self.count)?;
        Ok(source.unchecked[at].get_or_init(|| column).clone())
    }

    /// Compare some rows of a column of vectors with their checksums.
    pub fn touch(&self, at: usize, rows: impl IntoIterator<Item = Range<usize>>) -> Result<()> {
        let (Some(source), None) = (&self.source, self.columns[at].get()) else { return Ok(()) };
        let Some(values) = source.buffers[at].last() else { return Ok(()) };
        let width = values.len() / self.count.max(1);
        // Where vectors stand is known to the byte only if nothing stands between them.
        if values.len() != width * self.count {
            return self.column(at).map(|_| ());
        }
        rows.into_iter().try_for_each(|rows| {
            let start = values.start + rows.start * width;
            source.blocks.check(start..start + rows.len() * width)
        })
    }

    /// Some columns, of which some rows are used and no others: of vectors only those are read.
    pub fn pick(
        &self,
        shown: &[usize],
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Result<RecordBatch> {
        let vectors = |at: usize| match self.schema.field(at).data_type() {
            DataType::FixedSizeList(item, _) => item.data_type().is_primitive(),
            _ => false,
        };
        self.made_of(shown, |at| {
            if !vectors(at) {
                return self.column(at);
            }
            let column = self.vectors(at)?;
            self.touch(at, rows.clone().map(|row| row..row + 1))?;
            Ok(column)
        })
    }

    /// Some columns, in this order.
    pub fn project(&self, shown: &[usize]) -> Result<RecordBatch> {
        self.made_of(shown, |at| self.column(at))
    }

    fn made_of(
        &self,
        shown: &[usize],
        column: impl Fn(usize) -> Result<ArrayRef>,
    ) -> Result<RecordBatch> {
        let columns = shown.iter().map(|&at| column(at)).collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        let schema = Arc::new(self.schema.project(shown)?);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// Some columns by name.
    pub fn named(&self, names: &[&str]) -> Result<RecordBatch> {
        let places: Result<Vec<_>> =
            names.iter().map(|name| schema::position(&self.schema, name)).collect();
        self.project(&places?)
    }

    /// All columns.
    pub fn batch(&self) -> Result<RecordBatch> {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        self.project(&all)
    }
}

impl Source {
    /// A column as a view of the file.
    fn read(&self, schema: &SchemaRef, at: usize, count: usize) -> Result<ArrayRef> {
        let decoder = FileDecoder::new(schema.clone(), self.version).with_projection(vec![at]);
        let (start, body) = (self.block.offset(), self.block.bodyLength());
        let length = i64::from(self.block.metaDataLength()) + body;
        // Both were found to lie in the file.
        let (start, length) = (start.unsigned_abs() as usize, length.unsigned_abs() as usize);
        let bytes = self.blocks.bytes().slice_with_length(start, length);
        let read = || {
            let batch =
                decoder.read_record_batch(&self.block, &bytes).map_err(|e| e.to_string())?;
            let column = batch.and_then(|batch| batch.columns().first().cloned());
            let column = column.filter(|column| column.len() == count);
            column.ok_or_else(|| format!("column {at} is of another length than its rows"))
        };
        guarded(read).map_err(|what| self.blocks.damaged(start, what))
    }
}
