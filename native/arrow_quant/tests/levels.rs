//! Every instruction set quantizes as the others do, and gives the same floats as plain Rust.
//!
//! Small enough for Miri, which then holds the unsafe code of plain Rust against the rules.

mod common;

use arrow_quant::dequantize::dequantize_at;
use arrow_quant::linear::linear_at;
use arrow_quant::quantize::quantize_at;
use arrow_quant::{
    Activations, Level, Quality, QuantizedMatrix, Scheme, Values, Weight, relative_error,
};
use common::{gaussian, schemes};

/// More than a sixteen of rows, and no whole number of tiles or groups.
const ROWS: usize = if cfg!(miri) { 17 } else { 21 };
const COLUMNS: usize = if cfg!(miri) { 37 } else { 300 };

/// Two of the schemes for Miri, which is a thousand times slower.
fn some_schemes() -> impl Iterator<Item = Scheme> {
    schemes().into_iter().step_by(if cfg!(miri) { 39 } else { 1 })
}

/// A second moment of inputs that go together.
fn hessian() -> Vec<f64> {
    let own = gaussian(COLUMNS, 7);
    let both = |(i, j): (usize, usize)| {
        let same = if i == j { 1.0 } else { 0.0 };
        f64::from(own[i]) * f64::from(own[j]) + same
    };
    (0..COLUMNS * COLUMNS).map(|at| both((at / COLUMNS, at % COLUMNS))).collect()
}

/// Sums of products are rounded once by a machine's own instructions and twice by plain Rust, so a
/// search may end elsewhere, but nowhere worse.
#[test]
fn quantized_bytes_are_the_same_and_as_good_as_those_of_plain_rust() {
    let hessian = hessian();
    let importance: Vec<f32> = gaussian(COLUMNS, 2).iter().map(|x| x.abs()).collect();
    for scheme in some_schemes() {
        for quality in [
            Quality::Fast,
            Quality::Search(None),
            Quality::Search(Some(&importance)),
            Quality::Calibrated(&hessian),
        ] {
            each_width(|weight| {
                let at = |level| quantize_at(weight, scheme, quality, 2, level).unwrap();
                let error =
                    |matrix: &QuantizedMatrix<'_>| relative_error(matrix, weight, None, 1).unwrap();
                let plain = error(&at(Level::PORTABLE));
                let matrices: Vec<_> = Level::available()[1..].iter().map(|&l| at(l)).collect();

                assert!(matrices.windows(2).all(|pair| pair[0] == pair[1]), "{scheme:?}");
                for ratio in matrices.iter().map(|matrix| error(matrix) / plain) {
                    assert!((ratio - 1.0).abs() < 0.02, "{ratio} times the error, {scheme:?}");
                }
            });
        }
    }
}

/// The same matrix as single precision, and in half of it.
fn each_width(work: impl Fn(&Weight<'_>)) {
    let wide = gaussian(ROWS * COLUMNS, 1);
    let half: Vec<half::f16> = wide.iter().map(|&x| half::f16::from_f32(x)).collect();
    for values in [Values::F32(&wide), Values::F16(&half)] {
        work(&Weight::new(values, ROWS, COLUMNS).unwrap());
    }
}

#[test]
fn floats_are_the_same() {
    for (scheme, matrix) in matrices() {
        let at = |level| {
            let mut out = vec![f32::NAN; ROWS * COLUMNS];
            dequantize_at(&matrix, &mut out, 2, level).unwrap();
            out.iter().map(|w| w.to_bits()).collect::<Vec<_>>()
        };
        let expected = at(Level::PORTABLE);
        for level in Level::available() {
            assert_eq!(expected, at(level), "{} {scheme:?}", level.name());
        }
    }
}

/// Of many rows the codes are unpacked once, and 256 go through all weights before the next.
#[test]
fn a_product_does_not_depend_on_the_rows_beside_it() {
    const BATCH: usize = if cfg!(miri) { 18 } else { 300 };
    let x = gaussian(BATCH * COLUMNS, 3);
    for (scheme, matrix) in matrices() {
        for activations in [Activations::Int8, Activations::Float32] {
            for level in Level::available() {
                let products = |x: &[f32]| {
                    let batch = x.len() / COLUMNS;
                    let mut out = vec![f32::NAN; batch * ROWS];
                    linear_at(&matrix, x, batch, activations, &mut out, 2, level).unwrap();
                    out
                };
                let all = products(&x);
                for row in [0, 17, 255, 256, BATCH - 1] {
                    let Some(x) = x.chunks(COLUMNS).nth(row) else { continue };
                    let beside = &all[row * ROWS..][..ROWS];
                    for (alone, beside) in products(x).iter().zip(beside) {
                        assert!((alone - beside).abs() < 1e-3, "{} {scheme:?}", level.name());
                    }
                }
            }
        }
    }
}

/// A matrix of every scheme.
fn matrices() -> impl Iterator<Item = (Scheme, QuantizedMatrix<'static>)> {
    let weight = gaussian(ROWS * COLUMNS, 1);
    some_schemes().map(move |scheme| {
        let view = Weight::f32(&weight, ROWS, COLUMNS).unwrap();
        (scheme, quantize_at(&view, scheme, Quality::Fast, 1, Level::PORTABLE).unwrap())
    })
}
