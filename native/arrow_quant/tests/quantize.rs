//! Weights come back within what their scheme promises.

mod common;

use arrow_quant::{
    Error, ParamFormat, Quality, QuantizedMatrix, Scheme, Values, Weight, quantize, relative_error,
};
use common::{floats, gaussian, scheme, schemes};
use proptest::prelude::*;

/// Weights of all sizes, many of them zero, from a seed: longer vectors take proptest minutes.
fn any_weights() -> impl Strategy<Value = (usize, usize, Vec<f32>)> {
    (1usize..20, 1usize..300, any::<u64>()).prop_map(|(rows, columns, seed)| {
        let kinds = gaussian(rows * columns, !seed);
        let weights =
            gaussian(rows * columns, seed).into_iter().zip(kinds).map(|(w, kind)| match kind {
                ..-1.5 => 0.0,
                ..-1.0 => w * 1e-9,
                ..1.5 => w,
                _ => (w * 30_000.0).clamp(-65504.0, 65504.0),
            });
        (rows, columns, weights.collect())
    })
}

fn scheme_of_halves() -> impl Strategy<Value = Scheme> {
    let all = schemes().into_iter().filter(|s| s.params() == ParamFormat::F16);
    prop::sample::select(all.collect::<Vec<_>>())
}

/// Half a step of the group's range, and what float16 loses of its ends: beside the largest weight of
/// the row it keeps what is 2^-40 of it.
fn bound(scheme: &Scheme, group: &[f32], largest: f32) -> f32 {
    let low = group.iter().fold(0f32, |a, &b| a.min(b));
    let high = group.iter().fold(0f32, |a, &b| a.max(b));
    let range = if scheme.symmetric() { 2.0 * high.max(-low) } else { high - low };
    // A symmetric grid lacks the code above its largest.
    let steps = if scheme.symmetric() { scheme.max_code() + 1.0 } else { scheme.max_code() };
    let reach = if scheme.symmetric() { 1.0 } else { 0.5 };
    let lost = scheme.max_code() * largest * 2f32.powi(-39);
    range / steps * reach + range.max(high).max(-low) * 2e-3 + lost
}

proptest! {
    #[test]
    fn rounding_to_nearest_is_within_half_a_step(
        (rows, columns, weight) in any_weights(), scheme in scheme_of_halves(),
    ) {
        let view = Weight::f32(&weight, rows, columns).unwrap();
        let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
        let group = scheme.group_size().unwrap_or(columns);
        for (row, back) in weight.chunks(columns).zip(floats(&matrix).chunks(columns)) {
            let largest = row.iter().fold(0f32, |a, b| a.max(b.abs()));
            for (w, back) in row.chunks(group).zip(back.chunks(group)) {
                let bound = bound(&scheme, w, largest);
                for (w, back) in w.iter().zip(back) {
                    prop_assert!((w - back).abs() <= bound, "{w} {back} {bound}");
                }
            }
        }
    }

    #[test]
    fn bytes_make_the_same_matrix_and_no_others_do(
        (rows, columns, weight) in any_weights(), scheme in scheme(), threads in 1usize..3,
    ) {
        let view = Weight::f32(&weight, rows, columns).unwrap();
        let matrix = quantize(&view, scheme, Quality::Search(None), threads).unwrap();
        let (codes, params) = (matrix.codes(), matrix.params());
        let scheme = matrix.geometry().scheme; // with exponents, where they are needed
        let again = QuantizedMatrix::new(scheme, rows, columns, codes, params).unwrap();

        prop_assert_eq!(&matrix, &again);
        prop_assert!(floats(&matrix).iter().all(|w| w.is_finite()));
        prop_assert!(QuantizedMatrix::new(scheme, rows, columns, &codes[1..], params).is_err());
        prop_assert!(QuantizedMatrix::new(scheme, rows, columns, codes, &params[1..]).is_err());
        prop_assert!(QuantizedMatrix::new(scheme, rows + 16, columns, codes, params).is_err());
    }

    #[test]
    fn any_bytes_are_some_matrix(
        scheme in scheme(), rows in 0usize..40, columns in 0usize..300, seed in any::<u64>(),
    ) {
        let geometry = arrow_quant::Geometry::new(scheme, rows, columns).unwrap();
        let noise = |n: usize| gaussian(n, seed).iter().map(|x| x.to_bits() as u8).collect::<Vec<_>>();
        let codes = noise(geometry.blocks() * geometry.code_bytes);
        let params = noise(geometry.blocks() * geometry.param_bytes);
        let matrix = QuantizedMatrix::new(scheme, rows, columns, codes, params).unwrap();
        let mut out = vec![0.0; rows * 2];
        floats(&matrix);
        for activations in [arrow_quant::Activations::Int8, arrow_quant::Activations::Float32] {
            let x = gaussian(2 * columns, seed);
            arrow_quant::linear(&matrix, &x, 2, activations, &mut out, 1).unwrap();
        }
    }

    #[test]
    fn searching_is_never_worse_than_rounding(
        // Integers of parameters are chosen after the search, whose gain they may undo.
        scheme in scheme_of_halves(), rows in 1usize..20, columns in 1usize..300,
        seed in any::<u64>(),
    ) {
        let weight = gaussian(rows * columns, seed);
        let view = Weight::f32(&weight, rows, columns).unwrap();
        let error = |quality| {
            let matrix = quantize(&view, scheme, quality, 1).unwrap();
            relative_error(&matrix, &view, None, 1).unwrap()
        };
        prop_assert!(error(Quality::Search(None)) <= 1.01 * error(Quality::Fast) + 1e-6);
    }
}

#[test]
fn searching_reckons_with_what_float16_loses() {
    let scheme = Scheme::new(8, Some(64), false, ParamFormat::F16).unwrap();
    // The minimum that was found was the better one before it was rounded.
    let weight = gaussian(12, 8_792_958_468_478_682_649);
    let view = Weight::f32(&weight, 1, 12).unwrap();
    let [searched, fast] = [Quality::Search(None), Quality::Fast].map(|quality| {
        let matrix = quantize(&view, scheme, quality, 1).unwrap();
        relative_error(&matrix, &view, None, 1).unwrap()
    });

    assert!(searched <= fast);
}

/// Relative squared errors of Gaussian weights, in units of a hundred thousandth, as the benchmarks say
/// them: whatever is rounded the wrong way, or with another group's parameters, shows here.
#[test]
fn errors_are_those_that_are_promised() {
    let (rows, columns) = (64, 1024);
    let weight = gaussian(rows * columns, 9);
    let view = Weight::f32(&weight, rows, columns).unwrap();
    for (bits, group, symmetric, params, fast, searched) in [
        (4, 64, false, ParamFormat::F16, 803.0, 656.0),
        (4, 64, true, ParamFormat::F16, 900.0, 809.0),
        (4, 32, false, ParamFormat::U6, 616.0, 496.0),
        (4, 32, false, ParamFormat::U4, 648.0, 559.0),
        (3, 32, false, ParamFormat::U4, 2860.0, 2200.0),
        (2, 64, false, ParamFormat::F16, 20200.0, 10200.0),
        (2, 32, false, ParamFormat::U4, 15500.0, 8850.0),
        (2, 16, false, ParamFormat::U4, 10800.0, 6720.0),
    ] {
        let scheme = Scheme::new(bits, Some(group), symmetric, params).unwrap();
        for (quality, expected) in [(Quality::Fast, fast), (Quality::Search(None), searched)] {
            let matrix = quantize(&view, scheme, quality, 1).unwrap();
            let error = 1e5 * relative_error(&matrix, &view, None, 1).unwrap();

            assert!((error / expected - 1.0).abs() < 0.03, "{scheme:?} {quality:?} {error}");
        }
    }
}

/// Half tiles of groups of 16 have parameters of their own, however different.
#[test]
fn small_groups_do_not_take_the_parameters_of_their_neighbours() {
    for params in [ParamFormat::U6, ParamFormat::U4] {
        for bits in [2, 3, 4] {
            let scheme = Scheme::new(bits, Some(16), false, params).unwrap();
            let levels = f32::from(params.levels().unwrap());
            for one in [0, 1] {
                // Every second group is zero; the others are large.
                let mut weight = gaussian(17 * 96, 10);
                for (at, w) in weight.iter_mut().enumerate() {
                    *w *= if at / 16 % 2 == one { 0.0 } else { 10.0 };
                }
                let view = Weight::f32(&weight, 17, 96).unwrap();
                let back = floats(&quantize(&view, scheme, Quality::Fast, 1).unwrap());
                for (at, (w, back)) in weight.iter().zip(&back).enumerate() {
                    let bound = if at / 16 % 2 == one { 0.0 } else { 80.0 / scheme.max_code() };

                    assert!((w - back).abs() <= bound + 80.0 / levels, "{w} {back} at {at}");
                    assert!(at / 16 % 2 != one || *back == 0.0, "{back} at {at}");
                }
            }
        }
    }
}

#[test]
fn groups_of_one_value_keep_it() {
    for scheme in schemes() {
        for value in [0.0f32, 0.5, -2.0] {
            let weight = vec![value; 17 * 65];
            let view = Weight::f32(&weight, 17, 65).unwrap();
            for quality in [Quality::Fast, Quality::Search(None)] {
                let matrix = quantize(&view, scheme, quality, 1).unwrap();
                let worst = floats(&matrix).iter().fold(0f32, |m, w| m.max((w - value).abs()));

                assert!(worst <= 0.07 * value.abs(), "{scheme:?} {value} {worst}");
            }
        }
    }
}

#[test]
fn an_outlier_spoils_its_own_group_only() {
    let mut weight = gaussian(16 * 256, 3);
    weight[5] = 1000.0;
    let view = Weight::f32(&weight, 16, 256).unwrap();
    let scheme = Scheme::new(4, Some(64), false, ParamFormat::F16).unwrap();
    let back = floats(&quantize(&view, scheme, Quality::Fast, 1).unwrap());
    let worst = weight[64..].iter().zip(&back[64..]).fold(0f32, |m, (a, b)| m.max((a - b).abs()));

    assert!((back[5] - 1000.0).abs() < 1.0);
    assert!(worst < 0.4, "{worst}");
}

#[test]
fn half_precision_is_widened_exactly() {
    let wide = gaussian(20 * 100, 4);
    let f16: Vec<half::f16> = wide.iter().map(|&x| half::f16::from_f32(x)).collect();
    let bf16: Vec<half::bf16> = wide.iter().map(|&x| half::bf16::from_f32(x)).collect();
    let from_f16: Vec<f32> = f16.iter().map(|x| x.to_f32()).collect();
    let from_bf16: Vec<f32> = bf16.iter().map(|x| x.to_f32()).collect();
    let scheme = Scheme::new(4, Some(32), false, ParamFormat::U4).unwrap();
    for (values, same) in [(Values::F16(&f16), from_f16), (Values::Bf16(&bf16), from_bf16)] {
        let narrow = Weight::new(values, 20, 100).unwrap();
        let same = Weight::f32(&same, 20, 100).unwrap();
        let [a, b] =
            [narrow, same].map(|w| quantize(&w, scheme, Quality::Search(None), 1).unwrap());

        assert_eq!(a, b);
    }
}

#[test]
fn a_weight_that_does_not_fit_is_named() {
    let scheme = Scheme::new(4, Some(32), false, ParamFormat::F16).unwrap();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 8.6e37, -1e38] {
        let mut weight = gaussian(40 * 70, 5);
        weight[33 * 70 + 69] = value;
        let view = Weight::f32(&weight, 40, 70).unwrap();
        for threads in [1, 2] {
            let error = quantize(&view, scheme, Quality::Search(None), threads).unwrap_err();

            assert!(matches!(error, Error::Weight { row: 33, column: 69, .. }), "{error}");
        }
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused() {
    let refused = |bits, group, symmetric, params| {
        Scheme::new(bits, group, symmetric, params).unwrap_err().to_string()
    };

    assert!(refused(5, None, false, ParamFormat::F16).contains("expected 2, 3, 4 or 8, got 5"));
    assert!(refused(4, Some(16), false, ParamFormat::F16).contains("32, 64, 128 or a row"));
    assert!(refused(4, None, false, ParamFormat::U4).contains("16, 32, 64 or 128"));
    assert!(refused(4, Some(32), true, ParamFormat::U4).contains("f16"));
    assert!(refused(8, Some(32), false, ParamFormat::U6).contains("f16"));
}

#[test]
fn absurd_shapes_are_refused_before_memory_is_taken() {
    for scheme in schemes() {
        for (rows, columns) in [(usize::MAX, 1), (1, usize::MAX), (1 << 40, 1 << 40)] {
            let empty: &[u8] = &[];
            let error = QuantizedMatrix::new(scheme, rows, columns, empty, empty).unwrap_err();

            assert!(matches!(error, Error::TooLarge { .. }));
        }
    }
}
