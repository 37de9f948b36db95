//! Where things begin and end: exponents, largest weights, budgets, blocks and threads.

mod common;

use arrow_quant::plan::Choice;
use arrow_quant::{
    Activations, Error, ParamFormat, Quality, QuantizedMatrix, Scheme, Weight, linear, plan,
    quantize,
};
use common::{floats, gaussian};

/// Rows of zeros and of the largest code at a step.
fn stepped(step: f32, code: f32, columns: usize) -> Vec<f32> {
    (0..columns).map(|c| if c % 2 == 0 { 0.0 } else { step * code }).collect()
}

fn kept(scheme: Scheme, weight: &[f32], rows: usize) -> bool {
    let view = Weight::f32(weight, rows, weight.len() / rows).unwrap();
    quantize(&view, scheme, Quality::Fast, 1).unwrap().geometry().scheme.exponents()
}

/// From the smallest float16 of full precision, 2^-14, to the largest, 65504, no exponents are needed.
#[test]
fn exponents_begin_where_float16s_lose_digits() {
    let least = 2f32.powi(-14);
    let below = 1.0 - 2f32.powi(-9);
    for (bits, params, codes, units) in [
        (4, ParamFormat::F16, 15.0, 1.0),
        (8, ParamFormat::F16, 255.0, 1.0),
        (4, ParamFormat::U4, 15.0, 15.0),
        (3, ParamFormat::U6, 7.0, 63.0),
    ] {
        let scheme = Scheme::new(bits, Some(32), false, params).unwrap();
        let of = |factor: f32| kept(scheme, &stepped(least * units * factor, codes, 64), 1);

        assert_eq!([false, true], [of(1.0), of(below)], "{bits} {params:?}");
    }
    let scheme = Scheme::new(4, Some(32), false, ParamFormat::F16).unwrap();
    for sign in [-1.0, 1.0] {
        let of = |x: f32| kept(scheme, &vec![sign * x; 64], 1); // a minimum alone
        assert_eq!([false, true], [of(65504.0), of(65536.0)]);
    }
    assert!(!kept(scheme, &[least; 64], 1));
    assert!(kept(scheme, &[least * below; 64], 1));
    assert!(!kept(scheme, &[0.0; 64], 1));
}

/// A group of one value has no scale; its minimum is as precise as any, however small.
#[test]
fn one_tiny_value_is_kept_as_precisely_as_another() {
    for (bits, group) in [(2, None), (4, Some(32)), (8, Some(64))] {
        let scheme = Scheme::new(bits, group, false, ParamFormat::F16).unwrap();
        for value in [0.3f32, 1e-4, 5e-5, 1e-6, 1e-7, 2e-8, 1e-12, 1e-30, 1e-37, 7e4, 1e30] {
            for value in [value, -value] {
                let weight = vec![value; 20 * 96];
                let view = Weight::f32(&weight, 20, 96).unwrap();
                for quality in [Quality::Fast, Quality::Search(None)] {
                    let back = floats(&quantize(&view, scheme, quality, 1).unwrap());
                    let near = value.abs() * 2f32.powi(-11);

                    assert!(
                        back.iter().all(|b| (b - value).abs() <= near),
                        "{value:e} {}",
                        back[0]
                    );
                }
            }
        }
    }
}

/// Under an exponent the largest float16 of a row is from 2^14 to 2^15; a row that needs none has 0,
/// though others of its sixteen have one.
#[test]
fn exponents_use_the_upper_end_of_float16s() {
    let scheme = Scheme::new(4, Some(32), false, ParamFormat::F16).unwrap();
    let mut weight = gaussian(20 * 64, 1);
    for (row, w) in weight.chunks_mut(64).enumerate() {
        let size = match row {
            3 => 1e-6,
            18 => 1e9,
            _ => 1.0,
        };
        w.iter_mut().for_each(|w| *w *= size);
    }
    let view = Weight::f32(&weight, 20, 64).unwrap();
    let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
    let bytes = matrix.geometry().param_bytes;
    let (params, exponents) = matrix.params().split_at(2 * bytes);
    for (row, exponent) in exponents.iter().map(|byte| byte.cast_signed()).enumerate().take(20) {
        let of = |group: usize, part: usize| {
            let at = row / 16 * bytes + group * 64 + part * 32 + row % 16 * 2;
            half::f16::from_le_bytes([params[at], params[at + 1]]).to_f32().abs()
        };
        let largest = of(0, 0).max(of(0, 1)).max(of(1, 0)).max(of(1, 1));
        if row == 3 || row == 18 {
            assert_eq!(row == 18, exponent > 0);
            assert!((16384.0..=32768.0).contains(&largest), "{row} {exponent} {largest}");
        } else {
            assert_eq!(0, exponent, "{row}");
        }
    }
}

/// 2^126 fits and what is above does not, in whichever strip of whichever row, and the first is named.
#[test]
fn the_largest_weight_is_named_where_it_is() {
    let most = 2f32.powi(126);
    let next = f32::from_bits(most.to_bits() + 1);
    for group in [None, Some(64)] {
        let scheme = Scheme::new(4, group, false, ParamFormat::F16).unwrap();
        for (row, column) in [(0, 0), (15, 63), (16, 64), (33, 255), (39, 256), (20, 599)] {
            for sign in [1.0, -1.0] {
                let mut weight = gaussian(40 * 600, 5);
                weight[row * 600 + column] = sign * most;
                let fits = Weight::f32(&weight, 40, 600).unwrap();
                let matrix = quantize(&fits, scheme, Quality::Fast, 2).unwrap();
                let back = floats(&matrix)[row * 600 + column];
                assert!((back / (sign * most) - 1.0).abs() < 1e-3, "{back:e}");

                weight[row * 600 + column] = sign * next;
                let beyond = Weight::f32(&weight, 40, 600).unwrap();
                let error = quantize(&beyond, scheme, Quality::Search(None), 2).unwrap_err();
                assert!(
                    matches!(error, Error::Weight { row: r, column: c, value }
                        if (r, c, value) == (row, column, sign * next)),
                    "{error}"
                );
            }
        }
    }
}

/// More than one share of a thread, eight sixteens of outputs, 512 columns and 256 rows of activations.
#[test]
fn products_of_many_blocks_are_those_of_one() {
    let (rows, columns, batch) = (16 * 17 + 5, 1100, 300);
    let weight = gaussian(rows * columns, 1);
    let x = gaussian(batch * columns, 2);
    let view = Weight::f32(&weight, rows, columns).unwrap();
    for (bits, group, params) in [
        (4, Some(64), ParamFormat::F16),
        (3, Some(16), ParamFormat::U4),
        (8, None, ParamFormat::F16),
    ] {
        let scheme = Scheme::new(bits, group, false, params).unwrap();
        let matrix = quantize(&view, scheme, Quality::Fast, 3).unwrap();
        assert_eq!(matrix, quantize(&view, scheme, Quality::Fast, 1).unwrap());
        let w = floats(&matrix);
        for (activations, near) in [(Activations::Int8, 2.0), (Activations::Float32, 1e-2)] {
            let of = |threads| {
                let mut out = vec![f32::NAN; batch * rows];
                linear(&matrix, &x, batch, activations, &mut out, threads).unwrap();
                out
            };
            let one = of(1);
            assert!(one == of(3) && one == of(2), "{scheme:?} {activations:?}");
            for at in [0, 3, 4, 255, 256, 299] {
                let x = &x[at * columns..][..columns];
                for row in [0, 15, 16, 127, 128, 255, 256, 272, 276] {
                    let w = &w[row * columns..][..columns];
                    let exact: f64 =
                        w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                    let off = (exact - f64::from(one[at * rows + row])).abs();

                    assert!(off < near, "{scheme:?} {activations:?} {at} {row} {off}");
                }
            }
        }
    }
}

/// Weights of another block, or of rows that do not exist, are in no output.
#[test]
fn each_output_is_that_of_its_own_row() {
    let (rows, columns) = (150, 64);
    let weight: Vec<f32> = (0..rows * columns)
        .map(|at| if at % columns == 0 { (at / columns) as f32 } else { 0.0 })
        .collect();
    let view = Weight::f32(&weight, rows, columns).unwrap();
    let scheme = Scheme::new(8, Some(32), false, ParamFormat::F16).unwrap();
    let matrix: QuantizedMatrix<'_> = quantize(&view, scheme, Quality::Fast, 1).unwrap();
    for batch in [1, 2, 5] {
        let mut x = vec![0.0; batch * columns];
        (0..batch).for_each(|b| x[b * columns] = (b + 1) as f32);
        for threads in [1, 2] {
            let mut out = vec![f32::NAN; batch * rows];
            linear(&matrix, &x, batch, Activations::Int8, &mut out, threads).unwrap();
            for (at, y) in out.iter().enumerate() {
                let expected = ((at / rows + 1) * (at % rows)) as f32;
                assert!((y - expected).abs() <= 2e-3 * expected, "{at} {y} {expected}");
            }
        }
    }
}

#[test]
fn plans_begin_small_and_stay_within_their_budget() {
    let choice = |bits, damage| Choice { bits, damage };
    // No bits are spent for nothing, and none are left where they cost nothing.
    assert_eq!(vec![1], plan(&[(9, vec![choice(4.0, 1.0), choice(2.0, 1.0)])], 9.0).unwrap());
    assert_eq!(vec![1], plan(&[(9, vec![choice(4.0, 2.0), choice(4.0, 1.0)])], 4.0).unwrap());
    assert_eq!(vec![0], plan(&[(9, vec![choice(2.0, 1.0), choice(4.0, 3.0)])], 9.0).unwrap());
    // A move that is too long is passed over for a shorter one.
    let tensors = [(10, vec![choice(2.0, 9.0), choice(8.0, 0.0), choice(3.0, 8.0)])];
    assert_eq!([2, 2, 1], [3.0, 7.9, 8.0].map(|budget| plan(&tensors, budget).unwrap()[0]));
    // Sums of tenths are no tenths.
    let tenths: Vec<_> = (0..10).map(|_| (1, vec![choice(0.1, 0.0)])).collect();
    assert!(plan(&tenths, 0.1).is_ok());
    // Bits are those of all weights together.
    let two = [(1, vec![choice(4.0, 0.0)]), (3, vec![choice(8.0, 0.0)])];
    assert_eq!(vec![0, 0], plan(&two, 7.0).unwrap());
    let refused = plan(&two, 6.99).unwrap_err();
    assert!(matches!(refused, Error::Budget { budget: 6.99, smallest: 7.0 }), "{refused}");
    for bad in [choice(-1.0, 0.0), choice(f64::INFINITY, 0.0), choice(1.0, f64::INFINITY)] {
        let refused = plan(&[(1, vec![choice(0.0, 0.0)]), (1, vec![choice(1.0, 1.0), bad])], 9.0);
        assert!(matches!(refused, Err(Error::Statistic { position: 1, .. })));
    }
    assert_eq!(vec![0], plan(&[(1, vec![choice(0.0, -1.0)])], 0.0).unwrap());
}
