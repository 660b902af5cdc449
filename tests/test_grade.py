"""`cargo xtask grade`: a class of made-up students, some of whom mean no good."""

import copy
import csv
import importlib
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

GRADE = ROOT / "xtask/grade"
LESSON = "01-bottleneck-arithmetic"
COMMITTED = ROOT / f"notebooks/{LESSON}.ipynb"
NAMES = ["ex1", "ex2", "ex3", "ex4", "ex5"]


@pytest.fixture(scope="module")
def modules():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(GRADE))
        names = ("notebooks", "session", "marking", "report")
        yield {name: importlib.import_module(name) for name in names}
        for name in names:
            del sys.modules[name]


@pytest.fixture(scope="module")
def contained(modules):
    return modules["session"].why_not_contained() is None


def lesson():
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])


def cell_of(notebook, name):
    (cell,) = (cell for cell in notebook["cells"] if cell["id"] == name)
    return cell


def solutions():
    cells = lesson()["cells"]
    found = {}
    for place, cell in enumerate(cells):
        if cell["id"] in NAMES:
            (found[cell["id"]],) = re.findall(
                r"```rust\n(.*?)\n```", source(cells[place + 2]), re.DOTALL
            )
    return found


def code(text, name):
    return {
        "cell_type": "code",
        "id": name,
        "metadata": {},
        "source": text,
        "outputs": [],
        "execution_count": None,
    }


def answered(**answers):
    notebook = lesson()
    for name, answer in answers.items():
        cell_of(notebook, name)["source"] = answer
    return notebook


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def grade(*arguments, timeout=600):
    command = [sys.executable, GRADE, *arguments]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


HARMFUL = """
let _ = std::fs::remove_dir_all(".");
let _ = std::fs::remove_file({committed:?});
let _ = std::fs::write({other:?}, "");
assert!(std::fs::read_to_string({other:?}).unwrap_or_default().is_empty());
{solution}
"""
NETWORK = 'std::net::TcpStream::connect("127.0.0.1:{port}")?;\n'
MUCH = "let much = vec![1u8; 10_000_000_000];\nlet answer_4: Option<i64> = Some(much[5] as i64);"


def rust(path):
    return json.dumps(str(path))


@pytest.fixture(scope="module")
def marked(tmp_path_factory, prepared, own_state, contained):
    """Marks the class: the program's end, and the rows by student and exercise."""
    folder = tmp_path_factory.mktemp("class")
    right = solutions()
    submitted = folder / "submitted"
    write(submitted / "ada/lesson-1/any-name.ipynb", answered(**right))
    write(submitted / "ben/lesson-1/any-name.ipynb", lesson())
    bad = answered(
        ex1=lesson_wrong("ex1"),
        ex2="loop {}",
        ex3="std::process::exit(0);",
        ex4=MUCH,
        ex5=right["ex5"],
    )
    write(submitted / "eve/lesson-1/any-name.ipynb", bad)
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = submitted / "ada/lesson-1/any-name.ipynb"
        harm = HARMFUL.replace("{committed:?}", rust(COMMITTED)).replace("{other:?}", rust(other))
        added, answer = right["ex5"].split("\n", 1)
        odd = answered(
            ex1=(harm if contained else "{solution}").replace("{solution}", right["ex1"]),
            ex2=NETWORK.replace("{port}", str(server.getsockname()[1])) + right["ex2"],
            ex3=lesson_wrong("ex3"),
            ex4='loop { println!("{}", "x".repeat(100_000)); }',
            ex5=answer,
        )
        cell_of(odd, "ex3-check")["source"] = 'println!("Right: it is.");'
        place = odd["cells"].index(cell_of(odd, "ex5"))
        odd["cells"].insert(place, code(added, "my-own"))
        write(submitted / "mal/lesson-1/any-name.ipynb", odd)
        (submitted / "zoe/lesson-1").mkdir(parents=True)
        (submitted / "zoe/lesson-1/cut-off.ipynb").write_text('{"cells": [')
        before = {path: path.read_bytes() for path in folder.rglob("*.ipynb")}
        lessons = {path: path.read_bytes() for path in COMMITTED.parent.glob("*") if path.is_file()}
        options = ["--memory", "2", "--seconds", "20", "--jobs", "2"]
        options += [] if contained else ["--unsafe"]
        done = grade(folder, "--csv", folder / "marks.csv", *options)
    assert done.returncode == 0, done.stderr
    # Nothing was harmed, and nothing is left lying about.
    assert {path: path.read_bytes() for path in folder.rglob("*.ipynb")} == before
    assert {path: path.read_bytes() for path in lessons} == lessons
    assert not list(folder.glob("*.part"))
    with open(folder / "marks.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return done, {(row["student"], row["exercise"]): row for row in rows}


def lesson_wrong(name):
    return cell_of(lesson(), f"{name}-check")["metadata"]["wrong"][0]


def verdicts(marked, student):
    return [marked[1][student, name]["verdict"] for name in NAMES]


def said(marked, student, name):
    return marked[1][student, name]["said"]


@pytest.mark.timeout(600)
def test_who_has_solved_all_is_told_so(marked):
    assert verdicts(marked, "ada") == ["solved"] * 5
    assert said(marked, "ada", "ex1").startswith("Right: ")
    row = marked[1]["ada", "ex1"]
    assert row["lesson"] == LESSON and row["note"] == ""


def test_an_untouched_notebook_is_not_answered(marked):
    assert verdicts(marked, "ben") == ["not answered"] * 5


def test_a_bad_cell_costs_its_own_mark_only(marked):
    assert verdicts(marked, "eve") == ["not solved", "timed out", "failed", "failed", "solved"]
    assert said(marked, "eve", "ex1").startswith("Not yet")
    assert said(marked, "eve", "ex2") == "no end within 20 s"
    assert "exit status 0" in said(marked, "eve", "ex3")
    assert said(marked, "eve", "ex4") == "too much memory: more than 2 GB"


def test_removed_files_are_copies(marked, contained):
    if not contained:
        pytest.skip("this machine does not let cells be contained")
    assert marked[1]["mal", "ex1"]["verdict"] == "solved", said(marked, "mal", "ex1")


def test_no_cell_reaches_the_network(marked, contained):
    if not contained:
        pytest.skip("this machine does not let cells be contained")
    assert marked[1]["mal", "ex2"]["verdict"] == "failed"
    assert "Connection refused" in said(marked, "mal", "ex2")


def test_an_altered_check_is_told_and_ours_counts(marked):
    row = marked[1]["mal", "ex3"]
    assert (row["verdict"], row["note"]) == ("not solved", "check altered")
    assert "mal, ex3: check altered; ours was run" in marked[0].stdout


def test_endless_output_is_cut_off(marked):
    assert marked[1]["mal", "ex4"]["verdict"] == "failed"
    assert "characters of output" in said(marked, "mal", "ex4")


def test_cells_that_a_student_has_added_run_where_an_answer_needs_them(marked):
    assert marked[1]["mal", "ex5"]["verdict"] == "solved", said(marked, "mal", "ex5")


def test_a_file_that_is_no_notebook_is_a_row_and_the_others_are_marked(marked):
    row = marked[1]["zoe", ""]
    assert (row["verdict"], row["said"]) == ("not marked", "no notebook: the file is not JSON")
    assert "zoe" in marked[0].stdout and "[5/5]" in marked[0].stdout


def test_bad_input_names_itself(tmp_path):
    for path, words in [(tmp_path / "none", "is not there"), (tmp_path, "there is no notebook")]:
        done = grade(path)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: {path}") and words in done.stderr
    write(tmp_path / "a.ipynb", lesson())
    done = grade(tmp_path, "--csv", tmp_path / "no/marks.csv")
    assert done.returncode == 1 and "is no folder" in done.stderr


def test_without_containment_nothing_runs_unless_it_is_asked_for(tmp_path):
    program = f"""
import runpy, sys
sys.path.insert(0, {str(GRADE)!r})
import session
session.why_not_contained = lambda: "unshare: Operation not permitted"
sys.argv[1:] = [{str(tmp_path / "a.ipynb")!r}, *sys.argv[1:]]
runpy.run_path({str(GRADE / "__main__.py")!r}, run_name="__main__")
"""
    write(tmp_path / "a.ipynb", lesson())
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "--unsafe" in done.stderr and "network" in done.stderr
    done = subprocess.run([*command, "--unsafe"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("warning: cells can reach the network and your files")


def test_a_lesson_is_known_by_its_cells(modules, tmp_path):
    notebooks = modules["notebooks"]
    known = notebooks.lessons(ROOT / "notebooks")
    for path in sorted([*ROOT.glob("notebooks/0*.ipynb"), *ROOT.glob("notebooks/ko/0*.ipynb")]):
        assert notebooks.lesson_of(notebooks.read(path), known).name == path.stem
    assert notebooks.lesson_of(notebooks.read(ROOT / "notebooks/hello.ipynb"), known) is None
    # A program that knows no ids has given others, and an exercise and a check are gone.
    odd = answered(ex1="let answer_1 = Some(1);")
    gone = ("ex2", "ex3-check")
    odd["cells"] = [cell for cell in odd["cells"] if cell["id"] not in gone]
    for place, cell in enumerate(odd["cells"]):
        cell["id"] = f"new-{place}"
    write(tmp_path / "a.ipynb", odd)
    (one,) = notebooks.hand_in([tmp_path], known)
    assert (one.student, one.lesson.name) == ("a", LESSON)
    answers = {answer.exercise: answer for answer in one.answers}
    assert answers["ex1"].parts == ["let answer_1 = Some(1);"]
    assert answers["ex2"].missing and not answers["ex2"].note
    assert answers["ex3"].note == "check missing" and not answers["ex3"].missing


def test_students_are_known_by_their_folders(modules, tmp_path):
    known = modules["notebooks"].lessons(ROOT / "notebooks")
    paths = ["submitted/ada/l1/x.ipynb", "bob/x.ipynb", "flat/cy.ipynb", "flat/di.ipynb"]
    for path in [*paths, "bob/.ipynb_checkpoints/x.ipynb"]:
        write(tmp_path / path, lesson())
    found = modules["notebooks"].hand_in([tmp_path], known)
    assert sorted(one.student for one in found) == ["ada", "bob", "cy", "di"]
    (one,) = modules["notebooks"].hand_in([tmp_path / "submitted"], known)
    assert one.student == "ada"


class Scripted:
    """A session that does what its cells say."""

    def __init__(self, ran, lost):
        self.ran = ran
        self.lost = lost

    def __enter__(self):
        self.ran.append([])
        return self

    def __exit__(self, *_):
        pass

    def run(self, text, seconds):
        self.ran[-1].append(text)
        if text.startswith("lost"):
            raise self.lost("gone")
        session = sys.modules["session"]
        return session.Said("Right: yes", "bad cell" if text.startswith("bad") else "")


def marking_of(modules, cells, **answers):
    notebooks, marking = modules["notebooks"], modules["marking"]
    a_lesson = notebooks.Lesson("x", [notebooks.Cell(*cell) for cell in cells])
    answers = [notebooks.Answer(name, parts) for name, parts in answers.items()]
    ran = []
    session = modules["session"]
    came = marking.Marking(a_lesson, answers, 5).mark(lambda: Scripted(ran, session.Lost))
    return {name: verdict.verdict for name, verdict in came.items()}, ran


def test_a_new_session_comes_to_the_same_point_without_the_bad_cell(modules):
    cells = [("a", "a")]
    for n in "12":
        cells += [(f"e{n}", f"open {n}", ("exercise",)), (f"c{n}", f"check {n}", ("check",))]
    cells.append(("z", "z"))
    came, ran = marking_of(modules, cells, e1=["lost"], e2=["mine"])
    assert came == {"e1": "failed", "e2": "solved"}
    assert ran == [["a", "lost"], ["a", "open 1", "check 1", "mine", "check 2"]]
    came, ran = marking_of(modules, cells, e1=["bad"], e2=["mine"])
    assert came == {"e1": "failed", "e2": "solved"}
    assert ran == [["a", "bad", "open 1", "check 1", "mine", "check 2"]]


def test_a_lesson_that_fails_by_itself_is_no_fault_of_a_student(modules):
    cells = [("a", "bad"), ("e", "open", ("exercise",)), ("c", "check", ("check",))]
    with pytest.raises(modules["marking"].LessonFails, match="cell 'a'"):
        marking_of(modules, cells, e=["mine"])


def test_a_table_and_a_file_show_nothing_that_acts(modules, tmp_path):
    report = modules["report"]
    row = report.Row("=1+1\x1b[2J", "a.ipynb", "x", "ex1", "solved", "-2\nx")
    report.write_csv(tmp_path / "m.csv", [row])
    text = Path(tmp_path / "m.csv").read_text()
    assert text.splitlines()[1] == "'=1+1 [2J,a.ipynb,x,ex1,solved,'-2 x,"
    assert "\x1b" not in report.table([copy.copy(row)])
