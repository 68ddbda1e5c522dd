"""``brainaligner fetch`` against a server on the loopback address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fault_server import Shop, serving
from fetch_runs import entries_of, publish, shelves
from typer.testing import CliRunner, Result

from brainaligner.core import InputError
from brainaligner.study import app

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return publish(tmp_path_factory.mktemp("published") / "tree")


@pytest.fixture
def manifest(published: dict[str, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "manifest.csv"
    rows = [f"{e.path},{e.size},{e.md5},{e.version_id or ''}" for e in entries_of(published)]
    path.write_text("\n".join(["path,size,md5,s3_version_id", *rows]), encoding="utf-8")
    return path


def run(*arguments: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["fetch", *map(str, arguments)], input=answer)


def test_fetch_then_verify(published: dict[str, bytes], manifest: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    shop = Shop(shelves(published))
    with serving(shop) as base_url:
        given = ("lebel2023", "--to", to, "--base-url", base_url, "--manifest", manifest)
        plan = run(*given, "--plan")
        assert plan.exit_code == 0
        assert f"asked for   {len(published)} files" in plan.output
        assert shop.asked == []
        assert run(*given, answer="n\n").exit_code == 1
        assert not to.exists()
        assert run(*given, "--verify").exit_code == 1
        done = run(*given, "--as", "float16", "--yes")
        assert done.exit_code == 0, done.output
        assert f"{len(published)} fetched, 0 verified, 0 missing" in done.output
        assert f"--data {to / 'float16'}" in done.output
    verified = run(*given, "--verify")
    assert verified.exit_code == 0
    assert f"0 fetched, {len(published)} verified, 0 missing; 0 bytes" in verified.output
    (to / "derivative/respdict.json").write_text("{}", encoding="utf-8")
    damaged = run(*given, "--verify")
    assert damaged.exit_code == 1
    assert "MISSING derivative/respdict.json: 2 bytes instead of" in damaged.output


def test_a_fetch_is_one_json_document(
    published: dict[str, bytes], manifest: Path, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    with serving(Shop(shelves(published))) as base_url:
        given = ("lebel2023", "--to", to, "--base-url", base_url, "--manifest", manifest, "--json")
        fetched = json.loads(run(*given, "--yes").stdout)
    verified = json.loads(run(*given, "--verify").stdout)
    size = sum(map(len, published.values()))
    plan = fetched["plan"]
    assert (plan["files"], plan["bytes"]) == (len(published), size)
    assert (fetched["fetched"], fetched["verified"], fetched["missing"]) == (len(published), 0, [])
    assert fetched["bytes_received"] == size
    assert fetched["open_with"] == str(to)
    assert (verified["fetched"], verified["verified"]) == (0, len(published))
    (to / "derivative/respdict.json").write_text("{}", encoding="utf-8")
    damaged = run(*given, "--verify")
    assert damaged.exit_code == 1
    (missing,) = json.loads(damaged.stdout)["missing"]
    assert missing["path"] == "derivative/respdict.json"
    assert missing["why"].startswith("2 bytes instead of")


def test_what_is_missing_is_listed(manifest: Path, tmp_path: Path) -> None:
    with serving(Shop({})) as base_url:
        done = run(
            *("lebel2023", "--to", tmp_path / "to", "--base-url", base_url),
            *("--manifest", manifest, "--yes", "--what", "textgrids", "--stories", "sweetaspie"),
        )
    assert done.exit_code == 1
    assert done.output.count("MISSING") == 3
    assert "sweetaspie.TextGrid: http://127.0.0.1" in done.output
    assert "answer 404" in done.output


def test_plan_of_the_real_smoke_set(tmp_path: Path) -> None:
    plan = run("lebel2023", "--smoke", "--to", tmp_path / "to", "--plan")
    assert plan.exit_code == 0
    assert "asked for   101 files" in plan.output
    assert "to fetch    2.8 GB" in plan.output


@pytest.mark.parametrize(
    ("arguments", "got"),
    [
        (("lebel",), "lebel2023"),
        (("lebel2023", "--subjects", "UTS3"), "UTS03"),
        (("lebel2023", "--what", "response"), "responses"),
        (("lebel2023", "--stories", "bucks"), "buck"),
        (("lebel2023", "--as", "int8"), "float16"),
        (("lebel2023", "--delete-originals"), "no --as"),
        (("lebel2023", "--base-url", "s3://openneuro.org"), "http"),
        (("lebel2023", "--manifest", "nowhere.csv"), "no such file"),
        (("lebel2023", "--workers", "0", "--yes"), "workers"),
        (("lebel2023", "--workers", "0", "--plan"), "workers"),
        (("lebel2023", "--workers", "-1", "--plan"), "workers"),
        (("lebel2023", "--smoke", "--subjects", "UTS01", "--plan"), "also --subjects"),
        (("lebel2023", "--smoke", "--stories", "buck", "--plan"), "also --stories"),
        (("lebel2023", "--smoke", "--what", "textgrids", "--plan"), "also --what"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], got: str, tmp_path: Path) -> None:
    done = run(*arguments, "--to", tmp_path / "to")
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert got in str(done.exception)
    assert not (tmp_path / "to").exists()
