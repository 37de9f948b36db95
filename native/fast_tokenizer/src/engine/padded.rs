//! Rows of ids as one rectangle, in the numbers that networks take.

use super::parallel::Batch;

/// How rows come to one length.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Id of padding.
    pub pad: u32,
    /// Most ids of a row, those of `before` and `after` included; the rest of a text is cut off.
    pub max_length: Option<usize>,
    /// Pad to `max_length` even if all rows are shorter.
    pub fill: bool,
    /// The width is a multiple of it.
    pub multiple: usize,
    /// Padding comes first, not last.
    pub pad_left: bool,
    /// A text loses its start, not its end.
    pub truncate_left: bool,
    /// Ids in front of every text.
    pub before: Vec<u32>,
    /// Ids behind every text.
    pub after: Vec<u32>,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            pad: 0,
            max_length: None,
            fill: false,
            multiple: 1,
            pad_left: false,
            truncate_left: false,
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

/// A rectangle of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Padded {
    /// Row after row.
    pub ids: Vec<i64>,
    /// Where ids are no padding.
    pub mask: Vec<bool>,
    /// Ids a row.
    pub width: usize,
}

/// Why there is no rectangle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// What surrounds every text leaves no room.
    #[error("max_length is {0}; want at least {1}, which the ids around every text take")]
    TooNarrow(usize, usize),
    /// Nothing to round to.
    #[error("pad_to_multiple_of is 0; want at least 1")]
    NoMultiple,
    /// One long text makes all rows long.
    #[error("{0} rows of {1} ids do not fit into memory; want max_length")]
    TooLarge(usize, usize),
}

/// The part of a row that is kept.
fn kept(ids: &[u32], room: usize, from_end: bool) -> &[u32] {
    let surplus = ids.len().saturating_sub(room);
    if from_end { &ids[surplus..] } else { &ids[..ids.len() - surplus] }
}

impl Batch {
    /// The ids of each text.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.offsets.windows(2).map(|ends| &self.ids[ends[0]..ends[1]])
    }

    /// The rows as a rectangle.
    ///
    /// # Errors
    ///
    /// The layout cannot be, or the rectangle does not fit into memory.
    pub fn padded(&self, layout: &Layout) -> Result<Padded, Misfit> {
        let around = layout.before.len() + layout.after.len();
        let room = match layout.max_length {
            Some(most) if most < around => return Err(Misfit::TooNarrow(most, around)),
            Some(most) => most - around,
            None => usize::MAX,
        };
        let longest = self.rows().map(|row| row.len().min(room) + around).max().unwrap_or(0);
        let width = if layout.fill { layout.max_length.unwrap_or(longest) } else { longest };
        let count = self.offsets.len().saturating_sub(1);
        let large = || Misfit::TooLarge(count, width);
        if layout.multiple == 0 {
            return Err(Misfit::NoMultiple);
        }
        let width = width.checked_next_multiple_of(layout.multiple).ok_or_else(large)?;
        let size = count.checked_mul(width).ok_or_else(large)?;
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        ids.try_reserve_exact(size).map_err(|_| large())?;
        mask.try_reserve_exact(size).map_err(|_| large())?;
        for row in self.rows() {
            let row = kept(row, room, layout.truncate_left);
            let length = around + row.len();
            let end = ids.len() + width;
            let pad = |ids: &mut Vec<i64>, mask: &mut Vec<bool>, count| {
                ids.resize(ids.len() + count, layout.pad.into());
                mask.resize(mask.len() + count, false);
            };
            if layout.pad_left {
                pad(&mut ids, &mut mask, width - length);
            }
            for part in [&layout.before[..], row, &layout.after[..]] {
                ids.extend(part.iter().map(|&id| i64::from(id)));
            }
            mask.resize(ids.len(), true);
            let missing = end - ids.len();
            pad(&mut ids, &mut mask, missing);
        }
        Ok(Padded { ids, mask, width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { ids: vec![1, 2, 3, 4, 5], offsets: vec![0, 3, 3, 5] }
    }

    #[test]
    fn rows_are_cut_and_padded_on_either_side() {
        let layout = Layout { pad: 9, max_length: Some(4), ..Layout::default() };
        let right = batch().padded(&Layout { before: vec![7], after: vec![8], ..layout.clone() });
        let right = right.unwrap();
        assert_eq!(vec![7, 1, 2, 8, 7, 8, 9, 9, 7, 4, 5, 8], right.ids);
        assert_eq!(right.ids.iter().map(|&id| id != 9).collect::<Vec<_>>(), right.mask);
        let layout = Layout { pad_left: true, truncate_left: true, ..layout };
        let left = batch().padded(&Layout { max_length: Some(2), multiple: 3, ..layout }).unwrap();
        assert_eq!(vec![9, 2, 3, 9, 9, 9, 9, 4, 5], left.ids);
        let mask = [false, true, true, false, false, false, false, true, true];
        assert_eq!((&mask[..], 3), (&left.mask[..], left.width));
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let layout = |max_length, multiple| Layout {
            max_length: Some(max_length),
            fill: true,
            multiple,
            before: vec![7],
            ..Layout::default()
        };
        assert_eq!(Err(Misfit::TooNarrow(0, 1)), batch().padded(&layout(0, 1)));
        assert_eq!(Err(Misfit::NoMultiple), batch().padded(&layout(8, 0)));
        for most in [usize::MAX, usize::MAX / 2, usize::MAX / 32] {
            assert!(matches!(batch().padded(&layout(most, 2)), Err(Misfit::TooLarge(3, _))));
        }
        let nothing = Batch { ids: vec![], offsets: vec![0] };
        assert_eq!(0, nothing.padded(&Layout::default()).unwrap().ids.len());
    }
}
