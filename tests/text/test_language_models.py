"""Models are described before they are loaded, known by content, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import save_checkpoint

from brainaligner.core import InputError
from brainaligner.text import load_language_model, model_info

Checkpoint = Callable[[str], Path]


@pytest.fixture
def copied(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A tiny BERT that a test may damage."""
    return Path(shutil.copytree(checkpoint("bert"), tmp_path / "copy"))


@pytest.mark.parametrize(
    ("family", "kind", "max_tokens"),
    [
        ("bert", "encoder", 96),
        ("modernbert", "encoder", 96),
        ("roberta", "encoder", 96),  # of 98 places, two are never used
        ("gpt2", "causal", 96),
        ("llama", "causal", 96),
        ("qwen2", "causal", 96),
    ],
)
def test_info_of_each_family(
    family: str, kind: str, max_tokens: int, checkpoint: Checkpoint
) -> None:
    info = model_info(str(checkpoint(family)))
    assert (info.n_layers, info.width, info.kind, info.max_tokens) == (3, 16, kind, max_tokens)


def test_info_needs_no_weights(copied: Path) -> None:
    (copied / "model.safetensors").unlink()
    info = model_info(str(copied))
    assert info.n_layers == 3
    with pytest.raises(InputError, match="no weights"):
        _ = info.digest


def test_embedded_model_is_all_minilm() -> None:
    info = model_info("embedded")
    assert (info.n_layers, info.width, info.kind, info.max_tokens) == (6, 384, "encoder", 512)


def test_the_longest_text_of_each_family_can_be_read(checkpoint: Checkpoint) -> None:
    from brainaligner.text import RowText, TextSettings, row_states

    for family in ("roberta", "gpt2", "bert"):
        model = load_language_model(str(checkpoint(family)))
        rows = {"a": [RowText((), ("street",) * 300)]}
        got = row_states(model, rows, (3,), settings=TextSettings(max_tokens=5000))
        assert got[3]["a"].any(), family


def test_digest_follows_content_not_place(copied: Path, checkpoint: Checkpoint) -> None:
    original = model_info(str(checkpoint("bert"))).digest
    assert model_info(str(copied)).digest == original
    (copied / "notes.txt").write_text("not part of the model")
    assert model_info(str(copied)).digest == original


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_digest_notices_a_changed_byte(file: str, copied: Path) -> None:
    before = model_info(str(copied)).digest
    content = bytearray((copied / file).read_bytes())
    content[-2] ^= 1 if file == "model.safetensors" else 0
    (copied / file).write_bytes(bytes(content) + (b"" if "safetensors" in file else b" "))
    assert model_info(str(copied)).digest != before


def test_loaded_model_is_frozen_and_in_evaluation_mode(checkpoint: Checkpoint) -> None:
    model = load_language_model(str(checkpoint("roberta")))
    assert not model.module.training
    assert not any(weight.requires_grad for weight in model.module.parameters())
    assert (model.dtype, model.device.type) == (torch.float32, "cpu")


def test_loading_says_nothing(checkpoint: Checkpoint, capfd: pytest.CaptureFixture[str]) -> None:
    load_language_model(str(checkpoint("roberta")))
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_bin_weights_are_read_where_there_is_no_safetensors(copied: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(copied / "model.safetensors")
    torch.save(weights, copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    model = load_language_model(str(copied))
    name, value = next(iter(model.module.state_dict().items()))
    torch.testing.assert_close(value, weights[name])


def test_sharded_weights_enter_the_digest(copied: Path) -> None:
    load_language_model(str(copied)).module.save_pretrained(copied, max_shard_size="4KB")
    (copied / "model.safetensors").unlink(missing_ok=True)
    shards = sorted(copied.glob("model-*.safetensors"))
    assert len(shards) > 1
    info = model_info(str(copied))
    assert load_language_model(str(copied)).info.digest == info.digest
    shards[-1].unlink()
    with pytest.raises(InputError, match=shards[-1].name):
        load_language_model(str(copied))


def _unlink(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _truncate(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return cut


def _set_config(**changed: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changed}))

    return write


def _index(content: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))

    return write


def _folder_for_file(name: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return replace


def _folder_for_shard(folder: Path) -> None:
    _index({"weight_map": {"a": "model-1.safetensors"}})(folder)
    (folder / "model-1.safetensors").mkdir()


def _encoder_decoder(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "t5"}')


def _malicious_bin(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weights": _Attack()}, folder / "pytorch_model.bin")


class _Attack:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("attacked"),))


def _longer_tokenizer(folder: Path) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {f"extra{i}": 1000 + i for i in range(500)}
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_unlink("config.json"), "no config.json"),
        (_unlink("model.safetensors"), "no weights"),
        (_unlink("tokenizer.json"), "no tokenizer"),
        (_index([]), "index.json that cannot be read"),
        (_index({"weight_map": ["a"]}), "index.json that cannot be read"),
        (_index({"weight_map": {"a": 1}}), "index.json that cannot be read"),
        (_index({"weight_map": {"a": ["b"], "c": "d"}}), "index.json that cannot be read"),
        (_index({"weight_map": {"a": "b" * 300}}), "no bbb"),
        (_folder_for_file("model.safetensors"), "no weights"),
        (_folder_for_file("config.json"), "config.json"),
        (_folder_for_shard, "no model-1.safetensors, which"),
        (_truncate("model.safetensors"), "weights that fail"),
        (_truncate("config.json"), "config.json that is refused"),
        (_truncate("tokenizer.json"), "tokenizer that fails"),
        (_set_config(num_hidden_layers=4), r"no weights for encoder.layer.3"),
        (_set_config(hidden_size=32), "weights that fail"),
        (_set_config(model_type="nothing-known"), "config.json that is refused"),
        (_set_config(vocab_size="many"), "config.json that is refused"),
        (_encoder_decoder, "wanted an encoder or a causal"),
        (_longer_tokenizer, "tokens for"),
        (_malicious_bin, "weights that fail"),
    ],
)
def test_damaged_checkpoints_are_refused(
    damage: Callable[[Path], None], message: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copied)
    damage(copied)
    with pytest.raises(InputError, match=message):
        load_language_model(str(copied))
    assert not (copied / "attacked").exists()


def test_a_roberta_without_a_padding_token_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint("roberta"), tmp_path / "model")
    _set_config(pad_token_id=None)(folder)
    with pytest.raises(InputError, match=r"config\.json without pad_token_id"):
        model_info(str(folder))


@pytest.mark.parametrize(
    "name",
    ["/no/such/folder", "./nothing", "a/b/c", "", "~nobody/x y", "~no-such-user/x", "x/" * 200],
)
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(InputError, match="folder that does not exist"):
        model_info(name)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache on a machine without a network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_hub_name_offline_says_how_to_download(hub_cache: Path) -> None:
    with pytest.raises(InputError, match="hf download someone/some-model --local-dir"):
        model_info("someone/some-model")


def test_a_name_that_is_too_long_is_a_name_like_others(hub_cache: Path) -> None:
    with pytest.raises(InputError, match="nothing from the hub"):
        model_info("a" * 300)


def test_a_hub_model_in_the_cache_is_used(hub_cache: Path) -> None:
    repository = hub_cache / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123abcd")
    snapshot = save_checkpoint("gpt2", repository / "snapshots" / "0123abcd")
    model = load_language_model("someone/tiny")
    assert model.info.folder == snapshot
    assert model.info.digest == model_info(str(snapshot)).digest


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "float16"}, "float16 on a CPU"),
        ({"dtype": "float64"}, "unknown dtype"),
        ({"device": "toaster"}, "toaster"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"device": "cpu:3"}, "cpu:3"),
    ],
)
def test_bad_devices_and_dtypes(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_language_model("embedded", **wrong)
