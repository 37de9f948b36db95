//! Second-order rounding loses less of the outputs than rounding to nearest.

mod common;

use arrow_quant::{Error, Quality, Weight, quantize};
use common::{floats, gaussian, schemes};

/// Causes that inputs have in common.
const FACTORS: usize = 12;

/// The second moment of inputs that go together.
fn hessian(columns: usize, seed: u64) -> Vec<f64> {
    let samples = 2 * columns;
    let common = gaussian(samples * FACTORS, seed);
    let shares = gaussian(FACTORS * columns, seed ^ 1);
    let own = gaussian(samples * columns, !seed);
    let x: Vec<f64> = (0..samples * columns)
        .map(|at| {
            let (i, j) = (at / columns, at % columns);
            let both = (0..FACTORS).map(|f| common[i * FACTORS + f] * shares[f * columns + j]);
            f64::from(both.sum::<f32>() + own[at])
        })
        .collect();
    let x = |i: usize, j: usize| x[i * columns + j];
    let mut h = vec![0.0; columns * columns];
    for i in 0..samples {
        for j in 0..columns {
            for k in 0..columns {
                h[j * columns + k] += x(i, j) * x(i, k);
            }
        }
    }
    h
}

fn loss(weight: &[f32], back: &[f32], hessian: &[f64], columns: usize) -> f64 {
    let errors: Vec<f64> = weight.iter().zip(back).map(|(a, b)| f64::from(a - b)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    errors
        .chunks(columns)
        .map(|e| hessian.chunks(columns).zip(e).map(|(h, own)| dot(h, e) * own).sum::<f64>())
        .sum()
}

#[test]
fn outputs_lose_less_under_every_scheme() {
    let (rows, columns) = (20, 150);
    let weight = gaussian(rows * columns, 1);
    let view = Weight::f32(&weight, rows, columns).unwrap();
    let hessian = hessian(columns, 2);
    for scheme in schemes() {
        let [searched, calibrated] = [Quality::Search(None), Quality::Calibrated(&hessian)]
            .map(|quality| floats(&quantize(&view, scheme, quality, 1).unwrap()))
            .map(|back| loss(&weight, &back, &hessian, columns));

        assert!(calibrated < 0.8 * searched, "{scheme:?} {calibrated} {searched}");
    }
}

#[test]
fn threads_change_nothing() {
    let weight = gaussian(40 * 100, 3);
    let view = Weight::f32(&weight, 40, 100).unwrap();
    let hessian = hessian(100, 4);
    let [one, two] = [1, 2].map(|threads| {
        quantize(&view, schemes()[0], Quality::Calibrated(&hessian), threads).unwrap()
    });

    assert_eq!(one, two);
}

#[test]
fn nothing_known_and_unseen_inputs_are_allowed() {
    let weight = gaussian(20 * 70, 5);
    let view = Weight::f32(&weight, 20, 70).unwrap();
    let mut unseen = hessian(70, 6);
    for i in 0..70 {
        (unseen[7 * 70 + i], unseen[i * 70 + 7]) = (0.0, 0.0);
    }
    for hessian in [vec![0.0; 70 * 70], unseen] {
        let matrix = quantize(&view, schemes()[0], Quality::Calibrated(&hessian), 1).unwrap();

        assert!(floats(&matrix).iter().all(|w| w.is_finite()));
    }
}

#[test]
fn matrices_that_are_no_second_moments_are_refused() {
    let weight = gaussian(3 * 4, 7);
    let view = Weight::f32(&weight, 3, 4).unwrap();
    let refused = |hessian: &[f64]| {
        quantize(&view, schemes()[0], Quality::Calibrated(hessian), 1).unwrap_err()
    };
    let mut indefinite = vec![-1.0; 16];
    for i in 0..4 {
        indefinite[5 * i] = 1.0;
    }

    assert!(matches!(refused(&[1.0; 15]), Error::Length { expected: 16, .. }));
    assert!(matches!(refused(&[f64::NAN; 16]), Error::Statistic { position: 0, .. }));
    assert!(matches!(refused(&[-1.0; 16]), Error::Statistic { .. }));
    assert!(matches!(refused(&indefinite), Error::Statistic { .. }));
}
