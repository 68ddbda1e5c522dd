"""Some layers of a language model, run inside the model that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import nn

from brainaligner.aligner._read_tokens import ReadTokens, is_divisible
from brainaligner.core import InputError

Tokens = Int64[torch.Tensor, "text token"]
States = Float[torch.Tensor, "text token width"]
_PROBE = 5


class _Skipped(nn.Module):
    """Stands in for a layer that is not run: lets states pass, or gives known ones instead."""

    def __init__(self, layer: nn.Module, given: torch.Tensor | None, *, in_tuple: bool) -> None:
        super().__init__()
        self._layer = (layer,)  # in a tuple: not a part of this module
        self.given, self.in_tuple = given, in_tuple

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["_layer"][0], name)

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        states = hidden_states if self.given is None else self.given
        return (states,) if self.in_tuple else states


@dataclass(frozen=True, eq=False)
class LayerSpan:
    """Layers `first` to the highest of `read`, with the model's own masks and positions.

    State k is ``hidden_states[k]`` of transformers: 0 the embeddings, k what layer k gives,
    the last one after the model's final normalisation where it has one.

    Parameters
    ----------
    base : torch.nn.Module
        A base model of transformers, without its head.
    n_layers : int
    first : int
        The lowest layer to run where the states below it are known; counted from 1.
    read : tuple of int
        States to give back, each of `first` - 1 to `n_layers`.

    Raises
    ------
    InputError
        If the model is not built as a list of layers that each take the states of the one
        below; that is tried out.
    """

    base: Any
    n_layers: int
    first: int
    read: tuple[int, ...]
    _in_tuple: bool = field(init=False, default=False)
    _divides: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        training = self.base.training
        self.base.eval()
        try:
            with torch.no_grad():
                object.__setattr__(self, "_in_tuple", self._gives_tuples())
                self._compare()
                object.__setattr__(self, "_divides", self._can_divide())
        finally:
            self.base.train(training)

    @property
    def entering(self) -> int:
        """Which states `states` takes in the place of what lies below."""
        return self.first - 1

    def states(
        self,
        ids: Tokens,
        mask: Tokens,
        below: States | None = None,
        wanted: Bool[torch.Tensor, "text token"] | None = None,
    ) -> dict[int, States]:
        """Compute the states that are read, from the words or from the states below `first`.

        Where `wanted` says at which tokens (one of each text at least), states elsewhere are of no
        use: layers built as BERT's do not compute those of the highest layer.
        """
        read_at = wanted if self._divides else None
        return self._run(ids, mask, self.read, below, read_at)

    def lower(self, ids: Tokens, mask: Tokens) -> States:
        """Compute the states that enter layer `first`; no layer above runs."""
        return self._run(ids, mask, (self.entering,), None)[self.entering]

    def lower_weights(self) -> dict[str, torch.Tensor]:
        """Weights and buffers of the base model but those of layers `first` and above.

        Nor of what runs only after the layers below `first`: a final normalisation, or a pooler,
        which loading draws anew where a checkpoint has none.
        """
        stack = self._stack()[2]
        place = next(name for name, part in self.base.named_modules() if part is stack)
        above = (*(f"{place}.{k}" for k in range(self.entering, len(stack))), *self._after_lower())
        tops = tuple(f"{name}." for name in above)
        return {n: w for n, w in self.base.state_dict().items() if not n.startswith(tops)}

    def _after_lower(self) -> list[str]:
        """Names of the modules that are first called once the layers below `first` are done."""
        called: list[str] = []
        parts = [(name, part) for name, part in self.base.named_modules() if name]
        last = self._stack()[2][self.entering - 1] if self.entering else None
        hooks = [
            part.register_forward_pre_hook(lambda _, __, name=name: called.append(name))
            for name, part in parts
        ]
        if last is not None:
            hooks.append(last.register_forward_hook(lambda *_: called.append("")))
        try:
            with torch.no_grad():
                self.lower(*self._probe())
        finally:
            for hook in hooks:
                hook.remove()
        done = called.index("") if last is not None else len(called)
        before = set(called[:done])
        return [name for name in dict.fromkeys(called[done + 1 :]) if name not in before]

    def upper_weights(self) -> dict[str, torch.Tensor]:
        """The other weights and buffers: those of layers `first` and above."""
        lower = self.lower_weights()
        return {n: w for n, w in self.base.state_dict().items() if n not in lower}

    def _run(
        self, ids: Tokens, mask: Tokens, read: Sequence[int], below: States | None,
        read_at: torch.Tensor | None = None,
    ) -> dict[int, States]:  # fmt: skip
        top = max(read)
        found: dict[int, States] = {}
        if below is not None and self.entering in read:
            found[self.entering] = below
        with ExitStack() as exits:
            kept = exits.enter_context(self._cut(top, below, read_at))
            for k in set(read) - found.keys():
                exits.callback(_caught(found, kept, k).remove)
            given = {"use_cache": False} if hasattr(self.base.config, "use_cache") else {}
            out = self.base(input_ids=ids, attention_mask=mask, **given)
        if top == self.n_layers:
            found[top] = out.last_hidden_state
        return {k: found[k] for k in read}

    @contextmanager
    def _cut(
        self, top: int, below: States | None, read_at: torch.Tensor | None
    ) -> Iterator[nn.ModuleList]:
        """Leave out the layers above `top`; skip those below `first` where `below` is known.

        Every layer that stays keeps its number, which some models look at.
        """
        parent, name, stack = self._stack()
        skipped = self.entering if below is not None else 0
        parts: list[nn.Module] = [
            _Skipped(stack[k], below if k == skipped - 1 else None, in_tuple=self._in_tuple)
            for k in range(skipped)
        ]
        parts += stack[skipped : max(top, 1)]
        if read_at is not None and top > skipped:
            parts[-1] = ReadTokens(parts[-1], read_at, in_tuple=self._in_tuple)
        kept = nn.ModuleList(parts)
        setattr(parent, name, kept)
        try:
            yield kept
        finally:
            setattr(parent, name, stack)

    def _stack(self) -> tuple[nn.Module, str, nn.ModuleList]:
        for name, part in self.base.named_modules():
            if isinstance(part, nn.ModuleList) and len(part) == self.n_layers:
                above, _, own = name.rpartition(".")
                return self.base.get_submodule(above), own, part
        raise self._unfit("no list of its layers")

    def _gives_tuples(self) -> bool:
        """Whether a layer of this model gives its states in a tuple."""
        seen: list[Any] = []
        stack = self._stack()[2]
        hook = stack[0].register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            self._plain(*self._probe())
        finally:
            hook.remove()
        return isinstance(seen[0], tuple)

    def _compare(self) -> None:
        """Compare with transformers' own states on a few tokens, whole and from the middle."""
        ids, mask = self._probe()
        wanted = self._plain(ids, mask)
        below = self.lower(ids, mask) if self.first > 1 else None
        for k in self.read:
            for got in (self.states(ids, mask)[k], self.states(ids, mask, below)[k]):
                same = got.shape == wanted[k].shape
                kept = mask.bool()
                if not same or not torch.allclose(got[kept], wanted[k][kept], 1e-3, 1e-5):
                    raise self._unfit(f"states of layer {k} that do not come from those below")

    def _can_divide(self) -> bool:
        """Whether the highest layer gives the same where it is computed for some tokens alone."""
        top = max(self.read)
        if top < self.first or not is_divisible(self._stack()[2][top - 1]):
            return False
        ids, mask = self._probe()
        wanted = mask.bool()
        wanted[:, 0] = False
        got = self._run(ids, mask, (top,), None, wanted)[top]
        return torch.allclose(got[wanted], self._plain(ids, mask)[top][wanted], 1e-3, 1e-5)

    def _plain(self, ids: Tokens, mask: Tokens) -> tuple[States, ...]:
        out = self.base(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        found: tuple[States, ...] = out.hidden_states
        return found

    def _probe(self) -> tuple[Tokens, Tokens]:
        device = next(self.base.parameters()).device
        ids = torch.arange(2 * _PROBE, device=device).reshape(2, _PROBE)
        mask = torch.ones_like(ids)
        mask[1, -2:] = 0
        return ids, mask

    def _unfit(self, got: str) -> InputError:
        return InputError(
            f"model {type(self.base).__name__}",
            got=got,
            wanted="layers in one list, each taking the states of the one below",
            do="Choose a model such as BERT, RoBERTa, ModernBERT, GPT-2, Llama or Qwen.",
        )


def _caught(found: dict[int, States], stack: nn.ModuleList, k: int) -> Any:
    """Keep what layer k gives (0: what layer 1 gets) as it is computed; returns the hook."""
    if k == 0:

        def before(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
            found[0] = args[0] if args else named["hidden_states"]

        return stack[0].register_forward_pre_hook(before, with_kwargs=True)

    def after(_: nn.Module, __: Any, output: Any) -> None:
        found[k] = output[0] if isinstance(output, tuple) else output

    return stack[k - 1].register_forward_hook(after)
