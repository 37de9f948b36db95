"""How fast sampling is, and how much it asks of the device.

    make bench AREA=sampling                       # all of it, on this machine's processor
    make bench AREA=sampling ARGS='--device cuda --length 1024 --vocab 50257'
    make bench AREA=sampling ARGS='peers --dllm path/to/a/checkout/of/dllm'

Four cases, all with a network of random weights, large enough to make it sure of some positions
and not of others; the cost of a step does not depend on them.

overhead: of each sampler, the share of a step that is not spent in the network.
peers: ours beside the schedulers of diffusers (pip install diffusers), on the same network with
    the same settings, by turns in the same process: per call of the network and per text. Times
    are wall-clock time on CUDA, and processor time elsewhere, which other processes disturb less.
counts: of the same pairs, the requests of each to a device besides the backbone (counted, so on
    any machine): `launches` and `syncs` (waits of the host) for each call of the network, and `mb`,
    megabytes read and written in tensors of at least four rows of the vocabulary, by type.
memory: the most that sampling allocates besides the network's own needs, in units of one answer
    (B, L, V), and how many tensors of that size it makes a call. On CUDA the allocator is asked; on
    the CPU every allocation is traced.
"""

import argparse
import statistics
import time
from functools import partial

import attrs
import sampling_peers as peers
import torch
from record import Recorder
from result import Bar
from torch.profiler import ProfilerActivity, profile

from aios_core.contracts import Vocabulary
from aios_core.diffusion import chunking
from aios_core.diffusion.core import DiffusionCore
from aios_core.diffusion.model import Model
from aios_core.registry import Registry
from aios_core.testing.conformance import tokens
from aios_core.testing.counter import Counter
from aios_core.testing.modules import stir
from aios_plugins.backbones.transformer import TransformerModule

REGISTRY = Registry.discover()


def component(kind, name, **settings):
    """A registered component."""
    return REGISTRY.get(kind, name).load()(**settings)


def network(given, corruption="absorbing"):
    """The network under all samplers."""
    torch.manual_seed(0)
    vocabulary = Vocabulary(
        size=given.vocab,
        mask_id=given.vocab - 1,
        pad_id=given.vocab - 2,
        bos_id=given.vocab - 3,
        eos_id=given.vocab - 4,
    )
    backbone = component(
        "backbone", "transformer", dim=given.dim, layers=given.layers, heads=given.dim // 64
    )
    model = Model(
        component("head", "text"),
        backbone,
        component("noise", "loglinear"),
        component("corruption", corruption),
        vocabulary,
    ).eval()
    stir(model)  # predictions that differ from position to position, sure of some
    with torch.no_grad():
        model.head.norm.weight.mul_(4)
    return model.to(given.device, getattr(torch, given.dtype))


def shape(given):
    """What the figures depend on, for the names of results."""
    prompt = f", prompt {given.prompt}" if given.prompt else ""
    return f"{given.rows} x {given.length:,} tokens{prompt}, V {given.vocab:,}"


def method(given):
    """How figures are measured."""
    clock = "wall-clock" if given.device == "cuda" else "processor"
    size = f"random weights, {given.layers} x {given.dim}, {given.dtype}, {given.steps} steps"
    return f"{size}; median of {given.repeats} runs by turns, {clock} time"


def now(given):
    """Seconds, when all that was asked is done; of the processor where it does the work."""
    if given.device != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def masks(model, given):
    """Where sampling starts: a prompt, if one is wanted, and masks."""
    x = torch.full((given.rows, given.length), model.vocabulary.mask_id, device=given.device)
    x[:, : given.prompt] = torch.arange(given.prompt) % (given.vocab - 4)
    return x


def ours(model, given, sampler, *, calls=None, **settings):
    """Sample, at most so many calls; how many there were."""
    core = DiffusionCore(model, sampler, model.noise, model.vocabulary.mask_id, **settings)
    nfe = 0
    seeds = range(given.rows)
    for state in core.stream(masks(model, given), seeds=seeds, scored=given.scored):
        nfe = state.nfe
        if nfe == calls:
            break
    return nfe


def samplers(steps):
    """Every registered sampler, by name."""
    for name, cls in tokens("sampler", REGISTRY).items():
        yield name, cls(steps=steps) if "steps" in attrs.fields_dict(cls) else cls()


def overhead(record, model, given):
    """The share of a step outside the network: outside encode, backbone and decode."""
    inside = [0.0]

    def timed(function):
        def run(*args, **kwargs):
            began = now(given)
            answer = function(*args, **kwargs)
            inside[0] += now(given) - began
            return answer

        return run

    whole = {(model.head, "encode"), (model.backbone, "forward"), (model.head, "decode")}
    kept = {(module, name): getattr(module, name) for module, name in whole}
    for (module, name), function in kept.items():
        setattr(module, name, timed(function))
    for name, sampler in samplers(given.steps):
        shares, calls = [], 0
        for _ in range(given.repeats):
            inside[0], began = 0.0, now(given)
            calls = ours(model, given, sampler, calls=given.steps)
            spent = now(given) - began
            shares.append(1 - inside[0] / spent)
        share = statistics.median(shares)
        record(
            f"share of a step outside the network, {shape(given)}", 100 * share,
            at=name, unit="%", bar=Bar("ours", most=5) if given.device == "cpu" else None,
            how=method(given), calls=calls, network_ms_per_call=1000 * inside[0] / calls,
        )  # fmt: skip
    for (module, name), function in kept.items():
        setattr(module, name, function)


def versus(record, model, given):
    """Time ours and others by turns."""
    for name, peer, our, settings in chosen(model, given):
        spent = {"ours": [], "peer": []}
        calls = {}
        for _ in range(given.repeats):
            for who, run in (("ours", our), ("peer", peer)):
                began = now(given)
                calls[who] = run()
                spent[who].append(now(given) - began)
        text = {who: statistics.median(times) for who, times in spent.items()}
        call = {who: 1000 * text[who] / calls[who] for who in text}
        what, peer_name = name.split(" / ")
        rival, _, form = short(peer_name).partition("-")
        cache = settings.get("cache", "none")
        at = {"none": "no cache"}.get(cache, f"{cache} cache") + f", theirs {form}" * bool(form)
        pair = f"{what} beside {rival}"
        if not settings:
            pair, at = "without a cache beside diffusers", pair
        record(
            f"a call, {pair}, {shape(given)}", call["ours"],
            at=at, unit="ms", peers={peer_name: call["peer"]},
            headline=given.rows == 1, how=method(given),
            bar=Bar("ratio", least=2) if cache != "none" and given.device == "cpu" else None,
            calls=calls["ours"], peer_calls=calls["peer"], seconds_per_text=text["ours"],
            peer_seconds_per_text=text["peer"], ratio_per_text=text["peer"] / text["ours"],
        )  # fmt: skip


def short(peer):
    """The name of a peer without its package and its settings."""
    return peer.split()[1].rstrip(",")


def counts(record, model, given):
    """Requests of ours and of others to a device besides the backbone, for each of its calls."""
    chunking._ENTRIES = chunking._ENTRIES_CUDA  # as on a graphics card
    for name, peer, our, settings in chosen(model, given):
        asked = {}
        for who, run in (("ours", our), ("peer", peer)):
            with Counter(4 * given.vocab) as counter, counter.without(TransformerModule, "forward"):
                calls = run()
            megabytes = sum(counter.bytes.values()) / calls / 2**20
            asked[who] = (counter.launches / calls, counter.syncs / calls, megabytes)
        what, peer_name = name.split(" / ")
        what += f" beside {short(peer_name)}"
        what += f", {settings['cache']} cache" if settings.get("cache", "none") != "none" else ""
        what += ", scored" if given.scored else ""
        kinds = ("launches", "launches"), ("waits of the host", "waits"), ("memory traffic", "MB")
        for (kind, unit), own, other in zip(kinds, asked["ours"], asked["peer"], strict=True):
            record(
                f"{kind} a call besides the network, {shape(given)}", own,
                at=what, unit=unit, peers={peer_name: other},
                how="counted on the processor by the operators that run, the start included",
            )  # fmt: skip


def chosen(model, given):
    """The pairs that were asked for."""
    return [pair for pair in pairs(model, given) if given.only in pair[0]]


def pairs(model, given):
    """Others and ours: a name, functions that run each and count its calls, and the settings."""
    x, steps, block = masks(model, given), given.steps, given.block
    taking = {"model": model, "x": x, "steps": steps, "block": block, "tau": given.tau}
    mask_git = component(
        "sampler", "confidence", steps=steps, selection="sample-then-choose"
    )  # fmt: skip
    threshold = component("sampler", "threshold", tau=given.tau)
    if not given.prompt:
        yield (
            "confidence / diffusers aMUSEd",
            partial(peers.amused, **taking),
            partial(ours, model, given, mask_git),
            {},
        )
        bound = component("sampler", "entropy-bounded", gamma=0.1)
        yield (
            "entropy-bounded / diffusers EntropyBound",
            partial(peers.entropy_bound, gamma=0.1, **taking),
            partial(ours, model, given, bound, calls=steps),
            {},
        )
        ancestral = component("sampler", "ancestral", steps=steps)
        uniform = network(given, "uniform")
        yield (
            "ancestral / diffusers DiscreteDDIM, both of uniform noise",
            partial(peers.ddim, **taking),
            partial(ours, uniform, given, ancestral),
            {},
        )
    for cache in ("none", "prefix", "dual"):
        yield (
            "threshold in blocks / diffusers BlockRefinement",
            partial(peers.block_refinement, **taking),
            partial(ours, model, given, threshold, temperature=0, block_size=block, cache=cache),
            {"cache": cache, "prompt": given.prompt},
        )
    # Reading no text behind the block.
    yield (
        "threshold in blocks / diffusers BlockRefinement-causal",
        partial(peers.block_refinement, to_the_end=False, **taking),
        partial(ours, model, given, threshold, temperature=0, block_size=block, cache="dual"),
        {"cache": "dual", "prompt": given.prompt},
    )
    for cache in ("none", "dual") if given.dllm else ():
        sampler = attrs.evolve(mask_git, steps=max(1, steps * block // given.length))
        yield (
            "confidence in blocks / dLLM MDLM",
            partial(peers.dllm, path=given.dllm, **taking),
            partial(ours, model, given, sampler, block_size=block, cache=cache),
            {"cache": cache},
        )


def memory(record, model, given):
    """The largest of what sampling allocates; the network's own share is measured first."""
    answer = given.rows * given.length * given.vocab * 4
    x, calls = masks(model, given), 2
    time_ = torch.zeros(given.rows, dtype=torch.float64, device=given.device)
    alone, _ = allocated(lambda: model.backbone(model.head.encode(x), time_, None), given, answer)
    for name, sampler in samplers(given.steps):
        peak, large = allocated(
            partial(ours, model, given, sampler, calls=calls), given, answer, calls
        )
        record(
            f"peak memory in answers (B, L, V), {shape(given)}", peak / answer,
            at=name, unit="answers", how="allocated above what was there before, network included",
            answer_mb=answer / 2**20, network_alone_mb=alone / 2**20, peak_mb=peak / 2**20,
            large_tensors_per_call=large,
        )  # fmt: skip


@torch.no_grad()
def allocated(run, given, answer, calls=1):
    """Bytes at the peak above what was there before, and large allocations a call."""
    if given.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before, None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as traced:
        run()
    held = peak = large = 0
    for event in traced.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak, large = max(peak, held), large + (event.nbytes() >= answer / 2)
    return peak, large / calls


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cases = {"overhead": overhead, "peers": versus, "counts": counts, "memory": memory}
    parser.add_argument("cases", nargs="*", choices=[*cases, []], default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=1024, help="(memory: at least 50257)")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=0, help="positions given, of the length")
    parser.add_argument("--only", default="", help="pairs with this in their name")
    parser.add_argument(
        "--scored", action="store_true", help="also compute confidences, as peers do not"
    )
    parser.add_argument("--tau", type=float, default=0.9)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dllm", help="a checkout of dLLM, to be measured too")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    record = Recorder("sampling", given.device)
    for case, run in cases.items():
        if given.cases and case not in given.cases:
            continue
        if case == "memory":
            given.length, given.vocab = max(given.length, 1024), max(given.vocab, 50_257)
        with torch.no_grad():
            model = network(given)
            peers.logits_of(model, masks(model, given))  # whatever the first call has to do
            try:
                run(record, model, given)
            except ModuleNotFoundError as error:
                record.skip(case, f"{error.name} is not installed")


if __name__ == "__main__":
    main()
