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

    /// The query as the kernels want it: of unit length for cosine, unchanged otherwise.
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
}
