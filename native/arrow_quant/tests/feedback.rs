//! Calibrated rounding against its definition: each column in the order of importance becomes the code
//! nearest to what, given the errors so far, is best for the outputs.

mod common;

use arrow_quant::{ParamFormat, Quality, QuantizedMatrix, Scheme, Weight, quantize};
use common::{floats, gaussian};

const COLUMNS: usize = 40;
const ROWS: usize = 20;

/// The second moment of inputs of very different sizes that go together.
fn hessian() -> Vec<f64> {
    let samples = 90;
    let own = gaussian(samples * COLUMNS, 1);
    let common = gaussian(samples, 2);
    let sizes = gaussian(COLUMNS, 3);
    let x = |i: usize, j: usize| {
        f64::from(own[i * COLUMNS + j] + 1.5 * common[i]) * 2f64.powf(f64::from(sizes[j]))
    };
    let moment = |at: usize| (0..samples).map(|i| x(i, at / COLUMNS) * x(i, at % COLUMNS)).sum();
    (0..COLUMNS * COLUMNS).map(moment).collect()
}

/// The solution of `a x = b`, by elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = a[i][k] / a[k][k];
            let (done, rest) = a.split_at_mut(i);
            for (x, p) in rest[0][k..].iter_mut().zip(&done[k][k..]) {
                *x -= factor * p;
            }
            b[i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k][j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k][k];
    }
    b
}

/// Scale and minimum of a group of 32 of a row, from what lies in the bytes.
fn grid(matrix: &QuantizedMatrix<'_>, row: usize, group: usize) -> (f64, f64) {
    let at = row / 16 * matrix.geometry().param_bytes + group * 64 + row % 16 * 2;
    let half = |at: usize| {
        let bytes = [matrix.params()[at], matrix.params()[at + 1]];
        f64::from(half::f16::from_le_bytes(bytes).to_f32())
    };
    (half(at), half(at + 32))
}

#[test]
fn each_column_makes_good_what_those_before_it_lost() {
    let weight = gaussian(ROWS * COLUMNS, 4);
    let view = Weight::f32(&weight, ROWS, COLUMNS).unwrap();
    let mut hessian = hessian();
    // Two columns of the same importance: the first comes first.
    let (i, j) = (11, 30);
    hessian[j * COLUMNS + j] = hessian[i * COLUMNS + i];
    let h = |i: usize, j: usize| hessian[i * COLUMNS + j];
    let scheme = Scheme::new(3, Some(32), false, ParamFormat::F16).unwrap();
    let calibrated = quantize(&view, scheme, Quality::Calibrated(&hessian), 1).unwrap();
    let mean = (0..COLUMNS).map(|i| h(i, i)).sum::<f64>() / COLUMNS as f64;
    // Grids are those of a search weighed by the diagonal.
    let importance: Vec<f32> = (0..COLUMNS).map(|i| (h(i, i) / mean + 1e-3) as f32).collect();
    let searched = quantize(&view, scheme, Quality::Search(Some(&importance)), 1).unwrap();
    assert_eq!(searched.params(), calibrated.params());
    assert_ne!(searched.codes(), calibrated.codes());

    let mut order: Vec<usize> = (0..COLUMNS).collect();
    order.sort_by(|&a, &b| h(b, b).partial_cmp(&h(a, a)).unwrap().then(a.cmp(&b)));
    let damped = |i: usize, j: usize| h(i, j) + if i == j { 0.01 * mean } else { 0.0 };
    // For each column in order, how the errors before it move it: the first of the best of the rest.
    let moves: Vec<Vec<f64>> = (0..COLUMNS)
        .map(|k| {
            let rest: Vec<Vec<f64>> = order[k..]
                .iter()
                .map(|&a| order[k..].iter().map(|&b| damped(a, b)).collect())
                .collect();
            let first = |j: usize| {
                let of: Vec<f64> = order[k..].iter().map(|&a| damped(a, order[j])).collect();
                solve(rest.clone(), of)[0]
            };
            (0..k).map(first).collect()
        })
        .collect();
    let (mut same, mut all) = (0, 0);
    for (row, (w, found)) in
        weight.chunks(COLUMNS).zip(floats(&calibrated).chunks(COLUMNS)).enumerate()
    {
        let mut errors = Vec::new();
        for (k, &column) in order.iter().enumerate() {
            let (scale, minimum) = grid(&calibrated, row, column / 32);
            let own = f64::from(w[column]);
            let moved: f64 = moves[k].iter().zip(&errors).map(|(m, e): (&f64, &f64)| m * e).sum();
            let code = ((own + moved - minimum) / scale).round().clamp(0.0, 7.0);
            let expected = scale * code + minimum;
            all += 1;
            same += usize::from((expected - f64::from(found[column])).abs() < 1e-3 * scale);
            // From what was stored, so that one tie does not change all that follows.
            errors.push(own - f64::from(found[column]));
        }
    }
    assert!(same >= all - 1, "{same} of {all}");
}
