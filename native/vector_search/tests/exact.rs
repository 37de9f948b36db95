//! Exact search against the definition, in float64, for every element type, metric and level.

use half::{bf16, f16};
use proptest::prelude::*;
use vector_search::exact::Options;
use vector_search::kernel::Level;
use vector_search::{Bitmap, Data, Error, Metric, Neighbor, Vectors, search, search_batch};

/// The definition of a distance.
fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(&x, &y)| (f64::from(x), f64::from(y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let (aa, bb): (f64, f64) = pairs().fold((0.0, 0.0), |(s, t), (x, y)| (s + x * x, t + y * y));
    match metric {
        Metric::InnerProduct => -dot,
        Metric::L2 => pairs().map(|(x, y)| (x - y) * (x - y)).sum(),
        Metric::Cosine if aa == 0.0 || bb == 0.0 => 1.0,
        Metric::Cosine => 1.0 - dot / (aa.sqrt() * bb.sqrt()),
    }
}

/// Results are right if each distance is, they are in order, and no row that is clearly nearer is
/// missing; which of two almost equal rows comes first is up to rounding.
fn check(
    found: &[Neighbor],
    metric: Metric,
    vectors: &Vectors<'_>,
    query: &[f32],
    k: usize,
    allowed: &dyn Fn(u32) -> bool,
) -> Result<(), TestCaseError> {
    let rows: Vec<u32> = (0..vectors.len() as u32).filter(|&row| allowed(row)).collect();
    let truth = |row: u32| distance(metric, query, &vectors.row(row).unwrap());
    let mut all: Vec<f64> = rows.iter().map(|&row| truth(row)).collect();
    all.sort_by(f64::total_cmp);
    prop_assert_eq!(k.min(rows.len()), found.len());
    for (n, expected) in found.iter().zip(&all) {
        let near = 1e-4 * (1.0 + expected.abs());
        prop_assert!(allowed(n.row));
        prop_assert!((f64::from(n.distance) - truth(n.row)).abs() < near, "{n:?}");
        prop_assert!((f64::from(n.distance) - expected).abs() < near, "{n:?} {expected}");
    }
    let ordered = |w: &[Neighbor]| (w[0].distance, w[0].row) < (w[1].distance, w[1].row);
    prop_assert!(found.windows(2).all(ordered));
    Ok(())
}

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_type_metric_and_level_finds_the_nearest(
        rows in 0usize..300, eighths in 1usize..12, odd in 0usize..8, k in 0usize..20,
        queries in 1usize..40, seed in any::<u64>(), metric in prop::sample::select(&Metric::ALL[..]),
        kind in 0usize..5, mask in prop::option::of(prop::collection::vec(any::<u64>(), 0..6)),
    ) {
        let dim = if kind == 4 { eighths * 8 } else { eighths * 8 + odd };
        let mut values = noise(seed, rows * dim);
        if rows > 3 {
            values[dim..2 * dim].fill(0.0);
        }
        let queries = noise(seed ^ 1, queries * dim);
        let halves: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
        let brains: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        let bytes: Vec<i8> = values.iter().map(|&x| (x * 127.0) as i8).collect();
        let signs: Vec<u8> = values.chunks(8).map(|c| (c[0].to_bits() >> 3) as u8).collect();
        let data = match kind {
            0 => Data::F32(&values),
            1 => Data::F16(&halves),
            2 => Data::Bf16(&brains),
            3 => Data::I8(&bytes),
            _ => Data::Binary(&signs),
        };
        let vectors = Vectors::new(data, dim).unwrap();
        let filter = mask.as_deref().map(Bitmap::new);
        let allowed = |row: u32| filter.is_none_or(|f| f.contains(row));
        for level in Level::available() {
            let options = Options { level, ..Options::new(metric, k).filtered(filter) };
            let together = search_batch(&vectors, &queries, &options).unwrap();
            prop_assert_eq!(queries.len() / dim, together.len());
            for (query, batch) in queries.chunks(dim).zip(&together) {
                check(batch, metric, &vectors, query, k, &allowed)?;
            }
            let one = search(&vectors, &queries[..dim], &options).unwrap();
            check(&one, metric, &vectors, &queries[..dim], k, &allowed)?;
        }
    }
}

#[test]
fn threads_do_not_change_results() {
    let (values, query) = (noise(3, 40_000 * 8), noise(4, 8));
    let vectors = Vectors::f32(&values, 8).unwrap();
    let options = Options::new(Metric::L2, 50);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let batch = search_batch(&vectors, &query, &options).unwrap();
            (search(&vectors, &query, &options).unwrap(), batch)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn equal_distances_come_by_row_and_nan_never() {
    let mut values = vec![1.0f32; 100 * 4];
    values[40] = f32::NAN;
    values[80] = f32::INFINITY;
    let vectors = Vectors::f32(&values, 4).unwrap();
    for metric in Metric::ALL {
        let options = Options::new(metric, 100);
        let one = search(&vectors, &[1.0; 4], &options).unwrap();
        let rows: Vec<u32> = one.iter().map(|n| n.row).collect();
        assert!(!rows.contains(&10), "{metric:?}");
        let ties: Vec<u32> = (0..100).filter(|&r| r != 10 && r != 20).collect();
        assert_eq!(ties, rows.iter().copied().filter(|&r| r != 20).collect::<Vec<_>>());
        assert_eq!(vec![one], search_batch(&vectors, &[1.0; 4], &options).unwrap());
    }
}

#[test]
fn a_zero_query_is_as_far_from_everything() {
    let values = noise(5, 30 * 6);
    let vectors = Vectors::f32(&values, 6).unwrap();
    let found = search(&vectors, &[0.0; 6], &Options::new(Metric::Cosine, 3)).unwrap();
    let expected: Vec<Neighbor> = (0..3).map(|row| Neighbor { row, distance: 1.0 }).collect();
    assert_eq!(expected, found);
}

#[test]
fn unfit_requests_are_refused() {
    let values = [0.0f32; 12];
    let vectors = Vectors::f32(&values, 4).unwrap();
    let options = Options::new(Metric::L2, 3);
    let short = search(&vectors, &[0.0; 3], &options);
    assert!(matches!(short, Err(Error::Length { found: 3, expected: 4, .. })));
    let nan = search(&vectors, &[0.0, f32::NAN, 0.0, 0.0], &options);
    assert!(matches!(nan, Err(Error::NotFinite { position: 1, .. })));
    assert!(matches!(search_batch(&vectors, &[0.0; 6], &options), Err(Error::Length { .. })));
    assert!(matches!(Vectors::f32(&values, 5), Err(Error::Length { .. })));
    assert!(matches!(Vectors::f32(&values, 0), Err(Error::Dimension(0))));
    assert!(matches!(Vectors::new(Data::Binary(&[0; 4]), 12), Err(Error::Dimension(12))));
    assert!(search_batch(&vectors, &[], &options).unwrap().is_empty());
}
