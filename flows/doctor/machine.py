"""Checks of the machine: GPUs, CPUs, the store's disk, the connection to the model hub."""

import os
import shutil
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from flows.doctor import Check
from prefopt_core.ground.cores import usable_cores
from prefopt_core.ground.errors import ConfigError, MissingExtraError, StoreError

GIB = 2**30
_TOO_LITTLE, _LITTLE = 1 * GIB, 20 * GIB  # free disk: for the quickstart; for a real policy
_HUB_PATIENCE_S = 5


def torch_and_gpus() -> Iterator[Check]:
    """Whether torch can be imported, and which GPUs it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library of CUDA that is not there
        reason = str(error).partition("\n")[0]
        yield Check("torch", "problem", f"cannot be imported: {reason}", _torch_again())
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # said below, with what mends it
        there = torch.cuda.is_available()
    kind = torch.version.cuda or torch.version.hip
    yield Check("torch", "ok", f"{torch.__version__}, built for {kind or 'CPUs only'}")
    if there:
        yield from map(_gpu, range(torch.cuda.device_count()))
    elif not has_driver():
        yield Check("GPU", "ok", "none; everything runs on the CPU")
    elif kind is None:
        found = "there is one, but this torch is built for CPUs only"
        yield Check("GPU", "warning", found, _torch_again())
    else:
        mend = "nvidia-smi  # update the driver, or install a torch for the CUDA it shows"
        yield Check("GPU", "warning", f"there is one that torch cannot use: {_refusal()}", mend)


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed, so probably there is a GPU."""
    return os.path.exists("/proc/driver/nvidia/version") or shutil.which("nvidia-smi") is not None


def _refusal() -> str:
    """Why torch cannot use the GPU, by its own message."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).partition("\n")[0][:200]
    return "no device is visible (CUDA_VISIBLE_DEVICES?)"


def _torch_again() -> str:
    return "pip install --force-reinstall -c constraints.txt torch"


def _gpu(number: int) -> Check:
    import torch

    free, total = torch.cuda.mem_get_info(number)
    bf16 = torch.cuda.get_device_capability(number) >= (8, 0)
    found = (
        f"{torch.cuda.get_device_name(number)}, {free / GIB:.0f} of {total / GIB:.0f} GiB free, "
        f"{'' if bf16 else 'no '}bf16"
    )
    if free < total / 2:
        found += "; other processes hold most of its memory"
        return Check(f"GPU {number}", "warning", found, "nvidia-smi  # shows which")
    return Check(f"GPU {number}", "ok", found)


def cpus() -> Iterator[Check]:
    """How many CPUs this process may use, and how many threads torch uses."""
    import torch

    usable = usable_cores()
    threads = torch.get_num_threads()
    found = f"{usable} CPUs for this process, torch uses {threads} threads"
    if threads > usable:
        yield Check("CPU", "warning", found, f"export OMP_NUM_THREADS={usable}")
    else:
        yield Check("CPU", "ok", found)


def store() -> Iterator[Check]:
    """Whether files, locks and ledgers work where the store is or would be."""
    from prefopt_core.ground.files import TEMPORARY, explained
    from prefopt_core.store.locks import locked
    from prefopt_core.store.sqlite_file import ledger
    from tasks.session import current_store

    try:
        here = current_store()
        root = here.root
        place = next(path for path in (root, *root.parents) if os.path.lexists(path))
        if here.mirror:
            here.mirror.remote.try_conditions()
            _ = here.ledgers
        with explained(root), TemporaryDirectory(dir=place, prefix=TEMPORARY) as folder:
            with locked(Path(folder, "lock"), "looking at the store"):
                pass
            with ledger(Path(folder, "ledger"), "CREATE TABLE t (x)", "entries"):
                pass
    except (ConfigError, MissingExtraError, StoreError, OSError) as error:
        yield Check("store", "problem", str(error), "export PREFOPT_STORE=/a/folder/you/may/write")
        return
    size = f"holds {_size(root) / GIB:,.1f} GiB" if root.exists() else "is made by the first run"
    copy = f"; its copy {root}" if here.mirror else "; it"
    yield Check("store", "ok", f"{here} can be written{copy} {size}")


def labels() -> Iterator[Check]:
    """Whether the database answers that `PREFOPT_LABELS` names, if it names one."""
    from prefopt_core.labels.store import LabelStore
    from prefopt_core.store.places import LABELS
    from tasks.session import current_store

    if "://" not in (os.environ.get(LABELS) or ""):
        return  # a folder, as that of the store
    try:
        kept = LabelStore.of(current_store())
        kept.ledger.require()
    except (ConfigError, MissingExtraError, StoreError) as error:
        mend = f"export {LABELS}=postgresql+psycopg://user@host/database"
        yield Check("labels", "problem", str(error), mend)
        return
    number = sum(count for *_, count in kept.counts())
    yield Check("labels", "ok", f"{kept.ledger} answers and holds {number:,}")


def disk() -> Iterator[Check]:
    """Free disk space for the store."""
    from tasks.session import current_store

    root = current_store().root
    place = next(path for path in (root, *root.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    found = f"{free / GIB:,.1f} GiB free at {place}"
    mend = "prefopt cache gc  # or: export PREFOPT_STORE=/on/a/larger/disk"
    if free < _TOO_LITTLE:
        yield Check("disk", "problem", found, mend)
    elif free < _LITTLE:
        found += "; every round keeps a policy, 15 GiB for 7B parameters"
        yield Check("disk", "warning", found, mend)
    else:
        yield Check("disk", "ok", found)


def _size(root: Path) -> int:
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(OSError):  # gone since it was listed
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def hub() -> Iterator[Check]:
    """Whether the model hub can be reached; the quickstart does not need it."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        yield Check("model hub", "ok", "not asked (HF_HUB_OFFLINE): models come from folders")
        return
    host = urlsplit(constants.ENDPOINT).hostname
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=_HUB_PATIENCE_S).close()
    except urllib.error.HTTPError:
        pass  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        mend = "export HF_HUB_OFFLINE=1  # and give models as folders"
        yield Check("model hub", "warning", f"{host} is not reached ({reason})", mend)
        return
    yield Check("model hub", "ok", f"{host} answers")
