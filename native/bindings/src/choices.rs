//! Settings that Python names by a word.

use arrow_quant::{Activations, Level, ParamFormat, Scheme};
use arrow_storage::{Compaction, Durability};
use vector_search::Metric;

const METRICS: [(&str, Metric); 3] =
    [("cosine", Metric::Cosine), ("inner_product", Metric::InnerProduct), ("l2", Metric::L2)];

const DURABILITIES: [(&str, Durability); 3] =
    [("commit", Durability::Commit), ("batch", Durability::Batch), ("none", Durability::None)];

const COMPACTIONS: [(&str, Compaction); 2] =
    [("background", Compaction::Background), ("explicit", Compaction::Explicit)];

/// Each with or without an exponent for each row.
const PARAM_FORMATS: [(&str, (ParamFormat, bool)); 6] = [
    ("f16", (ParamFormat::F16, false)),
    ("u6", (ParamFormat::U6, false)),
    ("u4", (ParamFormat::U4, false)),
    ("f16+e8", (ParamFormat::F16, true)),
    ("u6+e8", (ParamFormat::U6, true)),
    ("u4+e8", (ParamFormat::U4, true)),
];

const ACTIVATIONS: [(&str, Activations); 2] =
    [("int8", Activations::Int8), ("float32", Activations::Float32)];

fn choose<T: Copy>(what: &str, found: &str, known: &[(&str, T)]) -> Result<T, String> {
    let hit = known.iter().find(|(name, _)| *name == found).map(|&(_, value)| value);
    hit.ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("{what}: expected one of {}, got {found:?}", names.join(", "))
    })
}

fn name<T: PartialEq>(value: &T, known: &[(&'static str, T)]) -> &'static str {
    known.iter().find(|(_, other)| other == value).map_or("", |&(name, _)| name)
}

/// The metric of a name, or what would be right.
pub(crate) fn metric(name: &str) -> Result<Metric, String> {
    choose("metric", name, &METRICS)
}

/// The name of a metric.
pub(crate) fn metric_name(metric: Metric) -> &'static str {
    name(&metric, &METRICS)
}

/// The durability of a name, or what would be right.
pub(crate) fn durability(name: &str) -> Result<Durability, String> {
    choose("durability", name, &DURABILITIES)
}

/// The way of compaction of a name, or what would be right.
pub(crate) fn compaction(name: &str) -> Result<Compaction, String> {
    choose("compaction", name, &COMPACTIONS)
}

/// The way to keep scales and minima of a name, or what would be right.
pub(crate) fn param_format(name: &str) -> Result<(ParamFormat, bool), String> {
    choose("param_format", name, &PARAM_FORMATS)
}

/// The name of a way to keep scales and minima.
pub(crate) fn param_format_name(scheme: Scheme) -> &'static str {
    name(&(scheme.params(), scheme.exponents()), &PARAM_FORMATS)
}

/// The type of activations of a name, or what would be right.
pub(crate) fn activations(name: &str) -> Result<Activations, String> {
    choose("activations", name, &ACTIVATIONS)
}

/// The instructions of a name, or what would be right on this machine.
pub(crate) fn instructions(name: &str) -> Result<Level, String> {
    let known: Vec<_> = Level::available().into_iter().map(|level| (level.name(), level)).collect();
    choose("instructions", name, &known)
}
