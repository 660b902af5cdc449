"""torchvision's googlenet: its weights here give its logits, and ours go back into it."""

import subprocess

import pytest
import torch
from networks import unsettle_norms
from safetensors.torch import load_file, save_file
from torchvision.models import googlenet


def make(auxiliary, classes=1000):
    """Random weights, away from their defaults, so that a mix-up shows."""
    torch.manual_seed(0)
    net = googlenet(
        num_classes=classes,
        aux_logits=auxiliary,
        transform_input=False,
        init_weights=False,
        dropout=0.0,
        dropout_aux=0.0,
    )
    # Small enough for an epsilon of 1e-5 in place of 1e-3 to show.
    unsettle_norms(net, least_variance=0.02)
    return net


def run(driver, net, images, tmp_path):
    save_file(net.state_dict(), tmp_path / "googlenet.safetensors")
    save_file({"images": images}, tmp_path / "in.safetensors")
    files = [tmp_path / f"{name}.safetensors" for name in ("googlenet", "in", "out", "back")]
    driver("torchvision", *files)
    return load_file(files[2]), load_file(files[3])


def relative_error(found, expected):
    return (found - expected).norm().item() / expected.norm().item()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("auxiliary", [False, True], ids=["without heads", "with heads"])
def test_same_logits_as_torchvision(auxiliary, driver, tmp_path):
    net = make(auxiliary)
    images = torch.randn(2, 3, 224, 224)
    found, back = run(driver, net, images, tmp_path)

    with torch.no_grad():
        expected = {"eval.logits": net.eval()(images)}
        outputs = net.train()(images)
    if auxiliary:
        expected["train.logits"] = outputs.logits
        # aux_logits1 is the earlier head.
        expected["train.auxiliary.0"] = outputs.aux_logits1
        expected["train.auxiliary.1"] = outputs.aux_logits2
    else:
        expected["train.logits"] = outputs
    assert set(found) == set(expected)
    for name, logits in expected.items():
        error = relative_error(found[name], logits)
        print(f"{name}: relative error {error:.1e}")
        assert error < 1e-4, name
        assert logits.std() > 1e-2, "logits that are all alike prove nothing"

    # Back into torchvision, strictly: every name and shape, and the running statistics of the
    # training pass.
    other = googlenet(aux_logits=auxiliary, transform_input=False, init_weights=False)
    other.load_state_dict(back, strict=True)
    for name, value in net.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        assert relative_error(other.eval()(images), net.eval()(images)) < 1e-3


def test_the_file_says_how_many_classes(driver, tmp_path):
    net = make(False, classes=7)
    images = torch.randn(1, 3, 224, 224)
    found, back = run(driver, net, images, tmp_path)
    with torch.no_grad():
        assert relative_error(found["eval.logits"], net.eval()(images)) < 1e-4
    assert back["fc.weight"].shape == (7, 1024)


def test_transform_input_is_the_documented_normalisation():
    """ImageNet's normalisation and transform_input=True are bytes from -1 to 1."""
    net = make(False).eval()
    pixels = torch.rand(1, 3, 224, 224)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = net((pixels - 0.5) / 0.5)
        net.transform_input = True
        assert relative_error(net((pixels - mean) / std), expected) < 1e-4


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda state: state.pop("inception4c.branch3.1.conv.weight"),
            "branch3.1.conv.weight is m",
        ),
        (lambda state: state.pop("fc.weight"), "fc.weight is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is not a variable"),
        (lambda state: state.update({"conv1.conv.weight": torch.zeros(3)}), "has shape [3]"),
    ],
)
def test_another_file_is_refused(change, expected, driver, tmp_path):
    state = make(False, classes=7).state_dict()
    change(state)
    path = tmp_path / "googlenet.safetensors"
    save_file(state, path)
    with pytest.raises(subprocess.CalledProcessError) as error:
        driver("torchvision", path, path, path, path)
    assert expected in error.value.stderr
    assert str(path) in error.value.stderr
    assert "panicked" not in error.value.stderr
