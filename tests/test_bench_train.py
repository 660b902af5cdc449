"""The short form of `cargo xtask bench train`: every side computes the same, every row is there.

What it measures means nothing: it runs beside other tests.
"""

import json
import os
import signal
import subprocess
import sys
import time

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
    said = {file.name: file.read_text() for file in (tmp_path / "tests").iterdir()}
    assert set(said) == {"spec.txt", "data_batches.txt"}
    assert all("test result: ok" in text for text in said.values())
    assert "a_second_device_sees_the_same_epoch" in said["data_batches.txt"]
    assert len(json.loads((tmp_path / "compact" / "history.json").read_text())["epochs"]) == 1

    (tests / "broken").write_text("#!/bin/sh\nkill -9 $$\n")
    (tests / "broken").chmod(0o755)
    for _ in range(2):
        done = run("tests", "--out", tmp_path)
        assert done.returncode == 1 and "FAILED: broken" in done.stdout
        assert "spec.txt is there already: --again does it anew" in done.stdout


def cut(command, until):
    """Starts this, and kills it with all that it started once `until` is true."""
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            for _ in range(3000):
                if until():
                    break
                assert process.poll() is None, "it ended before it was cut"
                time.sleep(0.1)
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.timeout(900)
def test_a_bundle_goes_on_where_it_was_cut(bundle, run, drawn_cifar10, tmp_path):
    """All of it in its short form, on images of our own."""
    given = ["--device", "cpu", "--short", "--out", tmp_path, "--data", drawn_cifar10]
    few = ["--test", "spec", "--case", "compact:8", "--spec", "compact"]
    command = ["tests", "bench", "train", "accuracy", *given, *few]
    command += ["--", "--checkpoint-every", 0]
    measured, longest = tmp_path / "train-cpu.json", tmp_path / "accuracy-600"
    cut([bundle / "run", *command], measured.exists)
    assert len(json.loads(measured.read_text())["cases"]) == 1
    assert not (tmp_path / "compact").exists()
    cut([bundle / "run", *command], lambda: list(longest.glob("checkpoints/checkpoint-??????")))
    assert not (longest / "model.safetensors").exists()

    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tmp_path}/tests/spec.txt is there already" in done.stdout
    # Into compact, accuracy-20 and accuracy-60.
    assert done.stdout.count("2 of 2 epochs are done already") == 3
    assert "COMPACT, batch 8, train is measured already" in done.stdout
    assert "COMPACT, batch 8, evaluate is measured already" in done.stdout
    found = json.loads(measured.read_text())
    assert [case["phase"] for case in found["cases"]] == ["train", "evaluate"]
    assert found["runs"] == found["planned"] == 2
    report = (tmp_path / "train-cpu.md").read_text()
    assert f"in 2 runs from {found['begun']} on" in report and "Broken off" not in report
    assert " of 2 epochs are done" in done.stdout
    for seconds, network, recipe in [
        (20, "COMPACT", "fast"),
        (60, "CIFAR", "fast"),
        (600, "CIFAR", "long"),
    ]:
        folder = tmp_path / f"accuracy-{seconds}"
        history = json.loads((folder / "history.json").read_text())
        assert (history["network"], history["recipe"]["name"]) == (network, recipe)
        assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]
        assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")

    done = run("accuracy", "--budget", 20, *given, "--", "--epochs", 1)
    assert done.returncode == 1 and "begun with other options" in done.stderr
    done = run("accuracy", "--budget", 20, "--again", *given, "--", "--epochs", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads((tmp_path / "accuracy-20/history.json").read_text())["epochs"]) == 1
    assert found == json.loads(measured.read_text())


@pytest.mark.usefixtures("programs")
def test_cases_are_kept_where_the_same_was_asked(bench, target, root, monkeypatch, tmp_path):
    measured = json.loads((root / "docs" / "results" / "train-cpu.json").read_text())
    monkeypatch.setattr(bench, "ceilings", lambda *_: measured["ceilings"])
    monkeypatch.setattr(bench, "work", lambda *of: measured["work"][" ".join(of)])
    did = []

    def measure(case, *_):
        did.append(case.names()[1])
        return measured["cases"][0]["sides"]

    monkeypatch.setattr(bench, "measure", measure)

    def run(*named, short=True, **options):
        did.clear()
        program = target / "bench-train"
        found = bench.run("cpu", short, program, tmp_path, named=named, go_on=True, **options)
        return did, found

    assert run("seed:2:train")[0] == ["seed:2:train"]
    did_now, found = run("seed:2:train", "cifar:2:train")
    assert did_now == ["cifar:2:train"]
    assert found["named"] == ["seed:2:train", "cifar:2:train"] and found["planned"] == 2
    did_now, found = run("cifar:2:train", again=True)
    assert did_now == ["cifar:2:train"] and len(found["cases"]) == 2
    did_now, found = run()
    assert len(did_now) == 4 and len(found["cases"]) == found["planned"] == 6
    assert found["runs"] == 4 and run()[0] == []
    with pytest.raises(SystemExit, match=r"measured with short True, and not False: go on with"):
        run(short=False)
    assert len(run(again=True)[0]) == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "--data"),
        (["--device", "tpu", "tests"], "tpu is no device: cpu or cuda"),
        (["--out"], "--out needs a value"),
        (["nothing"], "nothing is no part"),
        (["accuracy"], "--data"),
        (["accuracy", "--budget", "30"], "--budget is 30: give 20, 60 or 600"),
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
def test_a_side_that_ends_loses_its_row_alone(bench, target, root, capfd):
    case = bench.Case("compact", 4, 1, "train")
    programs = bench.programs_of(target / "bench-train", short=True)
    # In its second round.
    code = (
        "import runpy, sys, torch\n"
        "def lines(of):\n"
        "    yield next(of)\n"
        "    raise torch.OutOfMemoryError('CUDA out of memory')\n"
        "sys.stdin = lines(sys.stdin)\n"
        f"runpy.run_path({str(root / 'bench' / 'bench_sides.py')!r}, run_name='__main__')\n"
    )
    programs["eager"] = [sys.executable, "-c", code]
    rows = bench.measure(case, "cpu", programs, 2, 0.0)
    assert rows["ours"]["rate"] > 0 and rows["post"]["rate"] > 0
    assert rows["eager"]["skipped"] == "eager ended with status 1: what it said stands above"
    assert "CUDA out of memory" in capfd.readouterr().err
    found = {"cases": [{"network": "compact", "batch": 4, "phase": "train", "sides": rows}]}
    assert list(bench.failures(found)) == [f"compact, batch 4, train: {rows['eager']['skipped']}"]


# Says what a side says, and runs out of memory after so many answers, or at once in a precision.
FAKE = """
import json, sys
answers, fails_in, computes_in = int(sys.argv[1]), sys.argv[2], sys.argv[3]
full = "torch.OutOfMemoryError: CUDA out of memory"
if sys.argv[-1] == fails_in:
    sys.exit(full)
print(json.dumps({"losses": [2.0], "precision": computes_in, "threads": 1}), flush=True)
for line in sys.stdin:
    if answers == 0:
        sys.exit(full)
    answers -= 1
    print(json.dumps({"seconds": 0.01 * int(line)}), flush=True)
if answers == 99:
    sys.exit(full)
"""


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("answers", "fails_in", "computes_in", "failed"),
    [
        ({"ours": 0}, "none", "float32", {"ours"}),  # after its losses
        ({"ours": 1}, "none", "float32", {"ours"}),  # at what the others go by
        ({"post": 1, "eager": 1}, "none", "float32", {"post", "eager"}),  # in a round
        ({"compiled": 101}, "none", "float32", {"compiled"}),  # at its end, after two answers
        ({}, "float32", "bf16", {"ours"}),  # where it is compared in float32
        (dict.fromkeys(("ours", "post", "eager", "compiled"), 1), "none", "float32", None),
    ],
)
def test_no_memory_costs_a_row_and_not_the_run(
    answers, fails_in, computes_in, failed, bench, target, root, monkeypatch, tmp_path
):
    measured = json.loads((root / "docs" / "results" / "train-cpu.json").read_text())
    monkeypatch.setattr(bench, "ceilings", lambda *_: measured["ceilings"])
    monkeypatch.setattr(bench, "work", lambda *of: measured["work"][" ".join(of)])
    monkeypatch.setattr(bench, "write_inputs", lambda *_: None)
    fakes = {
        name: [sys.executable, "-c", FAKE, answers.get(name, 1000), fails_in, computes_in]
        for name in bench.SIDES
    }
    monkeypatch.setattr(bench, "programs_of", lambda *_: fakes)
    named = ["compact:8:train", "compact:8:evaluate"]
    found = bench.run("cpu", True, target / "bench-train", tmp_path, named=named)
    assert len(found["cases"]) == 2
    for case in found["cases"]:
        lost = {name for name, row in case["sides"].items() if row.get("failed")}
        assert lost == (failed or set(bench.SIDES))
        assert all(row["rate"] > 0 for name, row in case["sides"].items() if name not in lost)
    assert len(list(bench.failures(found))) == 2 * len(lost)
    said = (tmp_path / "train-cpu.md").read_text()
    assert said.count("| skipped |") == 2 * len(lost) and "Broken off" not in said


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
