"""Lets accelerate shard a model over processes on CPUs: by itself it does that on GPUs only."""

import os

if "RANK" in os.environ:  # of a worker
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"

    import torch
    from accelerate.state import DistributedType, PartialState

    def _over_gloo(*_, **__):
        if not torch.distributed.is_initialized():
            torch.distributed.init_process_group("gloo")
        return "gloo", DistributedType.MULTI_GPU

    PartialState._prepare_backend = _over_gloo
