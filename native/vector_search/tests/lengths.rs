//! Fault V6: vectors of any finite length are all found, with finite distances that are right, or the
//! search says that single precision does not hold one of them.

use half::bf16;
use proptest::prelude::*;
use vector_search::exact::Options;
use vector_search::hnsw::Settings;
use vector_search::kernel::Level;
use vector_search::{
    BinaryCodes, Data, Error, Hnsw, Int8Codes, Metric, Neighbor, Result, Vectors, search,
    search_batch,
};

const SCALES: [f32; 10] = [1e-43, 1e-38, 1e-30, 1e-22, 1e-19, 1.0, 1e15, 1e19, 1e30, 1e38];

/// The definition of a distance, and the size of what is summed, to which its rounding is relative.
fn truth(metric: Metric, a: &[f32], b: &[f32]) -> (f64, f64) {
    let pairs = || a.iter().zip(b).map(|(&x, &y)| (f64::from(x), f64::from(y)));
    let dot: f64 = pairs().map(|(x, y)| x * y).sum();
    let size: f64 = pairs().map(|(x, y)| (x * y).abs()).sum();
    let (aa, bb): (f64, f64) = pairs().fold((0.0, 0.0), |(s, t), (x, y)| (s + x * x, t + y * y));
    match metric {
        Metric::InnerProduct => (-dot, size),
        Metric::L2 => {
            let sum = pairs().map(|(x, y)| (x - y) * (x - y)).sum();
            (sum, sum)
        }
        Metric::Cosine if aa == 0.0 || bb == 0.0 => (1.0, 1.0),
        Metric::Cosine => (1.0 - dot / (aa.sqrt() * bb.sqrt()), 1.0),
    }
}

struct Asked<'a> {
    metric: Metric,
    vectors: Vectors<'a>,
    query: &'a [f32],
    k: usize,
}

impl Asked<'_> {
    /// Whether results are right; whether all that are nearest must be among them.
    fn check(&self, found: Result<Vec<Neighbor>>, exact: bool) -> std::result::Result<(), String> {
        let of = |row| truth(self.metric, self.query, &self.vectors.row(row).unwrap());
        let mut all: Vec<_> = (0..self.vectors.len() as u32).map(of).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.truncate(self.k);
        let most = f64::from(f32::MAX);
        let holds = |one: &(f64, f64), part: f64| one.0.abs() < part * most;
        let close = |found: f32, (right, size): (f64, f64)| {
            (f64::from(found) - right).abs() <= 1e-4 * size + 1e-37
        };
        let found = match found {
            Err(Error::Beyond { .. }) if !exact || !all.iter().all(|one| holds(one, 0.999)) => {
                return Ok(());
            }
            other => other.map_err(|error| error.to_string())?,
        };
        if exact && !all.iter().all(|one| holds(one, 1.001)) {
            return Err(format!("{found:?} has what single precision does not hold"));
        }
        let right = found.len() == all.len()
            && found.iter().all(|n| n.distance.is_finite() && close(n.distance, of(n.row)))
            && found.windows(2).all(|w| (w[0].distance, w[0].row) < (w[1].distance, w[1].row));
        let size = all.iter().map(|one| one.1).fold(0.0, f64::max);
        let nearest = found.iter().zip(&all).all(|(n, one)| close(n.distance, (one.0, size)));
        let show =
            || format!("{found:?} {:?}", found.iter().map(|n| of(n.row)).collect::<Vec<_>>());
        if right && (nearest || !exact) { Ok(()) } else { Err(show()) }
    }
}

fn vector() -> impl Strategy<Value = Vec<f32>> {
    let value = prop_oneof![4 => -1f32..1.0, 1 => Just(0.0), 1 => Just(1.0), 1 => Just(-1.0)];
    let values = prop::collection::vec(value, DIM);
    (values, prop::sample::select(&SCALES[..]))
        .prop_map(|(values, scale)| values.iter().map(|x| x * scale).collect())
}

const DIM: usize = 24;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn vectors_of_any_length_are_found(
        rows in prop::collection::vec(vector(), 1..30), query in vector(), k in 1usize..32,
    ) {
        let values = rows.concat();
        let brains: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        for metric in Metric::ALL {
            for data in [Data::F32(&values), Data::Bf16(&brains)] {
                let vectors = Vectors::new(data, DIM).unwrap();
                if (0..rows.len()).any(|row| {
                    vectors.row(row as u32).unwrap().iter().any(|x| !x.is_finite())
                }) {
                    continue;
                }
                let asked = Asked { metric, vectors, query: &query, k };
                for level in Level::available() {
                    let options = Options { level, ..Options::new(metric, k) };
                    let name = |how: &str| format!("{how} {metric:?} {}", level.name());
                    let one = search(&vectors, &query, &options);
                    prop_assert_eq!(Ok(()), asked.check(one, true), "{}", name("one"));
                    let batch = search_batch(&vectors, &query, &options);
                    let batch = batch.map(|mut all| all.pop().unwrap());
                    prop_assert_eq!(Ok(()), asked.check(batch, true), "{}", name("batch"));
                    let codes = Int8Codes::encode(&vectors, metric).unwrap();
                    let found = codes.search(&vectors, &query, rows.len(), &options);
                    prop_assert_eq!(Ok(()), asked.check(found, true), "{}", name("int8"));
                    let found = codes.search(&vectors, &query, k, &options);
                    prop_assert_eq!(Ok(()), asked.check(found, false), "{}", name("few"));
                    let codes = BinaryCodes::encode(&vectors, metric);
                    let found = codes.search(&vectors, &query, rows.len(), &options);
                    prop_assert_eq!(Ok(()), asked.check(found, true), "{}", name("binary"));
                }
                let mut graph = Hnsw::new(metric, DIM, Settings::default()).unwrap();
                graph.insert(&vectors, &(0..rows.len() as u32).collect::<Vec<_>>()).unwrap();
                prop_assert!(graph.unreachable().is_empty());
                let found = graph.search(&vectors, &query, k, 64, None);
                prop_assert_eq!(Ok(()), asked.check(found, false), "graph {:?}", metric);
            }
        }
    }
}

/// Directions are found among codes of the smallest and of the largest numbers as among others.
#[test]
fn cosines_do_not_depend_on_lengths() {
    let rows = 400;
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let plain: Vec<f32> = (0..rows * DIM).map(|_| next()).collect();
    let options = Options::new(Metric::Cosine, 10);
    let found = |scale: f32, query: f32| {
        let (long, near) = (scaled(&plain, scale), scaled(&plain[..DIM], query));
        let vectors = Vectors::f32(&long, DIM).unwrap();
        let codes = Int8Codes::encode(&vectors, Metric::Cosine).unwrap();
        let signs = BinaryCodes::encode(&vectors, Metric::Cosine);
        let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
        graph.insert(&vectors, &(0..rows as u32).collect::<Vec<_>>()).unwrap();
        [
            search(&vectors, &near, &options).unwrap(),
            codes.search(&vectors, &near, 20, &options).unwrap(),
            signs.search(&vectors, &near, 200, &options).unwrap(),
            graph.search(&vectors, &near, 10, 64, None).unwrap(),
        ]
        .map(|found| found.iter().map(|n| n.row).collect::<Vec<_>>())
    };
    let right = found(1.0, 1.0);
    for power in [-120, -100, -66, 66, 120] {
        let scale = 2f32.powi(power); // which rounds nothing
        assert_eq!(right, found(scale, 1.0), "{power}");
        assert_eq!(right, found(1.0, scale), "{power}");
    }
}

fn scaled(values: &[f32], scale: f32) -> Vec<f32> {
    values.iter().map(|x| x * scale).collect()
}
