//! The fused product is that of the dequantized matrix, with the instructions of every level.

mod common;

use arrow_quant::linear::linear_at;
use arrow_quant::{Activations, Level, Quality, Weight, linear, quantize};
use common::{floats, gaussian, scheme};
use proptest::prelude::*;

/// The rounding that `linear` documents, in plain terms.
fn rounded(x: &[f32]) -> (Vec<f64>, f64) {
    let scale = x.iter().fold(0f32, |m, x| m.max(x.abs())) / 127.0;
    let inverse = if scale > 1e-36 { 1.0 / scale } else { 0.0 };
    (x.iter().map(|x| f64::from((x * inverse).round_ties_even())).collect(), f64::from(scale))
}

proptest! {
    #[test]
    fn fused_is_dequantized_times_activations(
        scheme in scheme(), rows in 1usize..40, columns in 1usize..1400, batch in 1usize..40,
        seed in any::<u64>(), threads in 1usize..3,
    ) {
        let weight = gaussian(rows * columns, seed);
        let x = gaussian(batch * columns, seed ^ 1);
        let view = Weight::f32(&weight, rows, columns).unwrap();
        let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
        let w = floats(&matrix);
        for activations in [Activations::Int8, Activations::Float32] {
            let mut expected = Vec::new();
            let mut sizes = Vec::new();
            for x in x.chunks(columns) {
                let (codes, scale) = match activations {
                    Activations::Int8 => rounded(x),
                    Activations::Float32 => (x.iter().map(|&x| f64::from(x)).collect(), 1.0),
                };
                for w in w.chunks(columns) {
                    let terms = || w.iter().zip(&codes).map(|(&w, &x)| f64::from(w) * x * scale);
                    expected.push(terms().sum::<f64>());
                    // Codes are positive: terms are as large as the minimum's and cancel.
                    let largest = w.iter().fold(0f32, |m, w| m.max(w.abs()));
                    let whole: f64 = codes.iter().map(|x| x.abs()).sum();
                    sizes.push(whole * scale * f64::from(largest));
                }
            }
            for level in Level::available() {
                let mut out = vec![f32::NAN; batch * rows];
                linear_at(&matrix, &x, batch, activations, &mut out, threads, level).unwrap();
                for ((&expected, &size), &found) in expected.iter().zip(&sizes).zip(&out) {
                    prop_assert!(
                        (expected - f64::from(found)).abs() <= 1e-5 * size + 1e-30,
                        "{expected} {found} of {size} at {} {activations:?}", level.name(),
                    );
                }
            }
        }
    }
}

#[test]
fn a_row_that_is_not_finite_is_nan_and_others_are_not() {
    let weight = gaussian(20 * 70, 1);
    let view = Weight::f32(&weight, 20, 70).unwrap();
    for scheme in common::schemes() {
        let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut x = gaussian(3 * 70, 2);
            x[70 + 69] = bad;
            let mut out = vec![0.0; 3 * 20];
            linear(&matrix, &x, 3, Activations::Int8, &mut out, 1).unwrap();

            assert!(out[20..40].iter().all(|y| y.is_nan()));
            assert!(out[..20].iter().chain(&out[40..]).all(|y| y.is_finite()));
        }
    }
}

/// The reciprocal of their scale is beyond float32.
#[test]
fn the_smallest_activations_give_small_products() {
    let weight = gaussian(20 * 70, 1);
    let view = Weight::f32(&weight, 20, 70).unwrap();
    for scheme in common::schemes() {
        let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
        for size in [1e-33, 1e-36, 1e-37, 1e-38, 1e-40, 1e-44, 0.0] {
            let x: Vec<f32> = gaussian(70, 2).iter().map(|x| x * size).collect();
            for level in Level::available() {
                let mut out = vec![f32::NAN; 20];
                linear_at(&matrix, &x, 1, Activations::Int8, &mut out, 1, level).unwrap();

                assert!(out.iter().all(|y| y.abs() <= 200.0 * size.max(1e-36)), "{size} {out:?}");
                assert!(size != 0.0 || out.iter().all(|&y| y == 0.0));
            }
        }
    }
}

#[test]
fn empty_operands_give_empty_or_zero_products() {
    for scheme in common::schemes() {
        for (rows, columns, batch) in [(0, 5, 2), (5, 0, 2), (5, 5, 0), (0, 0, 0)] {
            let weight = gaussian(rows * columns, 1);
            let view = Weight::f32(&weight, rows, columns).unwrap();
            let matrix = quantize(&view, scheme, Quality::Search(None), 2).unwrap();
            let x = vec![1.0; batch * columns];
            for activations in [Activations::Int8, Activations::Float32] {
                let mut out = vec![1.0; batch * rows];
                linear(&matrix, &x, batch, activations, &mut out, 2).unwrap();
                let expected = if columns == 0 { 0.0 } else { 1.0 };

                assert!(out.iter().all(|&y| expected == y));
            }
        }
    }
}

#[test]
fn buffers_of_other_lengths_are_refused() {
    let weight = gaussian(20 * 70, 1);
    let view = Weight::f32(&weight, 20, 70).unwrap();
    let matrix = quantize(&view, common::schemes()[0], Quality::Fast, 1).unwrap();
    for (x, batch, out) in [(69, 1, 20), (70, 1, 19), (70, 2, 20), (70, usize::MAX, 20)] {
        let (x, mut out) = (vec![0.0; x], vec![0.0; out]);

        assert!(linear(&matrix, &x, batch, Activations::Int8, &mut out, 1).is_err());
    }
}
