//! Schemes and weights that tests share.
#![allow(dead_code, reason = "not every test uses all of them")]

use arrow_quant::{ParamFormat, QuantizedMatrix, Scheme, dequantize};
use proptest::prelude::*;

/// Every scheme that is offered.
pub fn schemes() -> Vec<Scheme> {
    let mut all = Vec::new();
    for bits in [2, 3, 4, 8] {
        for group in [None, Some(16), Some(32), Some(64), Some(128)] {
            for symmetric in [false, true] {
                for params in [ParamFormat::F16, ParamFormat::U6, ParamFormat::U4] {
                    all.extend(Scheme::new(bits, group, symmetric, params));
                }
            }
        }
    }
    assert_eq!(56, all.len());
    all
}

/// One of them.
pub fn scheme() -> impl Strategy<Value = Scheme> {
    prop::sample::select(schemes())
}

/// Numbers that look normal, the same for the same seed.
pub fn gaussian(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((mixed >> 40) as f32 + 0.5) / (1u64 << 24) as f32
    };
    (0..count)
        .map(|_| (-2.0 * uniform().ln()).sqrt() * (std::f32::consts::TAU * uniform()).cos())
        .collect()
}

/// All weights of a matrix.
pub fn floats(matrix: &QuantizedMatrix<'_>) -> Vec<f32> {
    let geometry = matrix.geometry();
    let mut out = vec![0.0; geometry.rows * geometry.columns];
    dequantize(matrix, &mut out, 1).unwrap();
    out
}
