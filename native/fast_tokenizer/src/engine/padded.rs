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
    #[error("expected max_length of at least {1}, which the ids around every text take, got {0}")]
    TooNarrow(usize, usize),
    /// Nothing to round to.
    #[error("expected pad_to_multiple_of of at least 1, got 0")]
    NoMultiple,
    /// One long text makes all rows long.
    #[error("expected max_length, got none: {0} rows of {1} ids do not fit into memory")]
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

    /// Each row by itself: cut, surrounded, and filled up on one side to the common width.
    #[test]
    fn any_layout_is_what_it_says_of_each_row() {
        let mut state = 9_u64;
        let mut pick = |most: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % most
        };
        for _ in 0..2000 {
            let (mut batch, mut rows) = (Batch { ids: vec![], offsets: vec![0] }, vec![]);
            for _ in 0..pick(5) {
                let row: Vec<u32> = (0..pick(9)).map(|_| pick(90) as u32).collect();
                batch.ids.extend(&row);
                batch.offsets.push(batch.ids.len());
                rows.push(row);
            }
            let layout = Layout {
                pad: 99,
                max_length: [None, Some(5 + pick(6))][pick(2)],
                fill: pick(2) == 0,
                multiple: 1 + pick(4),
                pad_left: pick(2) == 0,
                truncate_left: pick(2) == 0,
                before: vec![7; pick(3)],
                after: vec![8; pick(3)],
            };
            let around = layout.before.len() + layout.after.len();
            let room = layout.max_length.map_or(usize::MAX, |most| most - around);
            for row in &mut rows {
                while row.len() > room {
                    row.remove(if layout.truncate_left { 0 } else { row.len() - 1 });
                }
                *row = [&layout.before[..], row, &layout.after[..]].concat();
            }
            let mut width = rows.iter().map(Vec::len).max().unwrap_or(0);
            if let (true, Some(most)) = (layout.fill, layout.max_length) {
                width = most;
            }
            while width % layout.multiple > 0 {
                width += 1;
            }
            let (mut ids, mut mask) = (vec![], vec![]);
            for row in rows {
                let mut cells: Vec<(i64, bool)> =
                    row.iter().map(|&id| (i64::from(id), true)).collect();
                while cells.len() < width {
                    cells.insert(if layout.pad_left { 0 } else { cells.len() }, (99, false));
                }
                ids.extend(cells.iter().map(|cell| cell.0));
                mask.extend(cells.iter().map(|cell| cell.1));
            }
            assert_eq!(Ok(Padded { ids, mask, width }), batch.padded(&layout), "{layout:?}");
        }
    }
}
