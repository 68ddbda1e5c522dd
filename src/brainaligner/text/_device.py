"""Where a language model can be put, and in which precision."""

from __future__ import annotations

import torch

from brainaligner.core import InputError, unknown_name

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def checked_device(device: str, dtype: str) -> torch.device:
    """Return the torch device of this name; refuse one that is not there, or a precision."""
    if dtype not in DTYPES:
        raise unknown_name("language model", "dtype", dtype, DTYPES)
    try:
        place = torch.device(device)
    except RuntimeError:
        place = None
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if place is None or (place.index or 0) >= counts.get(place.type, 0):
        raise InputError(
            "device",
            got=repr(device),
            wanted="a device that this machine has: "
            + ", ".join(f"{kind} ({n})" for kind, n in counts.items() if n),
            do="Choose one of these, for example 'cpu'.",
        )
    if place.type == "cpu" and dtype == "float16":
        raise InputError(
            "dtype",
            got="float16 on a CPU",
            wanted="float32 or bfloat16",
            do="Use float32, or a GPU.",
        )
    return place
