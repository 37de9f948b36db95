//! Errors of quantizing, as they were measured: what searches less well, or weighs by the importance of
//! other columns, shows here.

mod common;

use arrow_quant::quantize::quantize_at;
use arrow_quant::{Level, ParamFormat, Quality, Scheme, Weight, relative_error};
use common::{floats, gaussian};

const ROWS: usize = 48;
const COLUMNS: usize = 600;

/// Relative squared errors in units of a hundred thousandth: rounded to nearest; searched; searched by
/// importances over six powers of two, other ones in each block of 256 columns, and weighed by them; and
/// searched without them but weighed by them.
#[test]
fn searching_loses_what_was_measured() {
    let weight = gaussian(ROWS * COLUMNS, 12);
    let view = Weight::f32(&weight, ROWS, COLUMNS).unwrap();
    let importance: Vec<f32> = gaussian(COLUMNS, 11).iter().map(|x| 2f32.powf(2.0 * x)).collect();
    let by = Some(&importance[..]);
    use ParamFormat::{F16, U4, U6};
    for (bits, group, symmetric, params, expected) in [
        (2, None, false, F16, [34494.3, 11693.6, 11231.0, 12085.9]),
        (2, None, true, F16, [22576.5, 14542.1, 14360.5, 14671.6]),
        (2, Some(16), false, U6, [10513.3, 6491.7, 3863.2, 6555.1]),
        (2, Some(16), false, U4, [10611.7, 6672.6, 4036.5, 6756.6]),
        (2, Some(32), true, F16, [12969.2, 11147.4, 9436.1, 11329.2]),
        (2, Some(64), false, F16, [19618.7, 10040.7, 7680.7, 10201.8]),
        (2, Some(128), false, U4, [24318.3, 10851.6, 9048.8, 11006.6]),
        (3, None, false, F16, [6235.7, 3643.4, 3380.0, 3731.8]),
        (3, Some(32), false, U6, [2778.6, 2059.2, 1390.5, 2048.9]),
        (3, Some(32), false, U4, [2819.5, 2164.3, 1508.8, 2127.3]),
        (3, Some(64), true, F16, [3542.9, 3063.3, 2596.2, 3072.7]),
        (3, Some(128), false, F16, [4425.4, 3047.6, 2481.8, 3101.8]),
        (4, None, true, F16, [1375.0, 1099.7, 1043.9, 1110.0]),
        (4, Some(16), false, U4, [486.1, 398.7, 280.3, 388.4]),
        (4, Some(32), false, F16, [600.9, 476.0, 328.9, 478.9]),
        (4, Some(64), false, U6, [774.8, 639.9, 488.6, 635.5]),
        (4, Some(64), false, U4, [787.9, 682.7, 532.3, 670.8]),
        (4, Some(64), true, F16, [867.8, 781.1, 663.0, 791.9]),
    ] {
        let scheme = Scheme::new(bits, group, symmetric, params).unwrap();
        for level in Level::available() {
            let found = [
                (Quality::Fast, None),
                (Quality::Search(None), None),
                (Quality::Search(by), by),
                (Quality::Search(None), by),
            ]
            .map(|(quality, by)| {
                let matrix = quantize_at(&view, scheme, quality, 1, level).unwrap();
                1e5 * relative_error(&matrix, &view, by, 1).unwrap()
            });
            let near = if level == Level::PORTABLE { 0.01 } else { 0.002 };
            let same = found.iter().zip(&expected).all(|(f, e)| (f / e - 1.0).abs() < near);

            assert!(same, "{scheme:?} {} {found:?}, expected {expected:?}", level.name());
        }
    }
}

/// A group takes the parameters that its own columns ask for: where all but two columns weigh nothing,
/// those two are nearly exact, in whichever block of 256 columns they are.
#[test]
fn what_alone_is_important_is_nearly_exact() {
    let weight = gaussian(ROWS * COLUMNS, 13);
    let view = Weight::f32(&weight, ROWS, COLUMNS).unwrap();
    for (params, near) in [(ParamFormat::F16, 1e-3), (ParamFormat::U6, 0.1), (ParamFormat::U4, 0.3)]
    {
        let scheme = Scheme::new(4, Some(32), false, params).unwrap();
        let important = |column: usize| column % 32 == 3 || column % 32 == (column / 32 + 7) % 32;
        let importance: Vec<f32> =
            (0..COLUMNS).map(|c| if important(c) { 1.0 } else { 1e-6 }).collect();
        let quality = Quality::Search(Some(&importance));
        let matrix = quantize_at(&view, scheme, quality, 2, Level::best()).unwrap();
        let share = |block: usize| {
            let (mut error, mut norm) = (0.0, 0.0);
            for (at, (w, b)) in weight.iter().zip(floats(&matrix)).enumerate() {
                let column = at % COLUMNS;
                if column / 256 == block && important(column) {
                    error += f64::from(w - b).powi(2);
                    norm += f64::from(*w).powi(2);
                }
            }
            error / norm
        };
        let shares = [share(0), share(1), share(2)];

        assert!(shares.iter().all(|&share| share < near * 0.01), "{params:?} {shares:?}");
    }
}
