"""The machine in words, and what of its disk is used, for reports of what was measured."""

import os
import platform
import re
from pathlib import Path

import psutil


def machine():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    name = model[1] if model else platform.processor()
    memory = psutil.virtual_memory().total / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, {memory:.0f} GiB of memory, {platform.system()}"


def unshared(*folders):
    """Bytes on the disk of files that have no second name."""
    files = (file for folder in folders for file in folder.rglob("*"))
    stats = [file.lstat() for file in files if file.is_file()]
    return sum(stat.st_blocks * 512 for stat in stats if stat.st_nlink == 1)
