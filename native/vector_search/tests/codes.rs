//! Two-stage search: with enough candidates it is exact, with few it is nearly so.

use vector_search::exact::Options;
use vector_search::kernel::Level;
use vector_search::recall::recall;
use vector_search::{BinaryCodes, Int8Codes, Metric, Neighbor, Vectors, search};

/// Rows around a few centres, as embeddings of texts are.
fn clusters(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..20 * dim).map(|_| next()).collect();
    (0..rows * dim).map(|i| centres[i / dim % 20 * dim + i % dim] + 0.5 * next()).collect()
}

#[test]
fn few_candidates_suffice() {
    let (rows, dim, k) = (3000, 96, 10);
    let values = clusters(1, rows, dim);
    let vectors = Vectors::f32(&values, dim).unwrap();
    let queries = &values[..dim * 20];
    for metric in Metric::ALL {
        let (int8, binary) =
            (Int8Codes::encode(&vectors, metric).unwrap(), BinaryCodes::encode(&vectors, metric));
        for level in Level::available() {
            let options = Options { level, ..Options::new(metric, k) };
            let all = |run: &dyn Fn(&[f32]) -> Vec<Neighbor>| {
                queries.chunks(dim).map(run).collect::<Vec<_>>()
            };
            let exact = all(&|q| search(&vectors, q, &options).unwrap());
            let two = all(&|q| int8.search(&vectors, q, 20, &options).unwrap());
            let signs = all(&|q| binary.search(&vectors, q, 400, &options).unwrap());
            assert!(recall(&exact, &two) > 0.99, "{metric:?} {}", level.name());
            assert!(recall(&exact, &signs) > 0.95, "{metric:?} {}", level.name());
            let every = all(&|q| binary.search(&vectors, q, rows, &options).unwrap());
            assert_eq!(1.0, recall(&exact, &every));
        }
    }
}

#[test]
fn extreme_rows_have_codes_and_keep_their_exact_distances() {
    let values = [[0.0; 8], [1e-40; 8], [1e18; 8], [f32::NAN; 8], [f32::INFINITY; 8]].concat();
    let vectors = Vectors::f32(&values, 8).unwrap();
    for metric in Metric::ALL {
        let options = Options::new(metric, 5);
        let exact = search(&vectors, &[1.0; 8], &options).unwrap();
        let int8 = Int8Codes::encode(&vectors, metric)
            .unwrap()
            .search(&vectors, &[1.0; 8], 5, &options)
            .unwrap();
        assert!(int8.iter().all(|n| exact.contains(n)), "{metric:?}");
        let binary = BinaryCodes::encode(&vectors, metric);
        assert!(binary.search(&vectors, &[1.0; 8], 5, &options).is_ok());
    }
}
