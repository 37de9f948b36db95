"""Holds ``[plugins] require`` against what is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def unmet(text: str) -> str | None:
    """Why a requirement such as ``"aios-cosine>=0.3"`` is not met; None where it is."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return f"{text!r} is not a requirement; expected one as in 'aios-cosine>=0.3'"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed; expected: pip install '{requirement}'"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name} {installed} is installed; expected: pip install '{requirement}'"
