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


def test_nine_of_ten_run_a_statement_a_cell(plain, tmp_path):
    """What is left no cell can know: of which type a later statement wants a value to be."""
    found = bench_examples.taken_apart(bench_examples.examples(bench_examples.library()))
    assert len(found) > 2000
    sample = random.Random(20).sample(found, 50)
    _, failures = bench_examples.measure(plain, sample, tmp_path)
    assert len(failures) <= 5, failures
    for failure in failures:
        of_types = ("type annotations needed", "mismatched types", "cannot infer", "not satisfied")
        assert any(words in failure.error for words in of_types), failure
