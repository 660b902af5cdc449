"""Marks notebooks that were handed in: `cargo xtask grade` calls it.

Our checks run, each after the student's own cell, in sessions that reach no network and change no
file of this machine.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

from marking import NOT_MARKED, LessonFails, Marking
from report import Row, plain, solved, table, write_csv
from session import NOTEBOOKS, Means, NoSession, Session, end_all, why_not_contained

from notebooks import Unreadable, hand_in, lessons

NOT_CONTAINED = """{why}
This machine does not let cells be contained: they could reach the network, your files and what
others handed in. Allow namespaces for users (docs/teaching.md), or mark where nothing can be lost,
such as a container without a network, and say --unsafe."""


class BadInput(Exception):
    """What the person can put right."""


def positive(text):
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("give a number above 0")
    return number


def jobs(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("give 1 or more")
    return number


def arguments():
    parser = argparse.ArgumentParser(
        prog="cargo xtask grade",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, nargs="+", help="notebooks, or folders with notebooks")
    parser.add_argument("--csv", type=Path, help="also write who solved what to this file")
    parser.add_argument("--seconds", type=positive, default=60, help="for an answer and its check")
    parser.add_argument("--memory", type=positive, default=4, help="of a session, in GB")
    parser.add_argument("--jobs", type=jobs, default=1, help="notebooks at a time")
    parser.add_argument("--kernel", default="googlenet", help="the kernel that runs them")
    parser.add_argument("--unsafe", action="store_true", help="where cells cannot be contained")
    return parser.parse_args()


def means_for(options, handed_in):
    why = why_not_contained()
    if why and not options.unsafe:
        raise BadInput(NOT_CONTAINED.format(why=why))
    if why:
        print(f"warning: cells can reach the network and your files: {why}", file=sys.stderr)
    return Means(
        kernel=options.kernel,
        memory=int(options.memory * 1e9),
        contained=why is None,
        threads=max(1, (os.cpu_count() or 1) // options.jobs),
        hidden=tuple(str(one.path.absolute()) for one in handed_in),
    )


def rows_of(one, means, seconds):
    """Marks one notebook."""
    row = partial(Row, one.student, str(one.path))
    if one.problem:
        return [row("", "", NOT_MARKED, one.problem)]
    try:
        verdicts = Marking(one.lesson, one.answers, seconds).mark(partial(Session, means))
    except (LessonFails, NoSession) as error:
        return [row(one.lesson.name, "", NOT_MARKED, str(error))]
    rows = []
    for answer in one.answers:
        came = verdicts[answer.exercise]
        rows.append(row(one.lesson.name, answer.exercise, came.verdict, came.said, answer.note))
    return rows


def progress(number, count, one, rows, seconds):
    what = one.lesson.name if one.lesson else str(one.path)
    marked = [row for row in rows if row.exercise]
    came = f"{solved(rows)} of {len(marked)} solved" if marked else rows[0].said
    print(
        f"[{number}/{count}] {plain(one.student)}  {what}  {plain(came)}  ({seconds:.0f} s)",
        flush=True,
    )


def grade(options):
    if options.csv and not options.csv.parent.is_dir():
        raise BadInput(f"{options.csv.parent} is no folder: --csv cannot write there")
    handed_in = hand_in(options.file, lessons(NOTEBOOKS))
    means = means_for(options, handed_in)

    def marked(place):
        began = time.monotonic()
        rows = rows_of(handed_in[place], means, options.seconds)
        return place, rows, time.monotonic() - began

    done = {}
    workers = ThreadPoolExecutor(max_workers=options.jobs)
    waiting = [workers.submit(marked, place) for place in range(len(handed_in))]
    for number, future in enumerate(as_completed(waiting), 1):
        place, rows, seconds = future.result()
        done[place] = rows
        progress(number, len(handed_in), handed_in[place], rows, seconds)
        if options.csv:
            # After each one: what is marked is not lost with what comes.
            write_csv(options.csv, in_order(done))
    print(f"\n{table(in_order(done))}")
    if options.csv:
        print(f"\nwritten: {options.csv}")
    # A lesson that does not run here is no student's fault, and to be put right.
    broken = [rows[0].said for place, rows in done.items() if lesson_failed(handed_in[place], rows)]
    if broken:
        raise BadInput(f"not all were marked: {broken[0]}")


def lesson_failed(one, rows):
    return one.lesson is not None and not rows[0].exercise


def in_order(done):
    return [row for _, rows in sorted(done.items()) for row in rows]


def main():
    try:
        grade(arguments())
    except (BadInput, Unreadable, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    status = main()
    end_all()
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: not when the sessions that are in use have come to their end.
    os._exit(status)
