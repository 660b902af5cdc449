"""A libtorch as it is without its CUDA half, made of the one that is installed."""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def kernel_without_cuda(prefix, folder):
    """Writes a kernelspec like that of the lab's kernel in the environment `prefix`, for cells that
    find such a libtorch; gives its name and what JUPYTER_PATH has to be."""
    lib = folder / "torch/lib"
    lib.mkdir(parents=True)
    torch_lib = (ROOT / ".libtorch/lib").resolve()
    # libtorch looks for NVIDIA's other libraries beside its own package.
    (folder / "nvidia").symlink_to(torch_lib.parents[1] / "nvidia")
    for file in torch_lib.iterdir():
        if not file.name.startswith("libtorch_cuda"):
            (lib / file.name).symlink_to(file)
    spec = json.loads((prefix / "share/jupyter/kernels/googlenet/kernel.json").read_text())
    spec["env"]["LD_LIBRARY_PATH"] = f"{lib}:{spec['env']['LD_LIBRARY_PATH']}"
    kernels = folder / "share/jupyter/kernels"
    (kernels / "without_cuda").mkdir(parents=True)
    (kernels / "without_cuda/kernel.json").write_text(json.dumps(spec))
    return "without_cuda", str(kernels.parent)
