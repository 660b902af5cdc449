"""The machine in words, as reports of what was measured name it."""

import importlib.util

import pytest

X86 = "model name\t: A processor\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
# Linux names no model there.
AARCH64 = "BogoMIPS\t: 50.00\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x41\n"


@pytest.fixture
def module(root):
    spec = importlib.util.spec_from_file_location("machine", root / "bench/machine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "words"),
    [(X86, "A processor (AVX2 AVX-512 bfloat16), "), (AARCH64, "aarch64 (NEON SVE bfloat16), ")],
)
def test_a_processor_has_a_name_and_features(module, monkeypatch, text, words):
    monkeypatch.setattr(module.Path, "read_text", lambda path: text)
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(module.platform, "machine", lambda: "aarch64")
    assert module.machine().startswith(words)
