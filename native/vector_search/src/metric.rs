//! How near two vectors are.

/// A distance; smaller is nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `1 - cos(a, b)`, in `[0, 2]`; 1 where either vector is zero.
    Cosine,
    /// `-a . b`.
    InnerProduct,
    /// `|a - b|^2`, without the square root.
    L2,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::InnerProduct, Self::L2];

    /// The query in the form that the kernels read: of unit length for cosine, unchanged otherwise.
    ///
    /// The length is found in float64, so no finite query overflows.
    #[must_use]
    pub fn prepare(self, query: &[f32]) -> Vec<f32> {
        let mut prepared = query.to_vec();
        if self == Self::Cosine {
            let square: f64 = query.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            if square > 0.0 {
                let inverse = square.sqrt().recip();
                for x in &mut prepared {
                    #[expect(clippy::cast_possible_truncation, reason = "at most 1 in size")]
                    let scaled = (f64::from(*x) * inverse) as f32;
                    *x = scaled;
                }
            }
        }
        prepared
    }

    /// The distance of a row from a prepared query, summed in float64, which holds the squares of all
    /// that float32 holds and the sums of those; infinite where float32 does not hold it.
    #[cold]
    #[inline(never)]
    #[must_use]
    pub(crate) fn widely(
        self,
        query: impl Iterator<Item = f32>,
        row: impl Iterator<Item = f32>,
    ) -> f32 {
        let pairs = query.zip(row).map(|(q, x)| (f64::from(q), f64::from(x)));
        let [dot, square, apart] = pairs.fold([0.0; 3], |[dot, square, apart], (q, x)| {
            [dot + q * x, square + x * x, apart + (q - x) * (q - x)]
        });
        #[expect(clippy::cast_possible_truncation, reason = "to the nearest, or infinite")]
        match self {
            Self::Cosine if square == 0.0 => 1.0,
            Self::Cosine => (1.0 - dot / square.sqrt()) as f32,
            Self::InnerProduct => -dot as f32,
            Self::L2 => apart as f32,
        }
    }
}
