//! The graph: recall, filters, churn, and what it refuses.

use vector_search::exact::Options;
use vector_search::hnsw::Settings;
use vector_search::recall::recall;
use vector_search::{Bitmap, Error, Hnsw, Metric, Neighbor, Vectors, search};

/// Rows around many centres, as embeddings of texts are.
fn clusters(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let centres: Vec<f32> = (0..50 * dim).map(|_| next()).collect();
    (0..rows * dim).map(|i| centres[i / dim % 50 * dim + i % dim] + 0.8 * next()).collect()
}

fn all(queries: &[f32], dim: usize, run: &dyn Fn(&[f32]) -> Vec<Neighbor>) -> Vec<Vec<Neighbor>> {
    queries.chunks(dim).map(run).collect()
}

const DIM: usize = 24;
const K: usize = 10;

#[test]
fn finds_what_an_exact_search_finds_by_every_metric() {
    let values = clusters(1, 4000, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let queries = clusters(1, 4050, DIM)[4000 * DIM..].to_vec();
    for metric in [Metric::Cosine, Metric::L2] {
        let mut graph = Hnsw::new(metric, DIM, Settings::default()).unwrap();
        graph.insert(&vectors, &(0..4000).collect::<Vec<_>>()).unwrap();
        assert!(graph.unreachable().is_empty());
        let options = Options::new(metric, K);
        let exact = all(&queries, DIM, &|q| search(&vectors, q, &options).unwrap());
        let found = all(&queries, DIM, &|q| graph.search(&vectors, q, K, 100, None).unwrap());
        assert!(recall(&exact, &found) > 0.97, "{metric:?} {}", recall(&exact, &found));
    }
}

#[test]
fn filters_of_any_width_keep_recall_and_always_fill_k() {
    let rows = 4000;
    let values = clusters(2, rows, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let queries = &values[..DIM * 40];
    let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..rows as u32).collect::<Vec<_>>()).unwrap();
    for every in [1, 2, 5, 10, 100, 1000, rows] {
        let mut words = vec![0u64; rows.div_ceil(64)];
        (0..rows).step_by(every).for_each(|row| words[row / 64] |= 1 << (row % 64));
        let filter = Some(Bitmap::new(&words));
        let options = Options::new(Metric::Cosine, K).filtered(filter);
        let exact = all(queries, DIM, &|q| search(&vectors, q, &options).unwrap());
        let found = all(queries, DIM, &|q| graph.search(&vectors, q, K, 100, filter).unwrap());
        assert!(found.iter().all(|f| f.len() == K.min(rows.div_ceil(every))));
        assert!(found.iter().flatten().all(|n| (n.row as usize).is_multiple_of(every)));
        let least = if every >= 10 { 1.0 } else { 0.97 };
        assert!(recall(&exact, &found) >= least, "1 in {every}: {}", recall(&exact, &found));
    }
}

#[test]
fn churn_costs_neither_recall_nor_memory_nor_reach() {
    let (live, step) = (2000usize, 400usize);
    let values = clusters(3, live + 10 * step, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..live as u32).collect::<Vec<_>>()).unwrap();
    let queries = &values[..DIM * 50];
    for round in 0..10 {
        let first = (round * step) as u32;
        let gone: Vec<u32> = (first..first + step as u32).collect();
        assert_eq!(step, graph.remove(&gone));
        let new: Vec<u32> = gone.iter().map(|row| row + live as u32).collect();
        graph.insert(&vectors, &new).unwrap();
        graph.settle();
        assert!(graph.unreachable().is_empty());
        assert_eq!(live, graph.len());
        assert!(graph.slots() as usize <= live + step, "{}", graph.slots());
        let mut words = vec![0u64; vectors.len().div_ceil(64)];
        let now = round * step + step..round * step + step + live;
        now.for_each(|row| words[row / 64] |= 1 << (row % 64));
        let options = Options::new(Metric::Cosine, K).filtered(Some(Bitmap::new(&words)));
        let exact = all(queries, DIM, &|q| search(&vectors, q, &options).unwrap());
        let found = all(queries, DIM, &|q| graph.search(&vectors, q, K, 100, None).unwrap());
        assert!(recall(&exact, &found) > 0.97, "{round}: {}", recall(&exact, &found));
    }
}

#[test]
fn a_graph_can_be_emptied_and_filled_again() {
    let values = clusters(4, 100, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let rows: Vec<u32> = (0..100).collect();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    for _ in 0..3 {
        assert!(graph.search(&vectors, &values[..DIM], 5, 10, None).unwrap().is_empty());
        graph.insert(&vectors, &rows).unwrap();
        assert_eq!(0, graph.search(&vectors, &values[..DIM], 5, 10, None).unwrap()[0].row);
        assert_eq!(100, graph.remove(&rows));
        assert_eq!(0, graph.remove(&rows));
    }
    assert_eq!(100, graph.slots());
}

#[test]
fn equal_vectors_are_all_found() {
    let values = vec![1.0; 500 * DIM];
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..500).collect::<Vec<_>>()).unwrap();
    assert!(graph.unreachable().is_empty());
    assert_eq!(500, graph.search(&vectors, &values[..DIM], 500, 500, None).unwrap().len());
}

#[test]
fn unfit_requests_change_nothing() {
    let values = clusters(5, 10, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &[1, 2]).unwrap();
    assert!(matches!(graph.insert(&vectors, &[3, 2]), Err(Error::DuplicateRow(2))));
    assert!(matches!(graph.insert(&vectors, &[3, 3]), Err(Error::DuplicateRow(3))));
    assert!(matches!(graph.insert(&vectors, &[3, 10]), Err(Error::NoSuchRow { row: 10, .. })));
    let other = Vectors::f32(&values, DIM * 2).unwrap();
    assert!(matches!(graph.insert(&other, &[0]), Err(Error::Length { .. })));
    assert!(matches!(graph.search(&vectors, &[0.0; 3], 1, 1, None), Err(Error::Length { .. })));
    assert_eq!((2, false), (graph.len(), graph.contains(3)));
    assert!(Hnsw::new(Metric::L2, 0, Settings::default()).is_err());
    assert!(Hnsw::new(Metric::L2, 8, Settings { degree: 1, build_width: 8 }).is_err());
}

#[test]
fn a_saved_graph_comes_back_and_goes_on() {
    let values = clusters(6, 600, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..500).collect::<Vec<_>>()).unwrap();
    graph.remove(&(100..150).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph");
    graph.save(&path).unwrap();
    let mut back = Hnsw::load(&path).unwrap();
    assert_eq!((graph.len(), graph.slots()), (back.len(), back.slots()));
    for query in values[..20 * DIM].chunks(DIM) {
        let find = |graph: &Hnsw| graph.search(&vectors, query, K, 50, None).unwrap();
        assert_eq!(find(&graph), find(&back));
    }
    back.insert(&vectors, &(500..600).collect::<Vec<_>>()).unwrap();
    assert!(back.unreachable().is_empty());
    assert_eq!(550, back.len());
    let mut empty = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    assert!(Hnsw::from_bytes(&empty.to_bytes()).unwrap().is_empty());
}

#[test]
fn damaged_bytes_are_refused_and_even_signed_nonsense_does_no_harm() {
    let values = clusters(7, 60, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..60).collect::<Vec<_>>()).unwrap();
    let good = graph.to_bytes();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(matches!(Hnsw::from_bytes(&bad), Err(Error::Corrupt(_))), "{at}");
        assert!(Hnsw::from_bytes(&good[..at]).is_err());
        // With a checksum that fits, as an attacker would make: an error, or a graph that works.
        let end = bad.len() - 4;
        let sum = crc32fast::hash(&bad[..end]).to_le_bytes();
        bad[end..].copy_from_slice(&sum);
        if let Ok(mut odd) = Hnsw::from_bytes(&bad)
            && odd.insert(&vectors, &[]).is_ok()
        {
            let _ = odd.search(&vectors, &values[..DIM], K, 20, None);
            odd.settle();
        }
    }
}

/// The first rows, as a filter.
fn first(rows: usize, of: usize) -> Vec<u64> {
    let mut words = vec![0u64; of.div_ceil(64)];
    (0..rows).for_each(|row| words[row / 64] |= 1 << (row % 64));
    words
}

#[test]
fn a_removed_row_is_not_found_under_a_narrow_filter() {
    let values = clusters(5, 1600, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..1600).collect::<Vec<_>>()).unwrap();
    assert_eq!(20, graph.remove(&(0..20).collect::<Vec<_>>()));
    let words = first(60, 1600);
    let found = graph.search(&vectors, &values[..DIM], 60, 64, Some(Bitmap::new(&words))).unwrap();
    let mut rows: Vec<u32> = found.iter().map(|n| n.row).collect();
    rows.sort_unstable();
    assert_eq!((20..60).collect::<Vec<_>>(), rows);
}

#[test]
fn an_eighth_of_the_rows_is_compared_exactly_and_more_is_walked() {
    let values = clusters(6, 1600, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..1600).collect::<Vec<_>>()).unwrap();
    let walked = |rows| {
        let words = first(rows, 1600);
        graph.candidates(&values[..DIM], 1, 100, Some(Bitmap::new(&words))).unwrap().is_some()
    };
    assert_eq!((false, true), (walked(200), walked(201)));
}

#[test]
fn more_rows_than_wanted_are_left_to_their_exact_distances() {
    let values = clusters(7, 2000, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..2000).collect::<Vec<_>>()).unwrap();
    let found = graph.candidates(&values[..DIM], K, 64, None).unwrap().unwrap();
    assert!(found.len() > K, "{}", found.len());
    for (k, width, most) in [(10, 64, 25), (10, 20, 20), (30, 5, 30), (1, 64, 11)] {
        let found = graph.candidates(&values[..DIM], k, width, None).unwrap().unwrap();

        assert_eq!(most, found.len(), "{k} {width}");
    }
}

#[test]
fn settings_have_ends() {
    let made = |dim, degree, build_width| {
        Hnsw::new(Metric::L2, dim, Settings { degree, build_width }).map(|graph| graph.dim())
    };
    for (dim, degree, build_width) in [(1, 2, 1), (1 << 16, 256, 1 << 16)] {
        assert_eq!(dim, made(dim, degree, build_width).unwrap());
    }
    for dim in [0, (1 << 16) + 1] {
        assert!(matches!(made(dim, 16, 100), Err(Error::Dimension(d)) if d == dim));
    }
    for value in [1, 257] {
        let refused = made(8, value, 100);
        assert!(
            matches!(refused, Err(Error::Setting { name: "degree", value: v, .. }) if v == value)
        );
    }
    for value in [0, (1 << 16) + 1] {
        let refused = made(8, 16, value);
        assert!(
            matches!(refused, Err(Error::Setting { name: "build_width", value: v, .. }) if v == value)
        );
    }
    assert_eq!(Settings { degree: 16, build_width: 100 }, Settings::default());
}

/// A filter counts what lives: matches of removed rows are none.
#[test]
fn an_empty_or_a_removed_match_is_nothing_found() {
    let values = clusters(8, 300, DIM);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..300).collect::<Vec<_>>()).unwrap();
    graph.remove(&[3, 4]);
    for words in [vec![], vec![0b11000], vec![0; 20]] {
        let filter = Some(Bitmap::new(&words));
        assert!(graph.search(&vectors, &values[..DIM], 5, 50, filter).unwrap().is_empty());
        assert!(graph.candidates(&values[..DIM], 5, 50, filter).unwrap().is_none());
    }
    let all = graph.search(&vectors, &values[3 * DIM..4 * DIM], 300, 300, None).unwrap();
    assert_eq!(298, all.len());
    assert!(all.iter().all(|n| n.row != 3 && n.row != 4));
}
