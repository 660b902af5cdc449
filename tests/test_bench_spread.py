"""Training spread over processes (bench/src/spread.rs).

What it measures means nothing: it is short, and runs beside other tests.
"""

import json
import socket
import subprocess

import pytest

PARAMETERS = 902_618


def test_two_processes_compute_what_one_does_in_two_parts(driver):
    done = driver("spread", "measure", "compact", "--batch", 8, "--steps", 2, "--rounds", 1)
    *ways, last = map(json.loads, done.stdout.splitlines())
    assert [way["processes"] for way in ways] == [1, 1, 2]
    assert all(way["gradient_bytes"] == 4 * PARAMETERS for way in ways)
    assert all(way["images_per_second"] > 0 for way in ways)
    difference = last["largest difference of a loss"]
    assert difference["to one process, in parts"] == 0
    # Each process normalises its own images.
    assert 0 < difference["to one process"] < 1


def test_processes_that_were_started_by_hand_say_the_same(programs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"127.0.0.1:{free.getsockname()[1]}"
    short = [meeting, "--batch", "8", "--steps", "1"]
    started = [
        subprocess.Popen(
            [programs / "spread", "work", "compact", str(rank), "2", *short],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [json.loads(process.communicate(timeout=120)[0]) for process in started]
    assert said[0]["losses"] == said[1]["losses"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compact", 0, 2, "127.0.0.1:1", "--batch", 7], "a batch of 7 is not 2 equal parts"),
        (["compact", 2, 2, "127.0.0.1:1"], "ranks go from 0 to 1"),
        (["compact", 0, 2, "here"], "HOST:PORT"),
    ],
)
def test_what_cannot_be_is_refused(arguments, expected, driver):
    with pytest.raises(subprocess.CalledProcessError) as error:
        driver("spread", "work", *arguments)
    assert expected in error.value.stderr
    assert "panicked" not in error.value.stderr
