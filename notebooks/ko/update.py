"""The Korean lessons: code and outputs of the English ones, texts of their own.

    python notebooks/ko/update.py                    # takes over what has changed
    python notebooks/ko/update.py --check            # only says what has
    python notebooks/ko/update.py --translated ID..  # these texts are right again
    python notebooks/ko/update.py --lesson 3 ..      # of this lesson only

A text cell has the id of the English one and, in its metadata, a hash of the English text that it
was written for. Where that text has changed since, the Korean one is asked for.
"""

import argparse
import copy
import hashlib
import sys
from pathlib import Path

import nbformat

KOREAN = Path(__file__).resolve().parent
ENGLISH = KOREAN.parent
TRANSLATES = "translates"


def lessons(number):
    return sorted(ENGLISH.glob("0*.ipynb" if number is None else f"{number:02}-*.ipynb"))


def hash_of(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def one_folder_down(source):
    """Code whose paths begin one folder further down: those to the repository, and those to what
    lies beside the English lessons."""
    return source.replace('"../', '"../../').replace('"seeds/', '"../seeds/')


def updated(english, korean, translated=()):
    """The Korean notebook as it should be, and what is to be done to its texts."""
    texts = {cell.id: cell for cell in korean.cells if cell.cell_type == "markdown"}
    notebook, to_do = copy.deepcopy(english), []
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            cell.source = one_folder_down(cell.source)
            continue
        now = hash_of(cell.source)
        known = texts.pop(cell.id, None)
        if known is None:
            to_do.append(f"{cell.id}: there is no Korean text yet")
            cell.metadata[TRANSLATES] = ""
            continue
        cell.source = known.source
        written_for = known.metadata.get(TRANSLATES)
        if cell.id in translated:
            written_for = now
        cell.metadata[TRANSLATES] = written_for
        if written_for != now:
            to_do.append(f"{cell.id}: the English text has changed since")
    to_do += [f"{name}: the English lesson has no such text any more" for name in texts]
    return notebook, to_do


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--translated", nargs="*", default=[], metavar="ID", help="texts put right")
    parser.add_argument("--lesson", type=int, metavar="N", help="only this one")
    options = parser.parse_args()
    wrong = []
    for path in lessons(options.lesson):
        english = nbformat.read(path, as_version=4)
        place = KOREAN / path.name
        empty = nbformat.v4.new_notebook()
        korean = nbformat.read(place, as_version=4) if place.exists() else empty
        notebook, to_do = updated(english, korean, options.translated)
        wrong += [f"{place.name}, {what}" for what in to_do]
        if options.check:
            if notebook != korean and not to_do:
                wrong.append(f"{place.name}: run {Path(__file__).name}")
            continue
        part = place.with_suffix(".part")
        nbformat.write(notebook, part)
        part.replace(place)
    print("\n".join(wrong) or "The Korean lessons are up to date.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
