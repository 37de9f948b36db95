//! Settings that Python names by a word.

use arrow_storage::{Compaction, Durability};
use vector_search::Metric;

const METRICS: [(&str, Metric); 3] =
    [("cosine", Metric::Cosine), ("inner_product", Metric::InnerProduct), ("l2", Metric::L2)];

const DURABILITIES: [(&str, Durability); 3] =
    [("commit", Durability::Commit), ("batch", Durability::Batch), ("none", Durability::None)];

const COMPACTIONS: [(&str, Compaction); 2] =
    [("background", Compaction::Background), ("explicit", Compaction::Explicit)];

fn choose<T: Copy>(what: &str, found: &str, known: &[(&str, T)]) -> Result<T, String> {
    let hit = known.iter().find(|(name, _)| *name == found).map(|&(_, value)| value);
    hit.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("{what} is {found:?}; want one of {}", names.join(", "))
    })
}

/// The metric of a name, or what would be right.
pub(crate) fn metric(name: &str) -> Result<Metric, String> {
    choose("metric", name, &METRICS)
}

/// The name of a metric.
pub(crate) fn metric_name(metric: Metric) -> &'static str {
    METRICS.iter().find(|(_, known)| *known == metric).map_or("", |&(name, _)| name)
}

/// The durability of a name, or what would be right.
pub(crate) fn durability(name: &str) -> Result<Durability, String> {
    choose("durability", name, &DURABILITIES)
}

/// The way of compaction of a name, or what would be right.
pub(crate) fn compaction(name: &str) -> Result<Compaction, String> {
    choose("compaction", name, &COMPACTIONS)
}
