"""The command line that trains: what it writes, and what it says to bad input."""

import json
import subprocess
import time

import pytest
from conftest import ROOT
from PIL import Image
from safetensors import safe_open


@pytest.fixture
def train(example):
    def run(*args):
        device = () if "--device" in args else ("--device", "cpu")
        return example("train", *device, *args)

    return run


@pytest.mark.timeout(300)
def test_it_trains_and_writes_history_plot_and_weights(train, drawn_cifar10, tmp_path):
    out = tmp_path / "runs" / "x"
    some = ("--train-images", 512, "--test-images", 128, "--batch", 64)
    done = train("--data", drawn_cifar10, "--spec", "compact", "--epochs", 2, "--out", out, *some)
    lines = [line for line in done.stdout.splitlines() if line.startswith("epoch")]
    assert len(lines) == 2
    for word in ("loss", "train", "test", "images/s"):
        assert all(word in line for line in lines)
    assert "not the official" in done.stdout

    history = json.loads((out / "history.json").read_text())
    assert len(history["steps"]) == 16
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]
    assert history["device"].startswith("CPU")
    assert history["epochs"][1]["train_loss"] < history["epochs"][0]["train_loss"]
    with Image.open(out / "loss.png") as picture:
        assert len(picture.getcolors(100_000)) > 10, "the plot is empty"
    with safe_open(out / "model.safetensors", "np") as weights:
        assert weights.get_tensor("conv_1.weight").shape == (32, 3, 5, 5)
    assert {file.name for file in out.iterdir()} == {
        "checkpoints",
        "history.json",
        "loss.png",
        "loss.svg",
        "model.safetensors",
    }


@pytest.mark.timeout(300)
def test_it_goes_on_where_it_was_killed(train, drawn_cifar10, tmp_path, target):
    """Killed in an epoch and resumed, it gives the weights of a run without a break."""
    some = ("--train-images", 512, "--test-images", 128)
    begin = ("--data", drawn_cifar10, *some, "--epochs", 3, "--batch", 64)
    train(*begin, "--out", tmp_path / "straight")
    often = ("--checkpoint-every", 0, "--out", tmp_path / "killed")
    command = [target / "examples" / "train", "--device", "cpu", *begin, *often]
    with subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if list((tmp_path / "killed").glob("checkpoints/checkpoint-??????")):
                break
            time.sleep(0.1)
        process.kill()
    with pytest.raises(subprocess.CalledProcessError) as error:
        train(*begin, "--out", tmp_path / "killed")
    assert "go on with --resume" in error.value.stderr
    done = train("--data", drawn_cifar10, *some, "--out", tmp_path / "killed", "--resume")
    assert " of 3 epochs are done" in done.stdout
    weights = [tmp_path / name / "model.safetensors" for name in ("straight", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    history = json.loads((tmp_path / "killed" / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2, 3]


@pytest.mark.timeout(300)
def test_one_command_begins_and_goes_on(train, drawn_cifar10, tmp_path):
    some = ("--train-images", 128, "--test-images", 64, "--batch", 64, "--go-on", "--out", tmp_path)
    command = ("--data", drawn_cifar10, *some, "--recipe", "long", "--epochs", 9, "--epochs", 1)
    done = train(*command)
    assert "recipe long" in done.stdout and "epochs are done" not in done.stdout
    recipe = json.loads((tmp_path / "history.json").read_text())["recipe"]
    assert recipe["augment"] == {"pad": 4, "flip": True, "cutout": 8, "cutmix": 0.5}
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").unlink()
    assert "1 of 1 epochs are done" in train(*command).stdout
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert "1 of 1 epochs are done already; results in " in train(*command).stdout
    for other in [("--cutout", 4), ("--spec", "cifar"), ("--epochs", 2), ("--seed", 1)]:
        with pytest.raises(subprocess.CalledProcessError) as error:
            train(*command, *other)
        said = error.value.stderr
        assert "begun with other options (COMPACT, recipe long, --epochs 1): give those" in said


@pytest.mark.timeout(300)
def test_a_network_of_ones_own_trains_for_some_minutes(train, drawn_cifar10, tmp_path):
    """Its spec is taken from a checkpoint, and changed."""
    some = ("--data", drawn_cifar10, "--train-images", 128, "--test-images", 64, "--batch", 64)
    train(*some, "--epochs", 1, "--out", tmp_path / "first")
    (begun,) = (tmp_path / "first/checkpoints").glob("*/run.json")
    spec = json.loads(begun.read_text())["spec"]
    spec["name"] = "OWN"
    spec["layers"][0]["Conv"]["out_channels"] = 8
    file = tmp_path / "own.json"
    file.write_text(json.dumps(spec))
    run = (*some, "--spec", file, "--minutes", 0.0001, "--out", tmp_path / "own")
    done = train(*run)
    assert "is --epochs 1\nOWN (" in done.stdout
    with safe_open(tmp_path / "own/model.safetensors", "np") as weights:
        assert weights.get_tensor("conv_1.weight").shape == (8, 3, 5, 5)
    spec["layers"][0]["Conv"]["kernel"] = -1
    file.write_text(json.dumps(spec))
    with pytest.raises(subprocess.CalledProcessError) as error:
        train(*some, "--spec", file, "--out", tmp_path / "wrong")
    assert "-1" in error.value.stderr and "panicked" not in error.value.stderr
    # It is told from the run that was begun, though name and recipe are the same.
    spec["layers"][0]["Conv"] |= {"kernel": 5, "out_channels": 16}
    file.write_text(json.dumps(spec))
    with pytest.raises(subprocess.CalledProcessError) as error:
        train(*some, "--spec", file, "--epochs", 1, "--go-on", "--out", tmp_path / "own")
    assert "begun with other options (OWN" in error.value.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--spec", "resnet"], "choose one of paper, seed, cifar, compact"),
        (["--spec", "/missing/own.json"], "cannot read /missing/own.json"),
        (
            ["--spec", str(ROOT / "docs/results/compact-cpu.json")],
            "compact-cpu.json holds no NetworkSpec",
        ),
        (["--minutes", "0"], "--minutes 0: it must be over 0"),
        (["--minutes", "1", "--epochs", "3"], "cannot be used with"),
        (["--data", "/missing"], "/missing"),
        (["--epochs", "0"], "epochs of recipe fast is 0"),
        (["--batch", "0"], "batch of recipe fast is 0"),
        (["--cutout", "33"], "cutout is 33: give 0 to 32: the images are 32x32"),
        (["--cutout", "-1"], "cutout of recipe fast is -1: it must be at least 0"),
        (["--cutmix", "1.5"], "cutmix of recipe fast is 1.5: it must be from 0 to 1"),
        (["--resume", "--go-on"], "cannot be used with"),
        (["--train-images", "60000"], "60000"),
        (["--spec", "paper", "--recipe", "fast"], "takes 224x224 only"),
        (["--resume"], "there is no such folder"),
        (["--resume", "--epochs", "3"], "cannot be used with"),
        (["--device", "gpu"], "device is gpu: give cpu, cuda, cuda:N"),
        (["--device", "mps"], "device is mps: this libtorch has no Metal"),
        (["--device", "cuda:99"], "device is cuda:99: "),
    ],
)
def test_bad_input_is_one_clear_error(train, drawn_cifar10, tmp_path, args, expected):
    data = [] if "--data" in args else ["--data", drawn_cifar10]
    with pytest.raises(subprocess.CalledProcessError) as error:
        train(*data, "--out", tmp_path / "x", *args)
    assert expected in error.value.stderr
    assert "panicked" not in error.value.stderr


def test_an_unwritable_target_is_found_before_training(train, drawn_cifar10, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(subprocess.CalledProcessError) as error:
        train("--data", drawn_cifar10, "--out", file / "x")
    assert str(file) in error.value.stderr
