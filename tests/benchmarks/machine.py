"""What a machine is: enough to judge its figures by, nothing that names it or its owner."""

from __future__ import annotations

import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from result import MACHINES

LEVELS = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX INT8",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "NEON I8MM",
    "sve": "SVE",
}
"""Flags of the kernel to the levels of instructions that our kernels and our peers' differ by."""

SOFTWARE = ("torch", "numpy", "pyarrow")


def installed(distribution: str) -> str | None:
    """The version of a distribution, if it is there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def describe(device: str = "cpu") -> dict[str, Any]:
    """This machine. `device` is torch's: with `cuda` the card is a part of it."""
    cpu = _cpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    known = {
        "cpu": cpu["name"],
        "levels": [name for flag, name in LEVELS.items() if flag in cpu["flags"]],
        "cores": cores,
        "memory_gib": _memory_gib(),
        "system": _system(),
        "software": {"python": platform.python_version()}
        | {name: number for name in SOFTWARE if (number := installed(name))},
    }
    name = f"{_slug(cpu['name'])}{cpu['model']}-{cores}c"
    if device.startswith("cuda"):
        import torch

        card = torch.cuda.get_device_properties(torch.device(device))
        known["gpu"] = f"{card.name}, {card.total_memory / 2**30:.0f} GiB"
        known["software"]["cuda"] = torch.version.cuda
        name = _slug(card.name)
    return {"id": name} | known


def save(machine: dict[str, Any], folder: Path = MACHINES) -> None:
    """Write or replace a description."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(machine, indent=2, ensure_ascii=False)
    (folder / f"{machine['id']}.json").write_text(text + "\n", "utf-8")


def load(name: str, folder: Path = MACHINES) -> dict[str, Any]:
    """The description of a machine; ValueError if it is incomplete."""
    machine = json.loads((folder / f"{name}.json").read_text("utf-8"))
    required = {"id", "cpu", "levels", "cores", "memory_gib", "system", "software"}
    if not required <= set(machine) <= required | {"gpu", "about"} or machine["id"] != name:
        raise ValueError(f"{name}.json: expected {sorted(required)}, got {sorted(machine)}")
    return machine


def _slug(name: str) -> str:
    words = re.sub(r"\((R|TM)\)|CPU|Processor|@.*", " ", name)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def _cpu() -> dict[str, Any]:
    """Name, flags and the family with the model, for cloud machines hide their names."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    entries = dict(re.findall(r"^(.+?)\s*: (.*)$", text.split("\n\n", 1)[0], re.MULTILINE))
    family, model = entries.get("cpu family"), entries.get("model")
    return {
        "name": entries.get("model name") or platform.processor() or platform.machine(),
        "flags": (entries.get("flags") or entries.get("Features") or "").split(),
        "model": f"-f{family}m{model}" if family and model else "",
    }


def _memory_gib() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= set(names):
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _system() -> str:
    """Distribution and the two numbers of the kernel; the rest of its release may name a host."""
    kernel = f"{platform.system()} {'.'.join(re.findall(r'[0-9]+', platform.release())[:2])}"
    try:
        named = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return kernel
    return f"{named}, {kernel}"
