"""Examples of the standard library's documentation as cells: programs that nobody here wrote."""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
import bench_examples


def test_ninety_nine_of_a_hundred_run_as_they_stand(plain, tmp_path):
    found = bench_examples.examples(bench_examples.library())
    assert len(found) > 2500
    sample = random.Random(20).sample(found, 100)
    times, failures = bench_examples.measure(plain, sample, tmp_path)
    assert len(times) + len(failures) == 100
    assert len(failures) <= 1, failures
