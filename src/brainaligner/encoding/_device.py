"""Where the linear algebra runs."""

from __future__ import annotations

import torch

from brainaligner.core import InputError

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def compute_device(name: str) -> torch.device:
    """Return the torch device called `name`, checked for float64 and full float32.

    Raises
    ------
    InputError
        If the device is unknown or absent, has no float64 (mps), or if float32 products
        were allowed to round to TF32 or bfloat16 (torch's default forbids it).
    """
    try:
        device = torch.device(name)
        if device.type != "mps":
            torch.zeros(1, dtype=torch.float64, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise InputError(
            "device",
            got=f"{name!r}, which torch cannot use ({str(error).splitlines()[0]})",
            wanted="a device of this machine, such as 'cpu' or 'cuda:0'",
            do="Run on 'cpu', or install a torch that knows this device.",
        ) from error
    if device.type == "mps":
        raise InputError(
            "device",
            got="'mps', which has no float64",
            wanted="a device with float64, such as 'cpu' or 'cuda'",
            do="Run the ridge on 'cpu'; features may still be made on 'mps'.",
        )
    if not _full_float32():
        raise InputError(
            "torch float32 products",
            got="a reduced precision (TF32 or bfloat16), switched on in this process",
            wanted="torch's default, 'highest'",
            do="Call torch.set_float32_matmul_precision('highest') before the ridge.",
        )
    return device


def _full_float32() -> bool:
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # torch refuses to answer where its old and new switches are mixed
        return torch.backends.cuda.matmul.fp32_precision in ("none", "ieee")
