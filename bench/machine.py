"""The machine in words, and what of its disk is used, for reports of what was measured."""

import os
import platform
import re
from pathlib import Path

import psutil

# Of what a processor can do, what timings depend on most: as Linux calls it, and in words.
FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "bfloat16",
    "asimd": "NEON",
    "sve": "SVE",
    "bf16": "bfloat16",
}


def machine():
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", text)
    # Linux names no model on aarch64.
    name = model[1] if model else platform.processor() or platform.machine()
    flags = re.search(r"(?:flags|Features)\s*:\s*(.+)", text)
    known = flags[1].split() if flags else []
    features = " ".join(words for flag, words in FEATURES.items() if flag in known)
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{name} ({features}), {cores} cores, {memory:.0f} GiB of memory, {platform.system()}"


def unshared(*folders):
    """Bytes on the disk of files that have no second name."""
    files = (file for folder in folders for file in folder.rglob("*"))
    stats = [file.lstat() for file in files if file.is_file()]
    return sum(stat.st_blocks * 512 for stat in stats if stat.st_nlink == 1)
