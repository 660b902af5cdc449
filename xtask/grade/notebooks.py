"""What the lessons ask, and what a student has handed in for it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

SUBMITTED = "submitted"


class Unreadable(Exception):
    """A file that is no notebook, and why."""


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    id: str
    source: str
    tags: tuple[str, ...] = ()

    def is_as(self, other):
        """Whether the two say the same, whatever space stands at the ends of lines."""
        return lines_of(self.source) == lines_of(other.source)


@dataclass(frozen=True)
class Lesson:
    """The code cells of a committed lesson. After each exercise stands its check."""

    name: str
    cells: list[Cell]

    @property
    def exercises(self):
        """(exercise, check), in the lesson's order."""
        pairs = zip(self.cells, self.cells[1:], strict=False)
        return [(cell, check) for cell, check in pairs if "exercise" in cell.tags]


@dataclass
class Answer:
    """What a student has in the place of an exercise."""

    exercise: str
    # The student's cells from the exercise to its check. None of them: not answered.
    parts: list[str] = field(default_factory=list)
    # Cells of the student's own that stand before, by their place in the notebook.
    extras: dict[int, str] = field(default_factory=dict)
    missing: bool = False
    # What is odd about the check; nothing where it is the lesson's.
    note: str = ""


@dataclass
class HandedIn:
    """A file that was handed in. Where it is not to be marked, `problem` says why."""

    path: Path
    student: str
    lesson: Lesson | None = None
    answers: list[Answer] = field(default_factory=list)
    problem: str = ""


def lines_of(source):
    return [line.rstrip() for line in source.strip().splitlines()]


def read(path):
    """The code cells of a notebook."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable("no notebook: the file is not JSON") from error
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise Unreadable("no notebook of format 4: there is no list of cells")
    return [code_cell(cell) for cell in cells if is_code(cell)]


def is_code(cell):
    if not isinstance(cell, dict):
        raise Unreadable("no notebook: a cell is not an object")
    return cell.get("cell_type") == "code"


def code_cell(cell):
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Unreadable("no notebook: the source of a cell is not text")
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    tags = tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()
    return Cell(str(cell.get("id", "")), source, tags)


def lessons(folder):
    """The committed lessons."""
    found = [Lesson(path.stem, read(path)) for path in sorted(folder.glob("[0-9]*.ipynb"))]
    for lesson in found:
        for exercise, check in lesson.exercises:
            if "check" not in check.tags:
                raise Unreadable(f"lesson {lesson.name}: no check follows cell '{exercise.id}'")
    return found


def lesson_of(cells, known):
    """The lesson that a notebook is of, or None: the one of which it has most cells as they are,
    whatever the file is called. A translation has the same."""

    def shared(lesson):
        its = {(cell.id, *lines_of(cell.source)) for cell in lesson.cells}
        bare = {tuple(lines_of(cell.source)) for cell in lesson.cells}
        same = sum(tuple(lines_of(cell.source)) in bare for cell in cells)
        return same + sum((cell.id, *lines_of(cell.source)) in its for cell in cells)

    best = max(known, key=shared)
    return best if shared(best) >= 3 else None


def answers_of(lesson, cells):
    """What the student has in the place of each exercise."""
    ours = {cell.id: cell for cell in lesson.cells}
    sources = {tuple(lines_of(cell.source)) for cell in lesson.cells}

    def place_of(cell):
        """By its id, or where a program has given cells new ones, by what it says."""
        by_id = (place for place, own in enumerate(cells) if own.id == cell.id)
        by_source = (place for place, own in enumerate(cells) if own.is_as(cell))
        return next(by_id, next(by_source, None))

    def is_extra(place):
        cell = cells[place]
        known = cell.id in ours or tuple(lines_of(cell.source)) in sources
        return bool(cell.source.strip()) and not known

    answers = []
    taken = set()
    for exercise, check in lesson.exercises:
        begin, end = place_of(exercise), place_of(check)
        if begin is None and end is not None and end > 0 and is_extra(end - 1):
            # Its id is another one and its text is the answer: it stands before the check.
            begin = end - 1
        answer = Answer(exercise.id)
        answers.append(answer)
        if end is None:
            answer.note = "check missing"
        elif not cells[end].is_as(check):
            answer.note = "check altered"
        if begin is None:
            answer.missing = True
            continue
        last = end if end is not None and end > begin else begin + 1
        own = [begin, *filter(is_extra, range(begin + 1, last))]
        taken.update(own)
        parts = [cells[place] for place in own if cells[place].source.strip()]
        if any(not part.is_as(exercise) for part in parts):
            answer.parts = [part.source for part in parts]
        before = [place for place in range(begin) if is_extra(place) and place not in taken]
        answer.extras = {place: cells[place].source for place in before}
    return answers


def find(given):
    """The notebooks among the files and folders that were given: (path, name of the student)."""
    found = []
    for path in given:
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is not there: give notebooks, or folders with notebooks"
            )
        if path.is_dir():
            inside = [file for file in sorted(path.rglob("*.ipynb")) if is_open(file, path)]
            if not inside:
                raise FileNotFoundError(f"{path}: there is no notebook (.ipynb) in this folder")
            found += [(file, student_of(file, file.relative_to(path))) for file in inside]
        else:
            found.append((path, student_of(path, path)))
    return list(dict(reversed(found)).items())[::-1]


def is_open(file, folder):
    """Jupyter keeps copies of its own in hidden folders."""
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)


def student_of(file, given):
    """nbgrader has a folder for each student in `submitted`. Else it is the folder of the file or,
    where none was given, the name of the file."""
    folders = file.absolute().parts[:-1]
    if SUBMITTED in folders[:-1]:
        place = len(folders) - 1 - folders[::-1].index(SUBMITTED)
        if place + 1 < len(folders):
            return folders[place + 1]
    return given.parent.name.strip(".") or file.stem


def hand_in(given, known):
    """Reads all that was handed in."""
    handed_in = []
    for path, student in find(given):
        one = HandedIn(path, student)
        handed_in.append(one)
        try:
            cells = read(path)
        except Unreadable as error:
            one.problem = str(error)
            continue
        one.lesson = lesson_of(cells, known)
        if one.lesson is None:
            one.problem = "none of the lessons: it has none of their cells"
        else:
            one.answers = answers_of(one.lesson, cells)
    # Several of one lesson in one folder are of as many students.
    seen = [(one.path.parent, one.student, one.lesson and one.lesson.name) for one in handed_in]
    for one, key in zip(handed_in, seen, strict=True):
        if seen.count(key) > 1:
            one.student = one.path.stem
    return handed_in
