//! What bytes mean, by a plain reading of the documentation of `Geometry` and of `Scheme`.

mod common;

use arrow_quant::{
    Error, Geometry, ParamFormat, Quality, QuantizedMatrix, Scheme, Values, Weight, quantize,
    relative_error,
};
use common::{floats, gaussian, schemes};

const ROWS: usize = 16;

fn half(bytes: &[u8], at: usize) -> f64 {
    f64::from(half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32())
}

/// The code of one of 16 rows in a column.
fn code(bits: usize, codes: &[u8], row: usize, column: usize) -> u8 {
    let (tile, quad) = (&codes[column / 32 * 64 * bits..], column % 32 / 4);
    let lane = row * 4 + column % 4; // of the 64 codes of a quad
    match bits {
        8 => tile[quad * 64 + lane],
        4 => tile[quad / 2 * 64 + lane] >> (4 * (quad % 2)) & 15,
        2 => tile[quad / 4 * 64 + lane] >> (2 * (quad % 4)) & 3,
        _ => {
            let upper = tile[quad / 4 * 64 + lane] >> (2 * (quad % 4)) & 3;
            upper << 1 | tile[128 + lane] >> quad & 1
        }
    }
}

/// Scale and minimum of one of 16 rows in a group.
fn params(scheme: &Scheme, group: usize, columns: usize, params: &[u8], row: usize) -> (f64, f64) {
    let size = scheme.group_size().unwrap_or(columns);
    let zero = f64::from(1 << (scheme.bits() - 1));
    match scheme.params() {
        ParamFormat::F16 if scheme.symmetric() => {
            let scale = half(params, group * 32 + 2 * row);
            (scale, -scale * zero)
        }
        ParamFormat::F16 => {
            let at = group * 64 + 2 * row;
            (half(params, at), half(params, at + 32))
        }
        ParamFormat::U6 => {
            let at = 64 + group * 24;
            let (low, high) = (params[at + row], params[at + 16 + row % 8] >> (row / 8 * 4) & 15);
            let scale = f64::from(low & 15 | (high & 3) << 4);
            let minimum = f64::from(low >> 4 | high >> 2 << 4);
            let [above, below] = [half(params, 2 * row), half(params, 32 + 2 * row)];
            (scale * above / 64.0, -minimum * below / 64.0)
        }
        ParamFormat::U4 => {
            let block = group * size / 256;
            let head = block * (64 + 256 / size * 16);
            let byte = params[head + 64 + group % (256 / size) * 16 + row];
            let [above, below] = [half(params, head + 2 * row), half(params, head + 32 + 2 * row)];
            (f64::from(byte & 15) * above / 16.0, -f64::from(byte >> 4) * below / 16.0)
        }
    }
}

/// All weights of a matrix.
fn read(matrix: &QuantizedMatrix<'_>) -> Vec<f64> {
    let &Geometry { scheme, rows, columns, .. } = matrix.geometry();
    let size = scheme.group_size().unwrap_or(columns);
    let groups = columns.div_ceil(size);
    let code_bytes = columns.div_ceil(32) * 64 * usize::from(scheme.bits());
    let param_bytes = match scheme.params() {
        ParamFormat::F16 => groups * if scheme.symmetric() { 32 } else { 64 },
        ParamFormat::U6 => 64 + groups * 24,
        ParamFormat::U4 => columns.div_ceil(256) * 64 + groups * 16,
    };
    let blocks = rows.div_ceil(ROWS);
    let mut out = Vec::new();
    for at in 0..rows * columns {
        let (row, column) = (at / columns, at % columns);
        let (block, lane) = (row / ROWS, row % ROWS);
        let own = &matrix.params()[block * param_bytes..];
        let codes = &matrix.codes()[block * code_bytes..];
        let (scale, minimum) = params(&scheme, column / size, columns, own, lane);
        let exponent = match scheme.exponents() {
            true => i32::from(matrix.params()[blocks * param_bytes + row].cast_signed()),
            false => 0,
        };
        let code = f64::from(code(scheme.bits().into(), codes, lane, column));
        out.push((scale * code + minimum) * 2f64.powi(exponent));
    }
    out
}

#[test]
fn bytes_mean_what_is_documented() {
    for scheme in schemes() {
        for (rows, columns) in [(19, 530), (16, 32), (1, 7), (33, 257)] {
            let weight = gaussian(rows * columns, 3);
            let view = Weight::f32(&weight, rows, columns).unwrap();
            for exponents in [false, true] {
                let scheme = scheme.with_exponents(exponents);
                let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
                let largest = weight.iter().fold(0f32, |m, w| m.max(w.abs()));
                for (expected, found) in read(&matrix).iter().zip(floats(&matrix)) {
                    let off = (expected - f64::from(found)).abs();

                    assert!(off <= 1e-6 * f64::from(largest), "{scheme:?} {expected} {found}");
                }
            }
        }
    }
}

/// Every bit of codes, parameters and exponents has its meaning.
#[test]
fn any_bytes_mean_what_is_documented() {
    for scheme in schemes() {
        let (rows, columns) = (21, 300);
        let scheme = scheme.with_exponents(true);
        let geometry = Geometry::new(scheme, rows, columns).unwrap();
        let noise = |n: usize, seed| -> Vec<u8> {
            gaussian(n, seed).iter().map(|x| (x.to_bits() >> 5) as u8).collect()
        };
        let codes = noise(geometry.blocks() * geometry.code_bytes, 1);
        let mut params = noise(geometry.blocks() * geometry.param_bytes, 2);
        // Float16s that are finite; integers are left with seven bits of eight.
        params.iter_mut().skip(1).step_by(2).for_each(|byte| *byte &= 0b1011_1111);
        params.extend(
            noise(geometry.exponent_bytes(), 3)
                .iter()
                .map(|byte| byte.cast_signed().clamp(-60, 60).cast_unsigned()),
        );
        let matrix = QuantizedMatrix::new(scheme, rows, columns, codes, params).unwrap();
        for (expected, found) in read(&matrix).iter().zip(floats(&matrix)) {
            let size = 2f64.powi(60) * 256.0;
            let off = (expected - f64::from(found)).abs();

            assert!(off <= 1e-6 * expected.abs() + 1e-24 * size, "{scheme:?} {expected} {found}");
        }
    }
}

#[test]
fn bits_per_weight_are_all_that_is_stored() {
    let bits = |bits, group, symmetric, params, rows: usize, columns: usize| {
        let scheme = Scheme::new(bits, group, symmetric, params).unwrap();
        let weight = gaussian(rows * columns, 1);
        let view = Weight::f32(&weight, rows, columns).unwrap();
        quantize(&view, scheme, Quality::Fast, 1).unwrap().bits_per_weight()
    };
    assert_eq!(4.5, bits(4, Some(64), false, ParamFormat::F16, 32, 512));
    assert_eq!(8.125, bits(8, Some(128), true, ParamFormat::F16, 16, 256));
    assert_eq!(3.0 + 32.0 / 512.0, bits(3, None, false, ParamFormat::F16, 16, 512));
    assert_eq!(
        4.0 + 12.0 / 32.0 + 32.0 / 512.0,
        bits(4, Some(32), false, ParamFormat::U6, 16, 512)
    );
    assert_eq!(2.0 + 8.0 / 16.0 + 32.0 / 256.0, bits(2, Some(16), false, ParamFormat::U4, 16, 512));
    assert_eq!(2.0 * 2.0 * 4.5, bits(4, Some(32), true, ParamFormat::F16, 8, 16), "padded");
    assert_eq!(0.0, bits(4, Some(32), true, ParamFormat::F16, 0, 16));
}

#[test]
fn shapes_have_their_numbers() {
    for scheme in schemes() {
        for columns in [1, 16, 31, 32, 33, 255, 256, 257, 1000] {
            let g = Geometry::new(scheme, 33, columns).unwrap();
            let size = scheme.group_size().unwrap_or(columns);

            assert_eq!((3, size, columns.div_ceil(size)), (g.blocks(), g.group, g.groups()));
            assert_eq!(columns.div_ceil(32) * 32, g.padded_columns());
            assert_eq!(64 * usize::from(scheme.bits()), g.tile_bytes());
            assert_eq!(g.padded_columns() / 32 * g.tile_bytes(), g.code_bytes);
            assert_eq!(scheme.group_size().unwrap_or(256), g.unit());
            assert_eq!(0, g.exponent_bytes());
        }
        assert_eq!(f32::from(2u16.pow(scheme.bits().into()) - 1), scheme.max_code());
        assert_eq!(2 * scheme.zero_code() as u16, 2u16.pow(scheme.bits().into()));
    }
    let short = Weight::f32(&[0.0; 6], 2, 4).map(|_| ());
    assert!(matches!(short, Err(Error::Length { found: 6, expected: 8, .. })));
    let huge = Weight::new(Values::F32(&[]), usize::MAX, 2).map(|_| ());
    assert!(matches!(huge, Err(Error::TooLarge { .. })));
}

/// Weighed alike above and below: a factor of all importances changes nothing, and what weighs nothing
/// is not seen.
#[test]
fn the_relative_error_is_a_weighed_share_of_the_square() {
    let (rows, columns) = (37, 290);
    let weight = gaussian(rows * columns, 5);
    let view = Weight::f32(&weight, rows, columns).unwrap();
    let scheme = Scheme::new(3, Some(32), false, ParamFormat::F16).unwrap();
    let matrix = quantize(&view, scheme, Quality::Fast, 1).unwrap();
    let back = floats(&matrix);
    let importances = [
        vec![1.0; columns],
        gaussian(columns, 6).iter().map(|x| 7.0 * x * x).collect(),
        (0..columns).map(|c| if c == 289 { 3.0 } else { 0.0 }).collect(),
    ];
    for importance in &importances {
        let (mut error, mut norm) = (0.0, 0.0);
        for (at, (w, b)) in weight.iter().zip(&back).enumerate() {
            let h = f64::from(importance[at % columns]);
            error += h * (f64::from(*w) - f64::from(*b)).powi(2);
            norm += h * f64::from(*w).powi(2);
        }
        for threads in [1, 3] {
            let found = relative_error(&matrix, &view, Some(importance), threads).unwrap();

            assert!((found * norm / error - 1.0).abs() < 1e-9, "{found} {}", error / norm);
        }
    }
    let plain = relative_error(&matrix, &view, None, 2).unwrap();
    let ones = relative_error(&matrix, &view, Some(&importances[0]), 2).unwrap();
    assert_eq!(plain, ones);
    let nothing = vec![0.0; columns];
    assert_eq!(0.0, relative_error(&matrix, &view, Some(&nothing), 1).unwrap());
    let zeros = vec![0.0; rows * columns];
    let none = Weight::f32(&zeros, rows, columns).unwrap();
    assert_eq!(f64::INFINITY, relative_error(&matrix, &none, None, 1).unwrap());
    let turned = Weight::f32(&weight, columns, rows).unwrap();
    assert!(matches!(relative_error(&matrix, &turned, None, 1), Err(Error::Setting { .. })));
    for (position, bad) in [(0, -1.0), (289, f32::NAN), (3, f32::INFINITY)] {
        let mut importance = importances[0].clone();
        importance[position] = bad;
        let refused = relative_error(&matrix, &view, Some(&importance), 1);
        assert!(matches!(refused, Err(Error::Statistic { position: p, .. }) if p == position));
    }
}
