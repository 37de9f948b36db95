//! How a matrix is quantized, and where its bytes lie.

use crate::{Error, Result};

/// Rows that are packed, and computed, together.
pub const ROWS: usize = 16;
/// Columns of a tile; a row is padded to whole tiles.
pub const COLUMNS: usize = 32;
/// Columns under one pair of float16s in [`ParamFormat::U4`], and between two conversions to float.
pub const SUPER: usize = 256;

/// How the scale and the minimum of a group are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamFormat {
    /// A float16 each; without a minimum where the scheme is symmetric.
    F16,
    /// 6 bits each, in units of two float16s a row.
    U6,
    /// 4 bits each, in units of two float16s for every 256 columns.
    U4,
}

impl ParamFormat {
    /// The largest integer, where it keeps integers.
    #[must_use]
    pub fn levels(self) -> Option<u8> {
        match self {
            Self::F16 => None,
            Self::U6 => Some(63),
            Self::U4 => Some(15),
        }
    }
}

/// What a code stands for: `scale * code + minimum` of its group, times `2^exponent` of its row where
/// rows have exponents.
///
/// In a symmetric scheme the minimum is `-scale * 2^(bits - 1)`, and the scale may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    bits: u8,
    group_size: Option<usize>,
    symmetric: bool,
    params: ParamFormat,
    exponents: bool,
}

impl Scheme {
    /// A scheme; `group_size` of `None` is a whole row.
    ///
    /// # Errors
    /// If a setting is not offered, alone or beside the others.
    pub fn new(
        bits: u8,
        group_size: Option<usize>,
        symmetric: bool,
        params: ParamFormat,
    ) -> Result<Self> {
        let wrong = |name, value, expected| Err(Error::Setting { name, value, expected });
        if !matches!(bits, 2 | 3 | 4 | 8) {
            return wrong("bits", bits.to_string(), "2, 3, 4 or 8");
        }
        let group = group_size.map_or_else(|| "a row".to_owned(), |size| size.to_string());
        if params == ParamFormat::F16 {
            if !matches!(group_size, None | Some(32 | 64 | 128)) {
                return wrong("group_size", group, "32, 64, 128 or a row with f16 parameters");
            }
        } else if !matches!(group_size, Some(16 | 32 | 64 | 128)) {
            return wrong("group_size", group, "16, 32, 64 or 128 with u6 or u4 parameters");
        } else if symmetric {
            let expected = "f16 for a symmetric scheme";
            return wrong("param_format", format!("{params:?}").to_lowercase(), expected);
        } else if bits == 8 {
            let expected = "f16 for 8 bits";
            return wrong("param_format", format!("{params:?}").to_lowercase(), expected);
        }
        Ok(Self { bits, group_size, symmetric, params, exponents: false })
    }

    /// The same with or without an exponent for each row.
    ///
    /// Quantizing adds them where float16s alone would lose a row that is very small or very large.
    #[must_use]
    pub fn with_exponents(self, exponents: bool) -> Self {
        Self { exponents, ..self }
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// Columns that share a scale, `None` for a whole row.
    #[must_use]
    pub fn group_size(&self) -> Option<usize> {
        self.group_size
    }

    /// Whether zero is always a code's value.
    #[must_use]
    pub fn symmetric(&self) -> bool {
        self.symmetric
    }

    /// How scales and minima are kept.
    #[must_use]
    pub fn params(&self) -> ParamFormat {
        self.params
    }

    /// Whether each row has an exponent.
    #[must_use]
    pub fn exponents(&self) -> bool {
        self.exponents
    }

    /// The largest code.
    #[must_use]
    pub fn max_code(&self) -> f32 {
        f32::from(u8::MAX >> (8 - self.bits))
    }

    /// The code of zero in a symmetric scheme.
    #[must_use]
    pub fn zero_code(&self) -> f32 {
        f32::from(1u8 << (self.bits - 1))
    }
}

/// Where everything of a matrix lies.
///
/// Codes: for each 16 rows, for each 32 columns, one tile. A tile is eight quads of 16 rows by 4
/// columns, a byte a code; 8 bits store them one after another, 4 bits two in a byte (the even one
/// low), 2 bits four, and 3 bits the upper two bits of each code as 2 bits would, then the lowest bits of all
/// eight quads in one.
///
/// Parameters: for each 16 rows, for each group, 16 scales and then 16 minima. U6 and U4 put the
/// float16s of those 16 rows before them (scales, then minima), U4 again before each 256 columns.
/// Of a group they keep 16 bytes, the lower four bits of scale and minimum in the lower and upper half
/// of each, and U6 8 bytes more, with the upper two bits of both of the first eight rows in the lower
/// half of each, and of the other rows in the upper half.
///
/// Behind the parameters of all rows stand the exponents, where there are any: a signed byte for each
/// row, padded rows included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The scheme.
    pub scheme: Scheme,
    /// Rows of the matrix (outputs of the product).
    pub rows: usize,
    /// Columns of the matrix (inputs of the product).
    pub columns: usize,
    /// Columns of a group.
    pub group: usize,
    /// Bytes of the codes of 16 rows.
    pub code_bytes: usize,
    /// Bytes of the parameters of 16 rows.
    pub param_bytes: usize,
    // Divisions that products would else do for every group.
    groups: usize,
    groups_of_super: usize,
}

impl Geometry {
    /// Lay out a matrix.
    ///
    /// # Errors
    /// If it has more bytes, or more float32s, than can be addressed.
    pub fn new(scheme: Scheme, rows: usize, columns: usize) -> Result<Self> {
        let fits = |bytes: Option<usize>| bytes.filter(|&b| isize::try_from(b).is_ok());
        let padded = (rows.checked_add(ROWS), columns.checked_add(SUPER));
        let (Some(tall), Some(wide)) = padded else {
            return Err(Error::TooLarge { rows, columns });
        };
        // Everything below is smaller than this.
        if fits(tall.checked_mul(wide).and_then(|n| n.checked_mul(16))).is_none() {
            return Err(Error::TooLarge { rows, columns });
        }
        let group = scheme.group_size.unwrap_or(columns.max(1));
        let tile = ROWS * COLUMNS * usize::from(scheme.bits) / 8;
        let groups = columns.div_ceil(group);
        let param_bytes = match scheme.params {
            ParamFormat::F16 => groups * if scheme.symmetric { 32 } else { 64 },
            ParamFormat::U6 => groups.min(1) * 64 + groups * 24,
            ParamFormat::U4 => columns.div_ceil(SUPER) * 64 + groups * 16,
        };
        let code_bytes = columns.div_ceil(COLUMNS) * tile;
        let groups_of_super = match scheme.params {
            ParamFormat::U4 => SUPER / group,
            _ => groups.max(1),
        };
        Ok(Self { scheme, rows, columns, group, code_bytes, param_bytes, groups, groups_of_super })
    }

    /// Sixteens of rows.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Bytes of the exponents of all rows.
    #[must_use]
    pub fn exponent_bytes(&self) -> usize {
        if self.scheme.exponents { self.blocks() * ROWS } else { 0 }
    }

    /// Groups of a row.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Columns of padded rows.
    #[must_use]
    pub fn padded_columns(&self) -> usize {
        self.columns.next_multiple_of(COLUMNS)
    }

    /// Bytes of a tile of codes.
    #[must_use]
    pub fn tile_bytes(&self) -> usize {
        ROWS * COLUMNS * usize::from(self.scheme.bits) / 8
    }

    /// Columns whose integer products are summed before they become floats.
    #[must_use]
    pub fn unit(&self) -> usize {
        if self.scheme.group_size.is_none() { SUPER } else { self.group }
    }

    /// Groups under one pair of float16s, where parameters are integers.
    #[must_use]
    pub fn groups_of_super(&self) -> usize {
        self.groups_of_super
    }

    /// Where the parameters of a group start among those of its 16 rows.
    #[must_use]
    pub fn group_at(&self, group: usize) -> usize {
        match self.scheme.params {
            ParamFormat::F16 => group * if self.scheme.symmetric { 32 } else { 64 },
            ParamFormat::U6 => 64 + group * 24,
            ParamFormat::U4 => (group / self.groups_of_super() + 1) * 64 + group * 16,
        }
    }

    /// Where the float16s above a group start among the parameters of its 16 rows.
    #[must_use]
    pub fn super_at(&self, group: usize) -> usize {
        let first = group / self.groups_of_super() * self.groups_of_super();
        self.group_at(first).saturating_sub(64)
    }
}
