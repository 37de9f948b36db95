//! Fault T3: rows of any size lose as much, in floats and in products.

mod common;

use arrow_quant::dequantize::dequantize_at;
use arrow_quant::linear::linear_at;
use arrow_quant::quantize::quantize_at;
use arrow_quant::{
    Activations, Level, ParamFormat, Quality, QuantizedMatrix, Scheme, Values, Weight, quantize,
    relative_error,
};
use common::{floats, gaussian, scheme, schemes};
use proptest::prelude::*;

const ROWS: usize = 40;
const COLUMNS: usize = 300;

/// Powers of two by which rows differ, some of them beyond float16 on both sides.
fn power(row: usize) -> f32 {
    2f32.powi([0, -100, -60, -31, -24, -17, -14, -8, -3, 0, 5, 12, 16, 40, 100][row % 15])
}

/// The same weights in every row, each row of another size.
fn of_all_sizes(weight: &[f32]) -> Vec<f32> {
    let rows = weight.chunks(COLUMNS).enumerate();
    rows.flat_map(|(row, w)| w.iter().map(move |w| w * power(row))).collect()
}

/// A second moment, and the importances on its diagonal.
fn hessian() -> (Vec<f64>, Vec<f32>) {
    let own = gaussian(COLUMNS, 7);
    let moment = |at: usize| {
        let (i, j) = (at / COLUMNS, at % COLUMNS);
        f64::from(own[i]) * f64::from(own[j]) + if i == j { 1.0 } else { 0.0 }
    };
    let moment: Vec<f64> = (0..COLUMNS * COLUMNS).map(moment).collect();
    let diagonal = moment.iter().step_by(COLUMNS + 1).map(|&h| h as f32).collect();
    (moment, diagonal)
}

/// A product with a power of two is exact, so nothing but the exponents may differ.
#[test]
fn codes_do_not_depend_on_the_size_of_a_row() {
    let weight = gaussian(ROWS * COLUMNS, 1);
    let sized = of_all_sizes(&weight);
    let [plain, sized] = [&weight, &sized].map(|w| Weight::f32(w, ROWS, COLUMNS).unwrap());
    let (hessian, importance) = hessian();
    for scheme in schemes() {
        for quality in [
            Quality::Fast,
            Quality::Search(None),
            Quality::Search(Some(&importance)),
            Quality::Calibrated(&hessian),
        ] {
            for level in Level::available() {
                let at = |w| quantize_at(w, scheme, quality, 2, level).unwrap();
                let [plain, sized] = [at(&plain), at(&sized)];
                let expected = of_all_sizes(&floats(&plain));

                assert!(sized.geometry().scheme.exponents());
                assert!(!plain.geometry().scheme.exponents() || scheme.bits() == 8, "{scheme:?}");
                assert_eq!(plain.codes(), sized.codes(), "{scheme:?} {}", level.name());
                assert_eq!(expected, floats(&sized), "{scheme:?} {}", level.name());
            }
        }
    }
}

#[test]
fn products_are_of_the_size_of_the_row() {
    let weight = gaussian(ROWS * COLUMNS, 2);
    let sized = of_all_sizes(&weight);
    for scheme in schemes() {
        let [plain, sized] = [&weight, &sized].map(|w| {
            let view = Weight::f32(w, ROWS, COLUMNS).unwrap();
            quantize(&view, scheme, Quality::Fast, 1).unwrap()
        });
        for batch in [1, 3, 41] {
            let x = gaussian(batch * COLUMNS, 3);
            for activations in [Activations::Int8, Activations::Float32] {
                for level in Level::available() {
                    let [plain, sized] = [&plain, &sized].map(|matrix| {
                        let mut out = vec![f32::NAN; batch * ROWS];
                        linear_at(matrix, &x, batch, activations, &mut out, 2, level).unwrap();
                        out
                    });
                    for (at, (plain, sized)) in plain.iter().zip(&sized).enumerate() {
                        assert_eq!(plain * power(at % ROWS), *sized, "{scheme:?} {}", level.name());
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_factor_leaves_the_error_as_it_is(
        scheme in scheme(), exponent in -30f32..30.0, seed in any::<u64>(), fast in any::<bool>(),
    ) {
        let weight = gaussian(20 * 200, seed);
        let factor = 10f32.powf(exponent);
        let scaled: Vec<f32> = weight.iter().map(|w| w * factor).collect();
        let quality = if fast { Quality::Fast } else { Quality::Search(None) };
        let [before, after] = [&weight, &scaled].map(|w| {
            let view = Weight::f32(w, 20, 200).unwrap();
            relative_error(&quantize(&view, scheme, quality, 1).unwrap(), &view, None, 1).unwrap()
        });

        prop_assert!((after / before - 1.0).abs() < 0.05, "{after} at {factor:e}, was {before}");
    }

    /// Half precision has small numbers of its own.
    #[test]
    fn half_precision_keeps_its_smallest(scheme in scheme(), exponent in -30i32..-2, seed in any::<u64>()) {
        let wide: Vec<f32> = gaussian(20 * 100, seed).iter().map(|w| w * 2f32.powi(exponent)).collect();
        let f16: Vec<half::f16> = wide.iter().map(|&w| half::f16::from_f32(w)).collect();
        let bf16: Vec<half::bf16> = wide.iter().map(|&w| half::bf16::from_f32(w)).collect();
        let same: Vec<f32> = f16.iter().map(|w| w.to_f32()).collect();
        let same16: Vec<f32> = bf16.iter().map(|w| w.to_f32()).collect();
        for (narrow, same) in [(Values::F16(&f16), same), (Values::Bf16(&bf16), same16)] {
            let views = [Weight::new(narrow, 20, 100).unwrap(), Weight::f32(&same, 20, 100).unwrap()];
            let [narrow, same] = views.map(|w| quantize(&w, scheme, Quality::Search(None), 1).unwrap());

            prop_assert_eq!(narrow, same);
        }
    }
}

/// Beside a weight of full size float16s keep what is a billion times smaller, and nothing breaks below.
#[test]
fn groups_of_one_row_may_differ_in_size() {
    for symmetric in [false, true] {
        let scheme = Scheme::new(8, Some(32), symmetric, ParamFormat::F16).unwrap();
        for exponent in [-20, -28, -60, -120] {
            let mut weight = gaussian(17 * 96, 4);
            for row in weight.chunks_mut(96) {
                row[32..64].iter_mut().for_each(|w| *w *= 2f32.powi(exponent));
            }
            let view = Weight::f32(&weight, 17, 96).unwrap();
            for quality in [Quality::Fast, Quality::Search(None)] {
                let back = floats(&quantize(&view, scheme, quality, 1).unwrap());
                let (mut lost, mut whole) = (0.0, 0.0);
                for (w, back) in weight.chunks(96).zip(back.chunks(96)) {
                    for (w, back) in w[32..64].iter().zip(&back[32..64]) {
                        lost += f64::from(w - back).powi(2);
                        whole += f64::from(*w).powi(2);
                        assert!((w - back).abs() <= 2f32.powi(exponent.max(-45)), "{w} {back}");
                    }
                }
                assert!(exponent < -20 || lost < 1e-3 * whole, "{exponent} {}", lost / whole);
            }
        }
    }
}

#[test]
fn exponents_are_bytes_behind_the_parameters() {
    let sized = of_all_sizes(&gaussian(ROWS * COLUMNS, 5));
    let view = Weight::f32(&sized, ROWS, COLUMNS).unwrap();
    for scheme in schemes() {
        let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
        let geometry = matrix.geometry();
        let (codes, params) = (matrix.codes(), matrix.params());
        let halves = geometry.blocks() * geometry.param_bytes;
        let make = |scheme, params| QuantizedMatrix::new(scheme, ROWS, COLUMNS, codes, params);

        assert_eq!(48, geometry.exponent_bytes());
        assert_eq!(halves + 48, params.len());
        assert_eq!(&matrix, &make(scheme.with_exponents(true), params).unwrap());
        assert!(make(scheme.with_exponents(true), &params[..halves]).is_err());
        assert!(make(scheme, params).is_err());
        let mut out = vec![f32::NAN; ROWS * COLUMNS];
        for byte in 0..=255 {
            let mut params = params.to_vec();
            params[halves..].fill(byte);
            let matrix =
                QuantizedMatrix::new(scheme.with_exponents(true), ROWS, COLUMNS, codes, params);
            dequantize_at(&matrix.unwrap(), &mut out, 1, Level::PORTABLE).unwrap();
        }
    }
}

/// What rows need no exponents is stored as before there were any.
#[test]
fn exponents_are_kept_where_they_are_needed_alone() {
    let scheme = Scheme::new(4, Some(64), false, ParamFormat::F16).unwrap();
    for (factor, kept) in [(1.0, false), (0.01, false), (1e-4, true), (1e6, true)] {
        let weight: Vec<f32> = gaussian(20 * 320, 6).iter().map(|w| w * factor).collect();
        let view = Weight::f32(&weight, 20, 320).unwrap();
        for quality in [Quality::Fast, Quality::Search(None)] {
            let matrix = quantize(&view, scheme, quality, 1).unwrap();

            assert_eq!(kept, matrix.geometry().scheme.exponents(), "{factor} {quality:?}");
        }
        let asked = quantize(&view, scheme.with_exponents(true), Quality::Fast, 1).unwrap();

        assert!(asked.geometry().scheme.exponents());
        assert_eq!(32, asked.geometry().exponent_bytes());
    }
}

/// Importances count by what they are to each other.
#[test]
fn importances_of_any_size_are_the_same() {
    let weight = gaussian(20 * 300, 8);
    let view = Weight::f32(&weight, 20, 300).unwrap();
    let (_, importance) = hessian();
    for scheme in schemes() {
        let [one, tiny, huge] = [0, -120, 110].map(|exponent| {
            let all: Vec<f32> = importance.iter().map(|h| h * 2f32.powi(exponent)).collect();
            quantize(&view, scheme, Quality::Search(Some(&all)), 1).unwrap()
        });

        assert_eq!(one, tiny, "{scheme:?}");
        assert_eq!(one, huge, "{scheme:?}");
    }
}
