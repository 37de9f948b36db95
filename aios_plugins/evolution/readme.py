"""The page of a skill card that people and model hubs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios_plugins.evolution.card import Card


def readme(card: Card) -> str:
    """Front matter as hubs expect it, and a table of the scores."""
    share = 100 * card.parameters / max(card.parameters_total, 1)
    trained = (
        f"trainable params: {card.parameters:,} || all params: {card.parameters_total:,} || "
        f"trainable%: {share:.4f}"
    )
    head = [
        "---",
        f"base_model: aios-{card.base_sha256[:16]}",
        "library_name: ai-os-diffusion",
        f"tags: [{card.level}, {'diffusion' if card.mode == 'diffusion' else 'autoregressive'}]",
        "metrics: [nelbo]",
        "---",
        "",
        f"# {card.name}",
        "",
        card.description or "A skill for a model of ai-os-diffusion.",
        "",
        f"Level `{card.level}`.",
        "",
        trained,
        "",
    ]
    rows = [*_rows("gate", card.scores), *_rows("report", card.report)]
    if rows:
        table = [
            "| split | texts | before | after | change | interval |",
            "|---|---|---|---|---|---|",
        ]
        head += ["Nats a token, lower is better.", "", *table, *rows, ""]
    return "\n".join(head)


def _rows(name: str, scores: dict[str, Any]) -> list[str]:
    return [
        f"| {name} | {of} | {c['before']:.4f} | {c['after']:.4f} | {c['delta']:+.4f} | "
        f"{c['low']:+.4f} to {c['high']:+.4f} |"
        for of in ("target", "base")
        if isinstance(c := scores.get(of), dict) and None not in c.values()
    ]
