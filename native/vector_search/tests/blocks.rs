//! What is done in blocks and by several threads is what one block and one thread would do.

use std::collections::BTreeSet;
use vector_search::exact::{Options, rescore};
use vector_search::{
    BinaryCodes, Bitmap, Data, Error, Int8Codes, Metric, Neighbor, Vectors, search, search_batch,
};

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Small whole numbers: every sum is exact, so distances are, and many of them tie.
fn whole(seed: u64, length: usize) -> Vec<f32> {
    noise(seed, length).iter().map(|x| (x * 3.0).round()).collect()
}

/// The definition for whole numbers, all rows in the order of results.
fn sorted(
    metric: Metric,
    values: &[f32],
    query: &[f32],
    filter: &dyn Fn(usize) -> bool,
) -> Vec<Neighbor> {
    let distance = |row: &[f32]| match metric {
        Metric::InnerProduct => -row.iter().zip(query).map(|(x, q)| x * q).sum::<f32>(),
        _ => row.iter().zip(query).map(|(x, q)| (x - q) * (x - q)).sum(),
    };
    let rows = values.chunks(query.len()).enumerate().filter(|&(row, _)| filter(row));
    let mut all: Vec<Neighbor> =
        rows.map(|(row, x)| Neighbor { row: row as u32, distance: distance(x) }).collect();
    all.sort_by(|a, b| a.distance.partial_cmp(&b.distance).unwrap().then(a.row.cmp(&b.row)));
    all
}

/// Several chunks of 8192 rows (one query) and of 4096 (many), with ties across their borders.
#[test]
fn chunks_and_threads_give_the_first_of_a_sort() {
    let (rows, dim, k) = (20_000, 3, 300);
    let (values, queries) = (whole(1, rows * dim), whole(2, 5 * dim));
    let vectors = Vectors::f32(&values, dim).unwrap();
    let mut words = vec![0u64; rows.div_ceil(64) - 40];
    for (i, word) in words.iter_mut().enumerate() {
        *word = [u64::MAX, 0, 0x00ff_0f33_5555_8001, 1 << 63][i % 4];
    }
    let bitmap = Bitmap::new(&words);
    for metric in [Metric::InnerProduct, Metric::L2] {
        for filter in [None, Some(bitmap)] {
            let allowed = |row: usize| filter.is_none_or(|f| f.contains(row as u32));
            let expected: Vec<Vec<Neighbor>> = queries
                .chunks(dim)
                .map(|query| {
                    let mut all = sorted(metric, &values, query, &allowed);
                    all.truncate(k);
                    all
                })
                .collect();
            let options = Options::new(metric, k).filtered(filter);
            for threads in [1, 3] {
                let (single, batch) = on(threads, || {
                    let one = |query| search(&vectors, query, &options).unwrap();
                    let single: Vec<_> = queries.chunks(dim).map(one).collect();
                    (single, search_batch(&vectors, &queries, &options).unwrap())
                });

                assert!(expected == single, "one at a time, {metric:?}, {threads} threads");
                assert!(expected == batch, "together, {metric:?}, {threads} threads");
            }
        }
    }
}

/// Queries that are more than 256 KiB together are worked on in several blocks.
#[test]
fn many_long_queries_find_what_each_finds_alone() {
    let (rows, dim, queries) = (37, 1027, 150);
    let values = whole(3, rows * dim);
    let asked = whole(4, queries * dim);
    let vectors = Vectors::f32(&values, dim).unwrap();
    for metric in [Metric::InnerProduct, Metric::L2] {
        let options = Options::new(metric, 4);
        let found = search_batch(&vectors, &asked, &options).unwrap();

        assert_eq!(queries, found.len());
        for (query, found) in asked.chunks(dim).zip(&found) {
            assert_eq!(sorted(metric, &values, query, &|_| true)[..4], found[..]);
            assert_eq!(*found, search(&vectors, query, &options).unwrap());
        }
    }
}

#[test]
fn nothing_wanted_is_nothing_found() {
    let values = whole(5, 30 * 4);
    let vectors = Vectors::f32(&values, 4).unwrap();
    let none = Options::new(Metric::L2, 0);

    assert!(search(&vectors, &values[..4], &none).unwrap().is_empty());
    assert_eq!(
        vec![Vec::<Neighbor>::new(); 2],
        search_batch(&vectors, &values[..8], &none).unwrap()
    );
    assert!(rescore(&vectors, &values[..4], Metric::L2, 0..30, 0).unwrap().is_empty());
    let empty = Vectors::f32(&[], 4).unwrap();
    assert!(search(&empty, &[1.0; 4], &Options::new(Metric::Cosine, 3)).unwrap().is_empty());
    assert!(empty.is_empty() && !vectors.is_empty());
}

#[test]
fn some_rows_are_rescored_in_order_and_no_other() {
    let values = whole(6, 90 * 5);
    let vectors = Vectors::f32(&values, 5).unwrap();
    let rows: BTreeSet<u32> = [0, 3, 4, 5, 17, 40, 41, 42, 88, 89].into();
    for metric in [Metric::InnerProduct, Metric::L2] {
        let expected = sorted(metric, &values, &values[..5], &|row| rows.contains(&(row as u32)));
        for k in [1, 4, 10, 20] {
            let found = rescore(&vectors, &values[..5], metric, rows.iter().rev().copied(), k);
            assert_eq!(expected[..k.min(10)], found.unwrap());
        }
    }
    let beyond = rescore(&vectors, &values[..5], Metric::L2, [3, 90, 91], 2);
    assert!(matches!(beyond, Err(Error::NoSuchRow { row: 90, rows: 90 })));
    assert!(matches!(
        rescore(&vectors, &values[..4], Metric::L2, [3], 2),
        Err(Error::Length { found: 4, expected: 5, .. })
    ));
}

/// What a row's code stands for, and how far a product with the query can be off by its own rounding.
struct Coded {
    row: Vec<f64>,
    step: f64,
}

fn int8(values: &[f32]) -> Coded {
    let step = f64::from(values.iter().fold(0f32, |m, x| m.max(x.abs()))) / 127.0;
    let row = values.iter().map(|&x| (f64::from(x) / step).round() * step).collect();
    Coded { row, step }
}

/// The signs times the number for which the product with the row itself is right.
fn signs(values: &[f32]) -> Coded {
    let (mut sum, mut square) = (0.0, 0.0);
    for x in values.iter().map(|&x| f64::from(x)) {
        (sum, square) = (sum + x.abs(), square + x * x);
    }
    let row = values.iter().map(|&x| if x > 0.0 { square / sum } else { -square / sum }).collect();
    Coded { row, step: square / sum }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Approximate distances are those of the vectors that codes stand for, with a query of 255 or of 16
/// levels between its least and its largest value; under L2 less the query's own square. More rows than
/// a block and than a chunk, of lengths up to ten times another's.
#[test]
fn codes_stand_for_vectors_near_those_encoded() {
    let (rows, dim) = (8500, 70);
    let mut values = noise(7, rows * dim);
    for (row, values) in values.chunks_mut(dim).enumerate() {
        values.iter_mut().for_each(|x| *x = (*x + 0.2) * (1 + row % 10) as f32);
    }
    let query: Vec<f32> = noise(8, dim).iter().map(|x| 3.0 * (x + 0.3)).collect();
    let vectors = Vectors::f32(&values, dim).unwrap();
    for metric in Metric::ALL {
        let prepared: Vec<f64> = metric.prepare(&query).iter().map(|&x| f64::from(x)).collect();
        let low = prepared.iter().copied().fold(f64::INFINITY, f64::min);
        let high = prepared.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let options = Options::new(metric, rows);
        let exact_query = int8(&metric.prepare(&query));
        let sixteen = (high - low) / 15.0;
        let by_sixteen: Vec<f64> =
            prepared.iter().map(|x| low + ((x - low) / sixteen).round() * sixteen).collect();
        let codes = [
            Int8Codes::encode(&vectors, metric).unwrap().candidates(&query, &options).unwrap(),
            BinaryCodes::encode(&vectors, metric).candidates(&query, &options).unwrap(),
        ];
        for (kind, found) in codes.iter().enumerate() {
            assert_eq!(rows, found.len());
            assert!(
                found.windows(2).all(|w| (w[0].distance, w[0].row) < (w[1].distance, w[1].row))
            );
            let all: BTreeSet<u32> = found.iter().map(|n| n.row).collect();
            assert_eq!(rows, all.len());
            for n in found {
                let values = &values[n.row as usize * dim..][..dim];
                let wide: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
                let square = dot(&wide, &wide);
                let (coded, query) = match kind {
                    0 => (int8(values), &exact_query.row),
                    _ => (signs(values), &by_sixteen),
                };
                // What signs take away is the sum of the query as it was.
                let rounded: f64 = query.iter().zip(&prepared).map(|(r, q)| r - q).sum();
                let more = if kind == 0 { 0.0 } else { rounded * coded.step };
                let product = dot(&coded.row, query) + more;
                let expected = match metric {
                    Metric::InnerProduct => -product,
                    Metric::L2 => square - 2.0 * product,
                    Metric::Cosine => 1.0 - product / square.sqrt(),
                };
                // A value half way between two integers may go either way.
                let unit = coded.step * prepared.iter().fold(0f64, |m, x| m.max(x.abs()));
                let times = [1.05, 0.02][kind] * if metric == Metric::L2 { 2.0 } else { 1.0 };
                let of = if metric == Metric::Cosine { square.sqrt() } else { 1.0 };
                let near = times * unit / of + 1e-5 * (square / of + 1.0);

                let off = (expected - f64::from(n.distance)).abs();
                assert!(off < near, "{metric:?} {kind} {} {off} {near}", n.row);
            }
        }
    }
}

/// A filter of candidates holds in every block, and `candidates` fewer than `k` are `k`.
#[test]
fn candidates_are_filtered_and_never_fewer_than_wanted() {
    let (rows, dim) = (9000, 8);
    let values = noise(9, rows * dim);
    let vectors = Vectors::f32(&values, dim).unwrap();
    let words: Vec<u64> = (0..rows.div_ceil(64)).map(|i| 1 << (i % 64)).collect();
    let options = Options::new(Metric::L2, 140).filtered(Some(Bitmap::new(&words)));
    let exact = search(&vectors, &values[..dim], &options).unwrap();
    assert_eq!(140, exact.len());
    let int8 = Int8Codes::encode(&vectors, Metric::L2).unwrap();
    let binary = BinaryCodes::encode(&vectors, Metric::L2);
    for threads in [1, 3] {
        for wanted in [1, 141] {
            let (one, two) = on(threads, || {
                let one = int8.search(&vectors, &values[..dim], wanted, &options);
                (one.unwrap(), binary.search(&vectors, &values[..dim], wanted, &options).unwrap())
            });
            for found in [one, two] {
                assert_eq!(140, found.len());
                assert!(found.iter().all(|n| Bitmap::new(&words).contains(n.row)));
                assert!(wanted == 1 || found == exact, "all 141 that are allowed are candidates");
            }
        }
    }
    assert_eq!((Metric::L2, rows, false), (int8.metric(), int8.len(), int8.is_empty()));
}

/// The largest dimension whose integer products 32 bits hold, with the largest codes.
#[test]
fn the_widest_codes_do_not_overflow() {
    let dim = 1 << 16;
    let values = [vec![1.0; dim], vec![-1.0; dim]].concat();
    let vectors = Vectors::f32(&values, dim).unwrap();
    let codes = Int8Codes::encode(&vectors, Metric::InnerProduct).unwrap();
    let found = codes.candidates(&values[..dim], &Options::new(Metric::InnerProduct, 2)).unwrap();
    let distances: Vec<f32> = found.iter().map(|n| (n.distance / 64.0).round() * 64.0).collect();
    assert_eq!(vec![-65536.0, 65536.0], distances);

    let wide = vec![0.0; dim + 1];
    let refused = Int8Codes::encode(&Vectors::f32(&wide, dim + 1).unwrap(), Metric::L2);
    assert!(matches!(refused, Err(Error::Dimension(65537))));
}

/// A byte of signs is eight values, the lowest bit first.
#[test]
fn rows_are_widened_as_they_are_stored() {
    let signs = [0b0000_0101, 0b1000_0000];
    let row = Vectors::new(Data::Binary(&signs), 8).unwrap().row(0).unwrap();
    assert_eq!(vec![1.0, -1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0], row);
    let whole = Vectors::new(Data::Binary(&signs), 16).unwrap();
    assert_eq!((1, 16), (whole.len(), whole.dim()));
    assert_eq!(1.0, whole.row(0).unwrap()[15]);
    assert!(matches!(whole.row(1), Err(Error::NoSuchRow { row: 1, rows: 1 })));
    let bytes = [-128, 127, 5, -1];
    assert_eq!(vec![5.0, -1.0], Vectors::new(Data::I8(&bytes), 2).unwrap().row(1).unwrap());
}

#[test]
fn recall_is_the_share_that_was_found() {
    let near = |row, distance| Neighbor { row, distance };
    let exact = vec![vec![near(1, 0.1), near(2, 0.2)], vec![near(3, 0.5), near(4, 0.6)], vec![]];
    let recall = |found: [Vec<Neighbor>; 3]| vector_search::recall::recall(&exact, &found);

    assert_eq!(1.0, recall([exact[0].clone(), exact[1].clone(), vec![]]));
    assert_eq!(
        0.5,
        recall([vec![near(1, 0.1), near(9, 0.3)], vec![near(4, 0.6)], vec![near(1, 0.0)]])
    );
    assert_eq!(0.25, recall([vec![near(9, 0.2)], vec![], vec![]]), "a tie with the last counts");
    assert_eq!(0.0, recall([vec![near(8, 0.3), near(9, 0.3), near(1, 0.1)], vec![], vec![]]));
    assert_eq!(0.25, recall([vec![], vec![near(3, 0.7)], vec![]]), "a row that is meant counts");
    assert_eq!(1.0, vector_search::recall::recall(&[vec![]], &[vec![]]));
}

#[test]
fn prepared_queries_have_unit_length_for_cosine_alone() {
    for metric in Metric::ALL {
        for size in [1e-30f32, 1.0, 1e30] {
            let query = [3.0 * size, 0.0, -4.0 * size];
            let prepared = metric.prepare(&query);
            let expected = if metric == Metric::Cosine { [0.6, 0.0, -0.8] } else { query };

            for (expected, found) in expected.iter().zip(&prepared) {
                assert!((expected - found).abs() <= 1e-7 * expected.abs());
            }
        }
        assert_eq!(vec![0.0, 0.0], metric.prepare(&[0.0, 0.0]));
    }
}

#[test]
fn bitmaps_are_narrowed_word_by_word() {
    let words = [0b1111, 0b1010, u64::MAX];
    let bitmap = Bitmap::new(&words);
    assert_eq!(vec![0b0110, 0b1000], bitmap.and(&[0b0110, 0b1100]));
    assert_eq!(vec![0b0001, 0, 1, 0][..3], bitmap.and(&[1, 1, 1, 1]));
    assert_eq!([4, 5, 6, 70], [64, 66, 128, 500].map(|rows| bitmap.count(rows)));
    assert!(bitmap.contains(65) && !bitmap.contains(64) && !bitmap.contains(192));
    let runs: Vec<_> = bitmap.runs(2..130).collect();
    assert_eq!(vec![2..4, 65..66, 67..68, 128..130], runs);
}
