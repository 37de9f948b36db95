//! What a graph promises of its insides: distances, links, reach, levels and the room it takes.

use super::*;
use crate::recall::recall;

const DIM: usize = 12;

fn noise(seed: u64, length: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from((state >> 48) as u16) / 32768.0 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

/// Rows whose lengths differ by up to ten times.
fn unequal(seed: u64, rows: usize) -> Vec<f32> {
    let length = |row: usize| 0.2 * (row % 10 + 1) as f32;
    noise(seed, rows * DIM).iter().enumerate().map(|(i, x)| x * length(i / DIM)).collect()
}

fn graph(metric: Metric, values: &[f32], dim: usize) -> Hnsw {
    let vectors = Vectors::f32(values, dim).unwrap();
    let mut graph = Hnsw::new(metric, dim, Settings::default()).unwrap();
    graph.insert(&vectors, &(0..vectors.len() as u32).collect::<Vec<_>>()).unwrap();
    graph
}

fn links(graph: &Hnsw, slot: u32, level: usize) -> Vec<u32> {
    let mut list = Vec::new();
    graph.links.read(slot, level, &mut list);
    list
}

fn slots(rows: std::ops::Range<u32>) -> Vec<u32> {
    rows.collect()
}

/// The definition, in float64.
fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>()
    };
    match metric {
        Metric::InnerProduct => -dot(a, b),
        Metric::L2 => dot(a, a) + dot(b, b) - 2.0 * dot(a, b),
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

/// From a slot in the unit of the metric; from a query less its own square under L2, which is the same
/// for all.
#[test]
fn distances_by_codes_are_nearly_the_exact_ones() {
    let values = unequal(1, 150);
    let row = |slot: u32| &values[slot as usize * DIM..][..DIM];
    let most = values.iter().map(|x| x * x).sum::<f32>() / 150.0;
    for metric in Metric::ALL {
        let graph = graph(metric, &values, DIM);
        let near = if metric == Metric::Cosine { 0.02 } else { 0.06 * f64::from(most) };
        for from in [0, 9, 77] {
            let own =
                if metric == Metric::L2 { distance(metric, row(from), &[0.0; DIM]) } else { 0.0 };
            let probes = [(graph.nodes.at(from), 0.0), (graph.nodes.probe(row(from)), own)];
            for (probe, less) in &probes {
                let mut all = Vec::new();
                graph.nodes.distances(probe, &slots(0..150), &mut all);

                assert_eq!(150, all.len());
                for (slot, &found) in (0..).zip(&all) {
                    let expected = distance(metric, row(from), row(slot)) - less;

                    assert!(
                        (expected - f64::from(found)).abs() < near,
                        "{metric:?} {expected} {found}"
                    );
                    assert_eq!(found, graph.nodes.distance(probe, slot));
                }
            }
        }
    }
}

/// Sound lists: neighbours that live and are on the level, none twice, no slot itself, as many as wanted
/// and slack at most; at the bottom most links go both ways.
fn check_links(graph: &Hnsw) {
    let live: Vec<u32> = (0..graph.slots()).filter(|&slot| graph.is_live(slot)).collect();
    let (mut both, mut all) = (0, 0);
    for &slot in &live {
        for level in 0..=graph.links.level(slot) {
            let list = links(graph, slot, level);
            let mut once = list.clone();
            once.sort_unstable();
            once.dedup();
            let most = if level == 0 { 32 + 6 + 2 } else { 16 };

            assert_eq!(list.len(), once.len(), "{slot} {level} {list:?}");
            assert!(list.len() <= most && !list.contains(&slot), "{slot} {level} {list:?}");
            assert!(list.iter().all(|&o| graph.is_live(o) && graph.links.level(o) >= level));
            if level == 0 {
                all += list.len();
                both +=
                    list.iter().filter(|&&other| links(graph, other, 0).contains(&slot)).count();
            }
        }
    }

    assert!(5 * both > 3 * all, "{both} of {all}");
    assert!(graph.unreachable().is_empty());
    let entry = graph.entry.unwrap();
    let highest = live.iter().map(|&slot| graph.links.level(slot)).max();
    assert_eq!(highest, Some(entry.level));
    assert_eq!(entry.level, graph.links.level(entry.slot));
    assert!(graph.is_live(entry.slot));
}

#[test]
fn lists_are_sound_after_building_and_after_churn() {
    let values = unequal(2, 1500);
    for metric in Metric::ALL {
        let vectors = Vectors::f32(&values, DIM).unwrap();
        let mut graph = Hnsw::new(metric, DIM, Settings::default()).unwrap();
        graph.insert(&vectors, &slots(0..1000)).unwrap();
        check_links(&graph);
        // The entry and its like among them: all that are on upper levels.
        let high: Vec<u32> = (0..1000).filter(|&slot| graph.links.level(slot) > 0).collect();
        assert!(high.len() > 30);
        graph.remove(&high);
        graph.remove(&slots(100..300));
        graph.insert(&vectors, &slots(1000..1500)).unwrap();
        graph.settle();
        check_links(&graph);
    }
}

/// A candidate that is nearer to one already chosen than to the centre goes another way: it is left out,
/// and one that is as near to both stays.
#[test]
fn neighbours_lie_in_different_directions() {
    // The last value is the same for all and the largest, so that codes are the values themselves.
    let points = [0.0, 10.0, 19.0, -12.0, 30.0, 5.0];
    let values: Vec<f32> = points.iter().flat_map(|&x| [x, 0.0, 127.0]).collect();
    let graph = graph(Metric::L2, &values, 3);
    let choose = |slots: &[u32], most| graph.select(&graph.sorted(0, slots), most);

    assert_eq!(vec![1, 3], choose(&[4, 3, 2, 1], 9));
    assert_eq!(vec![5, 3], choose(&[3, 1, 5], 9)); // 10 is as near to 5 as 5 to 0, and nearer than 0
    assert_eq!(vec![1], choose(&[3, 1], 1));
    let order: Vec<u32> = graph.sorted(0, &[4, 3, 2, 1, 5]).iter().map(|n| n.row).collect();
    assert_eq!(vec![5, 1, 3, 2, 4], order);
    let far: Vec<f32> = graph.sorted(0, &[4, 1]).iter().map(|n| n.distance).collect();
    assert_eq!(vec![100.0, 900.0], far);
    let triangle = [[0.0, 0.0], [10.0, 0.0], [5.0, 5.0], [10.0, 10.0], [0.0, 10.0]];
    let values: Vec<f32> = triangle.iter().flat_map(|&[x, y]| [x, y, 127.0]).collect();
    let square = super::tests::graph(Metric::L2, &values, 3);
    // The far corner is as near to each of two chosen ones as they are to the centre, and farther itself.
    assert_eq!(vec![1, 4], square.select(&square.sorted(0, &[1, 3, 4]), 9));
    // The middle is as near to the corners as the centre is to it: chosen first, it leaves none out but
    // those nearer to it.
    assert_eq!(vec![2], square.select(&square.sorted(0, &[1, 2, 3, 4]), 9));
}

/// One that is exactly as near to a chosen one as to the centre stays.
#[test]
fn a_tie_keeps_a_neighbour() {
    let hexagon = [[0.0, 0.0, 0.0], [8.0, 8.0, 0.0], [8.0, 0.0, 8.0]]; // all sides alike
    let values: Vec<f32> = hexagon.iter().flat_map(|&[x, y, z]| [x, y, z, 127.0]).collect();
    let graph = graph(Metric::L2, &values, 4);

    assert_eq!(vec![1, 2], graph.select(&graph.sorted(0, &[2, 1]), 9));
}

/// Take a slot out of all lists of others.
fn cut(graph: &Hnsw, slot: u32) {
    for other in 0..graph.slots() {
        let mut list = links(graph, other, 0);
        list.retain(|&one| one != slot);
        graph.links.write(other, 0, &list);
    }
    assert!(graph.unreachable().contains(&slot));
}

/// A slot that is not the entry, without links of its own that would be followed back.
const LOST: u32 = 7;

#[test]
fn small_insertions_add_up_to_a_twentieth_after_which_all_are_in_reach() {
    let values = unequal(3, 1100);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &slots(0..1000)).unwrap();
    assert_eq!(0, graph.changes);
    cut(&graph, LOST);
    for first in (1000..1050).step_by(10) {
        graph.insert(&vectors, &slots(first..first + 10)).unwrap();
        assert_eq!((first - 990) as usize, graph.changes);
        cut(&graph, LOST); // where new ones linked to it
    }
    // 52 of 1052 are less than a twentieth, 53 of 1053 are more.
    graph.insert(&vectors, &slots(1050..1052)).unwrap();
    cut(&graph, LOST);
    graph.insert(&vectors, &slots(1052..1053)).unwrap();

    assert_eq!(0, graph.changes);
    assert!(graph.unreachable().is_empty());
}

#[test]
fn settling_brings_what_was_inserted_into_reach_without_any_removal() {
    let values = unequal(4, 1001);
    let vectors = Vectors::f32(&values, DIM).unwrap();
    let mut graph = Hnsw::new(Metric::Cosine, DIM, Settings::default()).unwrap();
    graph.insert(&vectors, &slots(0..1000)).unwrap();
    graph.insert(&vectors, &[1000]).unwrap();
    assert_eq!((1, 0), (graph.changes, graph.dead_count));
    cut(&graph, LOST);
    graph.settle();

    assert!(graph.unreachable().is_empty());
    assert_eq!(0, graph.changes);
}

/// From the nearest in reach that has room, in one of two places that nothing else fills; then in place
/// of a last link.
#[test]
fn a_lost_slot_is_linked_from_the_nearest_that_has_room() {
    let values = noise(5, 400 * DIM);
    let mut graph = graph(Metric::L2, &values, DIM);
    let near: Vec<u32> = graph.sorted(LOST, &slots(0..400)).iter().map(|n| n.row).collect();
    assert_eq!(LOST, near[0]);
    for (full, expected) in [(0, near[1]), (1, near[2])] {
        cut(&graph, LOST);
        for &slot in &near[1..=full] {
            let mut list = links(&graph, slot, 0);
            let more = (0..400).filter(|o| *o != LOST && *o != slot && !list.contains(o));
            list.extend(more.take(40 - list.len()).collect::<Vec<_>>());
            graph.links.write(slot, 0, &list);
        }
        graph.connect();
        let from: Vec<u32> = (0..400).filter(|&o| links(&graph, o, 0).contains(&LOST)).collect();

        assert_eq!(vec![expected], from);
        assert_eq!(Some(&LOST), links(&graph, expected, 0).last());
    }
    let before = links(&graph, near[1], 0);
    assert_eq!(40, before.len());
    graph.force(near[1], LOST);
    assert_eq!([&before[..39], &[LOST]].concat(), links(&graph, near[1], 0));
}

#[test]
fn links_hold_what_is_written_level_by_level() {
    let mut links = Links::new(4);
    links.grow(3);
    for (slot, level) in [(0, 0), (1, 2), (2, 1)] {
        links.reset(slot, level);
    }
    let read = |links: &Links, slot, level| {
        let mut list = vec![99];
        links.read(slot, level, &mut list);
        list.split_off(1)
    };
    assert_eq!([0, 2, 1], [0, 1, 2].map(|slot| links.level(slot)));
    assert_eq!([8, 4, 4], [0, 1, 2].map(|level| links.wanted(level)));
    assert_eq!([14, 4, 4], [0, 1, 2].map(|level| links.most(level)));
    for (slot, level) in [(0, 0), (1, 0), (1, 1), (1, 2), (2, 1)] {
        assert!(read(&links, slot, level).is_empty());
        let all = slots(10 * slot..10 * slot + 40);
        links.write(slot, level, &all);
        let room = if level == 0 { 16 } else { 4 };
        assert_eq!(all[..room], read(&links, slot, level));
        links.write(slot, level, &[slot, level as u32]);
    }
    links.write(0, 1, &[1]); // a level it is not on
    links.grow(5);
    for (slot, level) in [(0, 0), (1, 0), (1, 1), (1, 2), (2, 1)] {
        assert_eq!(vec![slot, level as u32], read(&links, slot, level));
    }
    assert!(read(&links, 0, 1).is_empty() && read(&links, 2, 0).is_empty());
    links.reset(1, 1);
    assert_eq!((1, 5), (links.level(1), links.slots()));
    assert!(read(&links, 1, 0).is_empty() && read(&links, 1, 1).is_empty());
}

/// Each level has a part of the one below it, one in `degree`.
#[test]
fn levels_thin_out_by_the_degree() {
    for degree in [2, 16] {
        let graph = Hnsw::new(Metric::L2, 1, Settings { degree, build_width: 1 }).unwrap();
        let levels: Vec<usize> = (0..1 << 16).map(|row| graph.draw_level(row)).collect();
        let mut part = 1.0;
        for level in 1..=if degree == 2 { 8 } else { 2 } {
            part /= degree as f64;
            let expected = part * levels.len() as f64;
            let found = levels.iter().filter(|&&l| l >= level).count() as f64;

            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{degree} {level} {found}");
        }
        assert!(levels.iter().all(|&level| level <= 15));
    }
}

/// Down to the level above the last, each step nearer, until no neighbour is nearer still.
#[test]
fn a_descent_ends_at_a_nearest_one_of_its_level() {
    let values = noise(6, 3000 * DIM);
    let graph = graph(Metric::L2, &values, DIM);
    let entry = graph.entry.unwrap();
    assert!(entry.level >= 2);
    let (mut stays, mut all) = (0, 0);
    for query in values.chunks(DIM).take(50) {
        let probe = graph.nodes.probe(query);
        let far = |slot| graph.nodes.distance(&probe, slot);
        for bottom in 0..entry.level {
            let at = graph.descend(&probe, entry.slot, entry.level, bottom);

            assert!(graph.links.level(at) > bottom || at == entry.slot);
            assert!(far(at) <= far(entry.slot));
            assert!(links(&graph, at, bottom + 1).iter().all(|&other| far(at) <= far(other)));
            all += 1;
            stays += usize::from(at == entry.slot);
        }
        assert_eq!(entry.slot, graph.descend(&probe, entry.slot, entry.level, entry.level));
    }
    assert!(5 * stays < all, "{stays} of {all}");
}

/// As wide as the graph a walk meets all, in the order of their distances; and those alone are given
/// that may be.
#[test]
fn the_widest_walk_is_a_sort() {
    let values = noise(7, 700 * DIM);
    let graph = graph(Metric::Cosine, &values, DIM);
    let entry = graph.entry.unwrap().slot;
    let probe = graph.nodes.probe(&values[..DIM]);
    let mut distances = Vec::new();
    graph.nodes.distances(&probe, &slots(0..700), &mut distances);
    for (width, every) in [(700, 1), (700, 3), (20, 1)] {
        let accept = |slot: u32| slot.is_multiple_of(every);
        let mut keys: Vec<u64> = (0..)
            .zip(&distances)
            .filter(|&(slot, _)| accept(slot))
            .map(|(slot, &d)| crate::top_k::key(d, slot))
            .collect();
        keys.sort_unstable();
        keys.truncate(width);
        let expected: Vec<_> = keys.into_iter().map(crate::top_k::neighbor).collect();
        let found = graph.beam(&probe, entry, 0, width, accept);

        assert_eq!(expected.len(), found.len());
        if width == 700 {
            assert_eq!(expected, found);
        } else {
            assert!(recall(&[expected], &[found]) >= 0.9);
        }
    }
}

/// An eighth of what lives, 89 of 712, or more: then slots of removed rows are free.
#[test]
fn dead_slots_are_freed_when_they_are_an_eighth_of_the_live_ones() {
    for (gone, freed) in [(88, false), (89, true)] {
        let values = noise(8, 900 * DIM);
        let vectors = Vectors::f32(&values, DIM).unwrap();
        let mut graph = Hnsw::new(Metric::L2, DIM, Settings::default()).unwrap();
        graph.insert(&vectors, &slots(0..801)).unwrap();
        assert_eq!(60, graph.remove(&slots(0..60)));
        assert_eq!((60, 0, 741), (graph.dead_count, graph.free.len(), graph.len()));
        assert_eq!(gone as usize - 60, graph.remove(&slots(50..gone)));
        let expected = if freed { (0, 89) } else { (88, 0) };
        assert_eq!(expected, (graph.dead_count, graph.free.len()));
        assert_eq!(801 - gone as usize, graph.len());
        assert!(!graph.contains(gone - 1) && graph.contains(gone));
        graph.insert(&vectors, &slots(801..890)).unwrap();
        assert_eq!(if freed { 801 } else { 890 }, graph.slots());
        assert_eq!(890 - gone as usize, graph.len());
        graph.settle();
        assert_eq!(if freed { 0 } else { 88 }, graph.free.len());
        check_links(&graph);
    }
}

/// Where no list has room the nearest one gives up its last link.
#[test]
fn where_all_lists_are_full_the_nearest_takes_a_lost_slot() {
    let values = noise(9, 100 * DIM);
    let mut graph = graph(Metric::L2, &values, DIM);
    let near: Vec<u32> = graph.sorted(LOST, &slots(0..100)).iter().map(|n| n.row).collect();
    for slot in (0..100).filter(|&slot| slot != LOST) {
        let mut list = links(&graph, slot, 0);
        list.retain(|&other| other != LOST);
        let others = (0..100).map(|step| (slot + step) % 100);
        let more = others.filter(|o| *o != LOST && *o != slot && !list.contains(o));
        list.extend(more.take(40 - list.len()).collect::<Vec<_>>());
        graph.links.write(slot, 0, &list);
    }
    assert_eq!(vec![LOST], graph.unreachable());
    graph.connect();

    let from: Vec<u32> = (0..100).filter(|&o| links(&graph, o, 0).contains(&LOST)).collect();
    assert_eq!(vec![near[1]], from);
    assert!(graph.unreachable().is_empty());
}

/// The entry is always one of the highest level, by one level more too.
#[test]
fn each_higher_slot_becomes_the_entry() {
    let values = noise(10, 3000 * 2);
    let vectors = Vectors::f32(&values, 2).unwrap();
    let mut graph = Hnsw::new(Metric::L2, 2, Settings { degree: 4, build_width: 10 }).unwrap();
    for level in 0..4 {
        let row = (0..3000).find(|&row| graph.draw_level(row) == level).unwrap();
        graph.insert(&vectors, &[row]).unwrap();
        let entry = graph.entry.unwrap();

        assert_eq!((level as u32, level), (entry.slot, entry.level));
    }
    let same = (0..3000).rfind(|&row| graph.draw_level(row) == 3).unwrap();
    graph.insert(&vectors, &[same]).unwrap();
    assert_eq!(3, graph.entry.unwrap().slot, "one as high does not replace it");
}
