"""What training takes of a GPU's memory, and whether a GPU learns what a CPU does.

    python -m benchmarks.training.memory --out DIR

Models have random weights, so nothing is downloaded. Each part goes on when another one fails, and
says so. Without a GPU, `--tiny` tries the parts that need none.

* detection: peak and time of de-coupled noise detection, in tiles and all logits at once.
* equality: the losses of one small training, on the CPU and here, both in float32.
* steps: seconds and peak of a step: all weights in bfloat16 autocast, LoRA, QLoRA, with Liger or
  without. "loads" is how far the saved policy is from the trained one, in nats of margin.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch

from benchmarks.training.random_models import SHAPES, model_folder, pairs_of
from prefopt_core.ground.progress import listening
from prefopt_core.noise import extrapolated_logps
from prefopt_core.training import trl_dpo
from prefopt_core.training.checks import IDS
from prefopt_core.training.detection import tiled_logps
from prefopt_core.training.settings import TrainingConfig

MIB = 2**20
LORA = {"lora": {"r": 64, "merge": False}, "learning_rate": 1e-4}
WAYS: dict[str, dict[str, Any]] = {
    "135M, all weights": {"shape": "135M", "learning_rate": 1e-5},
    "135M, all weights, Liger": {"shape": "135M", "learning_rate": 1e-5, "liger": True},
    "1.2B, LoRA": {"shape": "1.2B", **LORA},
    "1.2B, LoRA, no checkpointing": {"shape": "1.2B", **LORA, "gradient_checkpointing": False},
    "1.2B, LoRA, Liger": {"shape": "1.2B", **LORA, "liger": True},
    "1.2B, QLoRA": {"shape": "1.2B", **LORA, "quantize": "nf4"},
    "1.2B, QLoRA, noise-aware": {
        "shape": "1.2B", **LORA, "quantize": "nf4", "loss": "noise_aware",
        "params": {"warm_up": 0.0, "window": 8}},
}  # fmt: skip
COMMON = {"batch_size": 8, "micro_batch_size": 8, "attention": "sdpa"}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.memory")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder of memory.json and .md")
    parser.add_argument(
        "--tiny", action="store_true", help="small sizes, for a machine without GPU"
    )
    parser.add_argument("--only", nargs="*", choices=("detection", "equality", "steps"))
    parser.add_argument("--losses", help=argparse.SUPPRESS)  # of `equality`: be the CPU
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)  # of `detection`, without GPU
    told = parser.parse_args()
    if told.losses:
        print(json.dumps(_losses(Path(told.losses))))
    elif told.peak:
        print(json.dumps(_peak(told.peak[0], *map(int, told.peak[1].split(",")))))
    else:
        found = {}
        for name, part in _parts(told.only).items():
            found[name] = part(told.tiny)
            _write(told.out, found)  # whatever comes after


def _parts(only: list[str] | None) -> dict[str, Callable[[bool], Any]]:
    parts = {"detection": detection, "equality": equality, "steps": steps}
    return {name: part for name, part in parts.items() if not only or name in only}


def _guarded(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        row = measure()
    except Exception as error:  # one failing part must not stop the next
        traceback.print_exc()
        row = {"failed": f"{type(error).__name__}: {error}"[:400]}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    row["wall_s"] = round(time.perf_counter() - start, 1)
    print(json.dumps(row), flush=True)
    return row


def detection(tiny: bool) -> dict[str, Any]:
    """Peak memory and time of both ways, by vocabulary."""
    sizes = [(49152, 64, 1024)] if tiny else [(49152, 576, 4096), (128256, 2048, 4096)]
    found = {}
    for vocabulary, width, tokens in sizes:
        for way in ("tiled", "naive"):
            found[f"V {vocabulary:,}, {tokens:,} tokens, {way}"] = _guarded(
                lambda w=way, v=vocabulary, h=width, r=tokens: _apart(w, v, h, r)
            )
    return found


def _apart(way: str, *sizes: int) -> dict[str, Any]:
    if torch.cuda.is_available():
        return _peak(way, *sizes)
    told = ["-m", __spec__.name, "--peak", way, ",".join(map(str, sizes))]
    return json.loads(subprocess.run([sys.executable, *told], check=True, stdout=-1).stdout)


def _peak(way: str, vocabulary: int, width: int, tokens: int) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    device, dtype = ("cuda", torch.bfloat16) if gpu else ("cpu", torch.float32)
    torch.manual_seed(0)
    heads = tuple(
        torch.nn.Linear(width, vocabulary, bias=False, device=device, dtype=dtype) for _ in "pr"
    )
    policy, reference = (torch.randn(tokens, width, device=device, dtype=dtype) for _ in "pr")
    labels = torch.randint(vocabulary, (tokens,), device=device)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def naive() -> torch.Tensor:
        logits = heads[0](policy).float(), heads[1](reference).float()
        return extrapolated_logps(*logits, labels, 0.5).double()

    def tiled() -> torch.Tensor:
        return tiled_logps(policy, reference, labels, heads, 0.5)

    measured = {"tiled": tiled, "naive": naive}
    start = time.perf_counter()
    with torch.no_grad():
        first = measured[way]()
        if not gpu:  # the process so far, and what this took of it
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            return {"seconds": round(time.perf_counter() - start, 4), "peak_mib": _mib(used)}
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before, start = torch.cuda.memory_allocated(), time.perf_counter()
        measured[way]()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() - before
        off = (first - measured["tiled" if way == "naive" else "naive"]()).abs().max()
    return {"seconds": round(seconds, 4), "peak_mib": _mib(peak), "off": float(off)}


def equality(tiny: bool) -> dict[str, Any]:
    """The losses of one training in float32, here and on the CPU."""
    del tiny

    def compare() -> dict[str, Any]:
        with TemporaryDirectory() as folder:
            start = model_folder("tiny", Path(folder) / "start")
            pairs_of(start, 16, 97, (3, 12)).write_parquet(Path(folder) / "pairs.parquet")
            command = [sys.executable, "-m", __spec__.name, "--losses", folder]
            hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
            there = subprocess.run(command, check=True, stdout=-1, env=hidden).stdout
            cpu = json.loads(there.splitlines()[-1])
            here = _losses(Path(folder))
        off = float(np.abs(np.subtract(cpu, here)).max())
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return {"device": device, "cpu": cpu, "here": here, "off": off}

    return {"tiny, noise-aware": _guarded(compare)}


def _losses(folder: Path) -> list[float]:
    torch.cuda.is_bf16_supported = lambda *_, **__: False  # what is compared is float32
    device = "gpu" if torch.cuda.is_available() else "cpu"
    config = TrainingConfig(
        loss="noise_aware",
        params={"window": 8, "noise_share": 0.3},
        learning_rate=1e-2,
        batch_size=4,
        micro_batch_size=2,
        epochs=2.0,
    )
    pairs = pl.read_parquet(folder / "pairs.parquet", glob=False)
    out, work = folder / f"out-{device}-{os.getpid()}", folder / f"work-{device}-{os.getpid()}"
    log = trl_dpo.train(pairs, folder / "start", out, work, config, seed=0)
    return [round(loss, 6) for loss in log.steps["loss"]]


def steps(tiny: bool) -> dict[str, Any]:
    """A training of a few steps on the same eight pairs, by way."""
    found = {}
    with TemporaryDirectory() as folder:
        worlds: dict[str, tuple[Path, pl.DataFrame]] = {}

        def world(shape: str) -> tuple[Path, pl.DataFrame]:
            if shape not in worlds:
                start = model_folder(shape, Path(folder) / shape)
                lengths = (8, 24) if tiny else (64, 384)
                worlds[shape] = start, pairs_of(start, 8, SHAPES[shape]["vocab_size"], lengths)
            return worlds[shape]

        for number, (name, way) in enumerate(WAYS.items()):
            settings = {**way, "shape": "tiny"} if tiny else dict(way)
            place = Path(folder) / str(number)
            found[name] = _guarded(lambda s=settings, p=place: _trained(s, world, p))
    return found


def _trained(settings: dict[str, Any], world: Callable[..., Any], place: Path) -> dict[str, Any]:
    start, pairs = world(settings.pop("shape"))
    config = TrainingConfig(**{"gradient_checkpointing": True, "epochs": 8.0} | COMMON | settings)
    gpu, clock, peaks = torch.cuda.is_available(), [], []

    def step(_done: int, _steps: int) -> None:
        if gpu:
            torch.cuda.synchronize()
            peaks.append(torch.cuda.max_memory_allocated())
        clock.append(time.perf_counter())

    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    place.mkdir()
    with listening(step):
        log = trl_dpo.train(pairs, start, place / "out", place / "work", config, seed=0)
    last = log.steps.row(-1, named=True)
    tokens = sum(pairs[c].list.len().sum() for c in IDS[1:]) + 2 * pairs[IDS[0]].list.len().sum()
    return {
        "step_s": round(float(np.median(np.diff(clock[2:]))), 3),
        "tokens_a_step": int(tokens),
        "peak_mib": _mib(peaks[-1]) if peaks else None,
        "losses": [round(loss, 4) for loss in log.steps["loss"]],
        "falls": bool(log.steps["loss"][-1] < log.steps["loss"][0]),
        "loads": round(abs(last["margin_trained"] - last["margin_saved"]), 5),
        "flagged": log.steps["flagged"].sum(),
    }


def _mib(count: int) -> int:
    return round(count / MIB)


def _write(out: Path, found: dict[str, dict[str, Any]]) -> None:
    place = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    lines = [f"{place}, torch {torch.__version__}", ""]
    for part, rows in found.items():
        columns = list(dict.fromkeys(k for row in rows.values() for k in row))
        lines += [
            f"## {part}",
            "",
            f"| | {' | '.join(columns)} |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for name, row in rows.items():
            lines.append(f"| {name} | {' | '.join(str(row.get(c, '')) for c in columns)} |")
        lines.append("")
    out.mkdir(parents=True, exist_ok=True)
    (out / "memory.json").write_text(json.dumps({"on": place, **found}, indent=1))
    (out / "memory.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
