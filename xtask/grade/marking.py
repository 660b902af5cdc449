"""The lesson's cells in the lesson's order, with a student's cells in the places of exercises."""

import time
from dataclasses import dataclass

from session import Lost

SOLVED, NOT_SOLVED, NOT_ANSWERED = "solved", "not solved", "not answered"
TIMED_OUT, FAILED, MISSING, NOT_MARKED = "timed out", "failed", "missing", "not marked"
# A cell of the lesson itself, in seconds: a training is among them.
OURS = 900


class LessonFails(Exception):
    """A lesson that does not run on this machine, whoever has answered."""


@dataclass(frozen=True)
class Verdict:
    """What came of an answer, and in one line, why."""

    verdict: str
    said: str = ""


def failed(why):
    return Verdict(FAILED, first_line(why))


def lost(error):
    return Verdict(TIMED_OUT, str(error)) if error.timed_out else failed(str(error))


def judged(said):
    """What the first line of a check means."""
    line = first_line(said.output)
    for begin, verdict in (("Right", SOLVED), ("Not answered", NOT_ANSWERED), ("Not", NOT_SOLVED)):
        if line.startswith(begin):
            return Verdict(verdict, line)
    return failed(line or "the check said nothing")


def first_line(text):
    return next(iter(text.strip().splitlines()), "")


class Marking:
    """The verdicts on the answers of one student to one lesson."""

    def __init__(self, lesson, answers, seconds):
        self.lesson = lesson
        self.seconds = seconds
        self.verdicts = {}
        # Whose own cell runs no more: the lesson's takes its place.
        self.dropped = set()
        self.answers = {}
        for answer in answers:
            if answer.missing:
                self.verdicts[answer.exercise] = Verdict(MISSING)
            elif not answer.parts:
                self.verdicts[answer.exercise] = Verdict(NOT_ANSWERED)
            else:
                self.answers[answer.exercise] = answer

    def mark(self, new_session):
        """A session, and after each that was lost, another, without the cell that has lost it."""
        while self.open():
            with new_session() as session:
                Walk(self, session).go()
        return self.verdicts

    def open(self):
        return [name for name in self.answers if name not in self.verdicts]

    def drop(self, exercise, verdict):
        """A second verdict does not count: there, a cell failed that has run before."""
        self.verdicts.setdefault(exercise, verdict)
        self.dropped.add(exercise)


class Walk:
    """One session through the lesson, as far as something is to be marked."""

    def __init__(self, marking, session):
        self.marking = marking
        self.session = session
        # Exercises for which the student's cells have run here, and extra cells that have.
        self.own = []
        self.extras = set()

    def go(self):
        checks = {exercise.id: check for exercise, check in self.marking.lesson.exercises}
        names = {check.id for check in checks.values()}
        for cell in self.marking.lesson.cells:
            if not self.marking.open():
                return
            if cell.id in names:
                # It runs with its exercise.
                continue
            check = checks.get(cell.id)
            own = cell.id in self.marking.answers and cell.id not in self.marking.dropped
            try:
                if own and self.answer(self.marking.answers[cell.id], check):
                    continue
            except Lost as error:
                self.marking.drop(cell.id, lost(error))
                return
            if not (self.ours(cell) and (check is None or self.ours(check))):
                return

    def answer(self, answer, check):
        """Runs what the student has, and our check; false where the lesson's are to follow."""
        self.own.append(answer.exercise)
        end = time.monotonic() + self.marking.seconds
        error = self.parts(answer.parts, end)
        if error and answer.extras.keys() - self.extras:
            # It may lean on cells that the student has added.
            before = ""
            for place, source in answer.extras.items():
                if place not in self.extras:
                    self.extras.add(place)
                    before = self.run(source, end).error or before
            error = self.parts(answer.parts, end)
            if error and before:
                error = f"{error}; in a cell before it: {before}"
        if error:
            self.marking.drop(answer.exercise, failed(error))
            return False
        said = self.run(check.source, end)
        if said.error:
            self.marking.drop(answer.exercise, failed(f"the check does not run: {said.error}"))
            return False
        self.marking.verdicts.setdefault(answer.exercise, judged(said))
        return True

    def parts(self, parts, end):
        """What was wrong with one of these cells."""
        errors = (self.run(part, end).error for part in parts)
        return next(filter(None, errors), "")

    def run(self, source, end):
        left = end - time.monotonic()
        try:
            return self.session.run(source, max(left, 0))
        except Lost as error:
            if error.timed_out:
                error = Lost(f"no end within {self.marking.seconds:g} s", timed_out=True)
            raise error from None

    def ours(self, cell):
        """Runs a cell of the lesson; false where the student's cells have made that impossible."""
        try:
            error = self.session.run(cell.source, OURS).error
        except Lost as lost_session:
            error = str(lost_session)
        if not error:
            return True
        if not self.own:
            raise LessonFails(f"cell '{cell.id}' of the lesson fails without any answer: {error}")
        # Their verdicts stand; the next session does without them.
        self.marking.dropped.update(self.own)
        return False
