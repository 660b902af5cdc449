"""Who solved what: rows, a table for the terminal, and a CSV file."""

import csv
import os
import tempfile
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from marking import SOLVED


@dataclass(frozen=True)
class Row:
    """An exercise of a notebook that was handed in; for one that was not marked, no exercise."""

    student: str
    file: str
    lesson: str
    exercise: str
    verdict: str
    # The first line of the check, or what went wrong.
    said: str = ""
    # What is odd about the check that was handed in. Ours was run.
    note: str = ""


def plain(text):
    """Text of a student's in one line, without anything that a terminal would act on."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def for_spreadsheet(text):
    """A spreadsheet would compute what begins like a formula."""
    text = plain(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def write_csv(path, rows):
    """Beside its place first, so that the file is whole at any time."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(field.name for field in fields(Row))
            writer.writerows(map(for_spreadsheet, astuple(row)) for row in rows)
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def table(rows):
    """One for each lesson: a line for each notebook, a column for each exercise."""
    texts = []
    for lesson in dict.fromkeys(row.lesson for row in rows if row.exercise):
        of_lesson = [row for row in rows if row.lesson == lesson and row.exercise]
        exercises = list(dict.fromkeys(row.exercise for row in of_lesson))
        lines = [["student", *exercises, "solved"]]
        for student, file in dict.fromkeys((row.student, row.file) for row in of_lesson):
            its = {row.exercise: row for row in of_lesson if row.file == file}
            marks = [its[name].verdict + ("*" if its[name].note else "") for name in exercises]
            lines.append([plain(student), *marks, str(solved(its.values()))])
        texts.append(f"{lesson}\n{columns(lines)}")
    notes = [f"{plain(r.student)}, {r.exercise}: {r.note}; ours was run" for r in rows if r.note]
    if notes:
        texts.append("\n".join(f"* {note}" for note in notes))
    unmarked = [f"{row.file}: {row.verdict}: {plain(row.said)}" for row in rows if not row.exercise]
    return "\n\n".join([*texts, *(["\n".join(unmarked)] if unmarked else [])])


def solved(rows):
    return sum(row.verdict == SOLVED for row in rows)


def columns(lines):
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in line).rstrip() for line in padded
    )
