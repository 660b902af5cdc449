"""The short form of `cargo xtask bench train`: every side computes the same, every row is there.

What it measures means nothing: it runs beside other tests.
"""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

NETWORKS = ("SEED", "CIFAR", "COMPACT")
SIDES = ("ours", "the post's program", "PyTorch eager", "torch.compile")


@pytest.fixture
def bench(root, monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(root / "bench")
    import bench_train

    return bench_train


@pytest.fixture(scope="module")
def bundle(programs, root, tmp_path_factory):
    """What is carried to a machine without Rust, of the programs that the tests have built."""
    folder = tmp_path_factory.mktemp("bundle") / "lab"
    script = root / "bench" / "bench_bundle.py"
    subprocess.run([sys.executable, script, folder, "--profile", "dev"], check=True)
    return folder


@pytest.fixture
def run(bundle, monkeypatch):
    """Runs it as on that machine: no cargo, and nothing that says where libtorch is."""
    monkeypatch.setenv("PYTHON", sys.executable)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.delenv("LIBTORCH", raising=False)

    def run(*arguments):
        return subprocess.run(
            [bundle / "run", *map(str, arguments)], capture_output=True, text=True, timeout=600
        )

    return run


def test_a_bundle_runs_tests_and_trains(bundle, run, drawn_cifar10, tmp_path):
    tests = bundle / "bin" / "tests"
    assert {test.name for test in tests.iterdir()} > {"googlenet_lib", "model", "data_batches"}
    # All of them ran already, by cargo.
    for test in tests.iterdir():
        if test.name not in ("spec", "data_batches"):
            test.unlink()
    some = ["--", "--epochs", 1, "--train-images", 256, "--test-images", 64, "--batch", 64]
    out = ["--out", tmp_path, "--data", drawn_cifar10, "--spec", "compact"]
    done = run("tests", "train", "--device", "cpu", *out, *some)
    assert done.returncode == 0, done.stdout + done.stderr
    said = (tmp_path / "tests.txt").read_text()
    assert said.count("test result: ok") == 2
    assert "a_second_device_sees_the_same_epoch" in said
    assert len(json.loads((tmp_path / "compact" / "history.json").read_text())["epochs"]) == 1

    (tests / "broken").write_text("#!/bin/sh\nkill -9 $$\n")
    (tests / "broken").chmod(0o755)
    done = run("tests", "--out", tmp_path)
    assert done.returncode == 1 and "FAILED: broken" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "--data"),
        (["--device", "tpu", "tests"], "tpu is no device: cpu or cuda"),
        (["--out"], "--out needs a value"),
        (["nothing"], "nothing is no part"),
    ],
)
def test_a_bundle_says_what_is_wrong(run, arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr


def test_a_bundle_wants_its_pytorch(run, monkeypatch, tmp_path):
    (tmp_path / "torch").mkdir()
    other = '__version__ = "2.4.0"\n\nclass cuda:\n    is_available = staticmethod(lambda: False)\n'
    (tmp_path / "torch" / "__init__.py").write_text(other)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("tests")
    assert done.returncode == 2 and "has PyTorch 2.4.0" in done.stderr


@pytest.mark.timeout(900)
def test_short_form(run, tmp_path):
    done = run("bench", "--device", "cpu", "--short", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "train-cpu.json").read_text())
    losses = 0
    for case in found["cases"]:
        sides = case["sides"]
        assert set(sides) == {"ours", "post", "eager", "compiled"}
        assert sides["compiled"]["skipped"]
        for name in ("ours", "eager"):
            # Found again here, so that a check left out of the script shows.
            first, expected = sides[name]["losses"][0], sides["post"]["losses"][0]
            assert sides[name]["rate"] > 0 and sides[name]["memory"] > 2**20
            if sides[name]["precision"] == "float32":
                assert first == pytest.approx(expected, rel=1e-5), case
            losses += 1
    assert losses == 2 * len(NETWORKS) * 2

    lines = (tmp_path / "train-cpu.md").read_text().splitlines()
    for network in NETWORKS:
        for phase in ("training step", "evaluation"):
            for side in SIDES:
                rows = [
                    line
                    for line in lines
                    if line.startswith(f"| {network} ") and f"| {phase} | {side} |" in line
                ]
                assert len(rows) == 1, (network, phase, side)
                assert rows[0].count("|") == 12, rows[0]
    assert (tmp_path / "train-cpu.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("programs")
def test_a_run_that_breaks_off_keeps_what_it_measured(bench, target, root, monkeypatch, tmp_path):
    measured = json.loads((root / "docs" / "results" / "train-cpu.json").read_text())
    monkeypatch.setattr(bench, "ceilings", lambda *_: measured["ceilings"])
    monkeypatch.setattr(bench, "work", lambda *of: measured["work"][" ".join(of)])
    sides = iter([measured["cases"][0]["sides"]])
    monkeypatch.setattr(bench, "measure", lambda *_: next(sides))
    with pytest.raises(StopIteration):
        bench.run("cpu", True, target / "bench-train", tmp_path)
    said = (tmp_path / "train-cpu.md").read_text()
    assert "**Broken off after 1 of 6 cases**" in said
    assert sum(line.startswith("| SEED ") for line in said.splitlines()) == len(SIDES)


def test_a_recipe_is_followed_on_both_sides(bench, programs, drawn_cifar10, tmp_path):
    import bench_accuracy

    few = ["--epochs", "2", "--seeds", "2", "--train-images", "2560", "--test-images", "500"]
    bench_accuracy.main(["--data", str(drawn_cifar10), "--out", str(tmp_path), *few])
    runs = json.loads((tmp_path / "accuracy-compact.json").read_text())["runs"]
    assert [run["seed"] for run in runs] == [0, 1]
    for run in runs:
        for side in ("ours", "PyTorch"):
            assert 0.2 < run[side]["accuracy"] <= 1, run  # chance is 0.1
    said = (tmp_path / "accuracy-compact.md").read_text()
    assert "2560 images only: its figures mean nothing" in said
    assert (tmp_path / "accuracy-compact.png").read_bytes().startswith(b"\x89PNG")


def test_a_crop_moves_and_mirrors_and_no_more(bench):
    import bench_accuracy

    torch.manual_seed(0)
    images = torch.arange(4 * 3 * 8 * 8, dtype=torch.float32).view(4, 3, 8, 8)
    some = torch.tensor([False, True, True, False])
    none = torch.zeros(4, dtype=torch.bool)
    mirrored = bench_accuracy.augmented(images, 0, some)
    assert torch.equal(mirrored, torch.where(some.view(4, 1, 1, 1), images.flip(3), images))
    moved = bench_accuracy.augmented(images, 2, none)
    padded = torch.nn.functional.pad(images, (2,) * 4, mode="reflect")
    for one, whole in zip(moved, padded, strict=True):
        windows = [whole[:, i : i + 8, j : j + 8] for i in range(5) for j in range(5)]
        assert any(torch.equal(one, window) for window in windows)


@pytest.mark.parametrize("phase", ["train", "evaluate"])
def test_sides_that_differ_are_refused(phase, bench, programs, target, tmp_path):
    """One convolution of one block has its filters in another order on one side."""
    case = bench.Case("compact", 4, 1, phase)
    bench.write_inputs(tmp_path, case)
    programs = bench.programs_of(target / "bench-train", short=True)

    def found(name):
        with bench.started(programs[name], name, case, "cpu", tmp_path) as side:
            return side.found

    post, ours = found("post"), found("ours")
    bench.same_losses(case, "cpu", {"post": post, "ours": ours})

    weights = load_file(tmp_path / "weights.safetensors")
    name = "inception_3b.conv_5x5.weight"
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(bench.Different, match=r"COMPACT, batch 4, \w+: ours"):
        bench.same_losses(case, "cpu", {"post": post, "ours": found("ours")})
    other_threads = {**ours, "threads": ours["threads"] + 1}
    with pytest.raises(bench.Different, match="threads"):
        bench.same_losses(case, "cpu", {"post": post, "ours": other_threads})


def test_a_different_optimizer_is_refused(bench):
    case = bench.Case("compact", 4, 1, "train")
    side = {"precision": "float32", "threads": 1}
    post = {**side, "losses": [2.0, 1.0, 0.5]}
    same = {**side, "losses": [2.0, 1.001, 0.501]}
    bench.same_losses(case, "cpu", {"post": post, "ours": same})
    for losses in ([2.0, 1.2, 0.5], [2.0, 1.0, float("nan")], [2.001, 1.0, 0.5]):
        with pytest.raises(bench.Different):
            bench.same_losses(case, "cpu", {"post": post, "ours": {**side, "losses": losses}})


@pytest.mark.usefixtures("programs")
def test_a_side_that_ends_loses_its_row_alone(bench, target, capfd):
    case = bench.Case("compact", 4, 1, "train")
    programs = bench.programs_of(target / "bench-train", short=True)
    programs["eager"] = [sys.executable, "-c", "raise SystemExit('out of memory')"]
    rows = bench.measure(case, "cpu", programs, 1, 0.0)
    assert rows["ours"]["rate"] > 0 and rows["post"]["rate"] > 0
    assert rows["eager"]["skipped"] == "eager ended with status 1: what it said stands above"
    assert "out of memory" in capfd.readouterr().err
    found = {"cases": [{"network": "compact", "batch": 4, "phase": "train", "sides": rows}]}
    assert list(bench.failures(found)) == [f"compact, batch 4, train: {rows['eager']['skipped']}"]


def test_cases_are_chosen_by_name(bench):
    planned = bench.cases("cuda", short=False)
    assert bench.chosen(planned, []) == planned
    named = bench.chosen(planned, ["cifar:128", "compact:512:train"])
    assert [case.names()[1] for case in named] == [
        "cifar:128:train",
        "cifar:128:evaluate",
        "compact:512:train",
    ]
    with pytest.raises(SystemExit, match="no case cifar:1: choose among cifar:128:evaluate"):
        bench.chosen(planned, ["cifar:1"])


@pytest.mark.usefixtures("programs")
def test_no_case_begins_that_would_end_too_late(bench, target, root, monkeypatch, tmp_path, capsys):
    measured = json.loads((root / "docs" / "results" / "train-cpu.json").read_text())
    monkeypatch.setattr(bench, "ceilings", lambda *_: measured["ceilings"])
    monkeypatch.setattr(bench, "work", lambda *of: measured["work"][" ".join(of)])
    clock = iter([0, 0, 50, 50, 95, 95])
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(bench, "measure", lambda *_: measured["cases"][0]["sides"])
    bench_program = target / "bench-train"
    found = bench.run("cpu", True, bench_program, tmp_path, minutes=2)
    assert len(found["cases"]) == 2 and "2 minutes do not reach" in capsys.readouterr().out
    assert "**Broken off after 2 of 6 cases**" in (tmp_path / "train-cpu.md").read_text()


def test_a_side_that_fails_ends_the_run(bench, target, tmp_path):
    case = bench.Case("compact", 4, 1, "train")
    python = [sys.executable, "-c", "raise SystemExit(3)"]
    with (
        pytest.raises(bench.Ended, match=r"post ended with status 3"),
        bench.started(python, "post", case, "cpu", tmp_path),
    ):
        pass


def test_work_is_what_flops_are_known(bench):
    """SEED's multiply-adds for one image, as Table 1 and tests/test_flops.py have them, twice over;
    a training step takes nearly three times as many."""
    with torch.no_grad():
        evaluation = bench.work("seed", "evaluate")
    training = bench.work("seed", "train")
    assert 2.9 < training["operations"] / evaluation["operations"] < 3
    assert 2 < training["bytes"] / evaluation["bytes"] < 4
