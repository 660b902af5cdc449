"""`cargo xtask bench seeds`: what lessons compare, with several seeds.

Networks, data and recipe are those of the lesson: its own cells run in a session of the lab's
kernel, then a cell of this program once for each seed. Writes notebooks/seeds/NN.json, which the
lesson loads. Other work on the machine changes how long it takes, not what comes of it.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import nbformat
from machine import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from running import running  # noqa: E402

NOTEBOOKS = ROOT / "notebooks"
SEEDS = 5
PATIENCE = 3600
# What a line begins with that is meant for this program.
SAID = "seeds: "
# One thread, which does not wait for others of its own while other work goes on, and adds in one
# order whatever the machine.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
WHERE = f'println!("{SAID}{{}}\\t{{}}", describe(device), data.name);'


@dataclass(frozen=True)
class Lesson:
    """A lesson, the cells of it that are run, and what is run with each seed."""

    notebook: str
    # All code cells up to this one, and some that come later.
    until: str
    later: tuple
    # Rust, where SEED stands for the seed. It calls `said(kind, what, number)` for each number.
    code: str


LESSONS = {
    3: Lesson(
        notebook="03-gap-and-fc",
        until="race-ready",
        later=("shift",),
        code="""
for (kind, network) in [("mean", &with_mean), ("fully connected", &with_fc)] {
    let mut run = begin(network, &data, &recipe, SEED)?;
    run.fit(Epochs(epochs))?;
    let (right, training) = (run.history().test_accuracy(), run.history().train_accuracy());
    said(kind, "test images right, %", right[right.len() - 1].1);
    said(kind, "training images right, %", training[training.len() - 1].1);
    said(kind, "points lost by the largest shift", lost(&shifted(&run, &data)?));
}
""",
    ),
    4: Lesson(
        notebook="04-auxiliary-classifiers",
        until="with-auxiliary",
        later=(),
        code="""
let three = [
    ("plain", &plain),
    ("auxiliary classifiers", &helped),
    ("batch normalisation", &normalised),
];
for (kind, network) in three {
    let mut run = fresh(network, SEED, &data)?;
    run.fit(Epochs(epochs))?;
    let test = run.evaluate()?;
    let norms = run.classifier().gradient_norms(&sixty_four)?;
    said(kind, "test images right after the first epoch, %", run.history().test_accuracy()[0].1);
    said(kind, "test images right, %", 100.0 * test.accuracy);
    said(kind, "test loss", test.loss);
    said(kind, "gradient in conv_1", norms.layer("conv_1")?.head);
}
""",
    ),
}
SAY = f"""
fn said(kind: &str, what: &str, number: f64) {{
    println!("{SAID}{{kind}}\\t{{what}}\\t{{number}}");
}}
"""


def cells(lesson):
    """The lesson's own code, cell by cell."""
    notebook = nbformat.read(NOTEBOOKS / f"{lesson.notebook}.ipynb", as_version=4)
    code = {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}
    ids = list(code)
    return [code[name] for name in (*ids[: ids.index(lesson.until) + 1], *lesson.later)]


def run(kernel, code):
    """What a cell says to this program: for each line the words between tabs."""
    done = kernel.run(code, timeout=PATIENCE)
    assert done.status == "ok", f"{code}\n{done.reply}"
    lines = (line for line in done.text().splitlines() if line.startswith(SAID))
    return [line.removeprefix(SAID).split("\t") for line in lines]


def measured(lesson, seeds):
    """The content of the file."""
    kinds = {}
    with running("googlenet", ENVIRONMENT, cwd=NOTEBOOKS) as kernel:
        for code in cells(lesson):
            run(kernel, code)
        [(device, dataset)] = run(kernel, WHERE)
        run(kernel, SAY)
        for seed in range(seeds):
            for kind, what, number in run(kernel, lesson.code.replace("SEED", str(seed))):
                kinds.setdefault(kind, {}).setdefault(what, []).append(round(float(number), 3))
                print(f"seed {seed}  {kind}  {what}  {float(number):.2f}", flush=True)
    return {
        "lesson": lesson.notebook,
        "date": str(date.today()),
        "machine": machine(),
        "device": device,
        "dataset": dataset,
        "seeds": list(range(seeds)),
        "kinds": [{"name": kind, "numbers": numbers} for kind, numbers in kinds.items()],
    }


def write(path, content):
    """A file of this name is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def main(given=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--lesson", type=int, nargs="+", choices=list(LESSONS), default=list(LESSONS)
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--data", type=Path, help="CIFAR-10's binary files")
    parser.add_argument("--out", type=Path, default=NOTEBOOKS / "seeds")
    arguments = parser.parse_args(given)
    if arguments.data:
        os.environ["CIFAR10_DIR"] = str(arguments.data.resolve())
    for number in arguments.lesson:
        write(arguments.out / f"{number:02}.json", measured(LESSONS[number], arguments.seeds))


if __name__ == "__main__":
    main()
