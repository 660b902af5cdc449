"""The numbers of several seeds: what lessons load, and the program that writes it."""

import json
import statistics

import pytest
from conftest import ROOT
from test_notebooks import code_cells, read

FILES = sorted((ROOT / "notebooks" / "seeds").glob("*.json"))


@pytest.fixture
def bench(root, monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(root / "bench")
    import bench_seeds

    return bench_seeds


def measured(table):
    """What was measured, for each kind, after a check that every seed has its number."""
    numbers = {kind["name"]: kind["numbers"] for kind in table["kinds"]}
    seeds = len(table["seeds"])
    assert all(len(values) == seeds for of in numbers.values() for values in of.values())
    return {name: set(of) for name, of in numbers.items()}


def test_every_lesson_that_compares_has_a_file(bench):
    assert [int(path.stem) for path in FILES] == sorted(bench.LESSONS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_a_lesson_loads_is_small_and_has_five_seeds_or_more(path):
    table = json.loads(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 60_000
    assert len(table["seeds"]) >= 5
    assert "CIFAR-10" in table["dataset"]
    kinds = measured(table)
    code = "\n".join(cell.source for cell in code_cells(read(table["lesson"])))
    assert f'SeedTable::load("seeds/{path.name}")' in code
    assert all(f'"{what}"' in code for measures in kinds.values() for what in measures)


def numbers(lesson, kind, what):
    table = json.loads((ROOT / "notebooks" / "seeds" / f"{lesson}.json").read_text())
    (found,) = (one["numbers"][what] for one in table["kinds"] if one["name"] == kind)
    return found


def test_lesson_3_says_what_its_seeds_say():
    """That the fully connected head is ahead with every seed, further on the images that it has
    learned from, and that it loses about twice as much by a shift."""
    apart = {}
    for what in ("test images right, %", "training images right, %"):
        both = (numbers("03", kind, what) for kind in ("fully connected", "mean"))
        apart[what] = [one - other for one, other in zip(*both, strict=True)]
        assert statistics.mean(apart[what]) > 3 * statistics.stdev(apart[what])
    for test, training in zip(*apart.values(), strict=True):
        assert 0 < test < training
    lost = [
        numbers("03", kind, "points lost by the largest shift")
        for kind in ("fully connected", "mean")
    ]
    for one, other in zip(*lost, strict=True):
        assert 1.7 < one / other < 2.4


@pytest.mark.timeout(600)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_program_measures_what_is_there(path, bench, own_state, tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLENET_LESSON_BUDGET", "test")
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    # As without a network: nobody listens at this address.
    for variable in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
        monkeypatch.setenv(variable.lower(), "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)

    bench.main(["--lesson", str(int(path.stem)), "--seeds", "1", "--out", str(tmp_path)])
    written = json.loads((tmp_path / path.name).read_text(encoding="utf-8"))
    committed = json.loads(path.read_text(encoding="utf-8"))
    assert set(written) == set(committed)
    assert "Shapes10" in written["dataset"]
    assert measured(written) == measured(committed)
    assert not list(tmp_path.glob("*.part"))
