"""The stop button."""

import time

import psutil
import pytest
from running import running

SLEEP = "std::thread::sleep(std::time::Duration::from_millis({}));"
TRAIN = """
let data = Shapes10::generate(2000, 100, 0)?;
let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu)?;
let mut run = Trainer::new(net, &data, Recipe::fast().with_epochs(50).with_batch(20))?;
"""


@pytest.fixture(scope="module")
def kernel(own_state):
    with running() as kernel:
        yield kernel


def interrupted_after(kernel, code, delay, timeout=60):
    """Interrupts a cell so long after it began to run; gives the cell and how long it took."""
    cell = kernel.send('println!("running");\n' + code)
    pressed = None

    def press(message):
        nonlocal pressed
        if pressed is None and "running" in str(message["content"].get("text")):
            time.sleep(delay)
            pressed = kernel.interrupt()

    cell = kernel.answer(cell, timeout, press)
    return cell, time.monotonic() - pressed


def test_code_that_does_not_listen_is_killed_and_the_next_cell_works(kernel):
    kernel.run("let lost = 1;")
    cell, took = interrupted_after(kernel, "loop { std::hint::black_box(0); }", 0.3)
    assert cell.error["ename"] == "interrupted"
    assert "all variables are gone" in "".join(cell.error["traceback"])
    assert took < 2
    assert kernel.run("1 + 1").result == "2"
    assert kernel.run("lost").status == "error"


def test_code_that_listens_stops_and_keeps_its_variables(kernel):
    assert kernel.run("use googlenet_lib::prelude::*;", timeout=120).status == "ok"
    kernel.run("let mut count = 0;")
    cell, took = interrupted_after(
        kernel, "while !interrupted() { count += 1; " + SLEEP.format(10) + " }", 0.5
    )
    assert cell.status == "error" and cell.error["ename"] == "interrupted"
    assert "all variables are kept" in "".join(cell.error["traceback"])
    assert took < 1
    assert int(kernel.run("count").result) > 10


def test_a_second_interrupt_kills_code_that_never_returns(kernel):
    cell = kernel.send(
        'use googlenet_lib::prelude::*; interrupted(); println!("running"); ' + SLEEP.format(60_000)
    )
    presses = []

    def press(message):
        if not presses and "running" in str(message["content"].get("text")):
            presses.append(kernel.interrupt())
            time.sleep(0.5)
            presses.append(kernel.interrupt())

    cell = kernel.answer(cell, 60, press)
    assert time.monotonic() - presses[1] < 2
    assert "all variables are gone" in "".join(cell.error["traceback"])
    assert kernel.run("3").result == "3"


@pytest.mark.timeout(300)
def test_training_stops_within_a_step_and_goes_on(kernel):
    kernel.run("use googlenet_lib::prelude::*;", timeout=120)
    assert kernel.run(TRAIN, timeout=120).status == "ok"
    step = kernel.run(
        "let began = std::time::Instant::now(); run.fit(Epochs(1))?; began.elapsed().as_secs_f64()",
        timeout=120,
    )
    step = float(step.result) / 100
    cell, took = interrupted_after(kernel, "let fit = run.fit(Epochs(49))?;", 1.0, 120)
    assert cell.error["ename"] == "interrupted", cell.error
    # Storing the variables and saying so comes on top.
    assert took < step + 0.2 + 0.3
    assert cell.of("display_data", "update_display_data"), "no picture while it trained"
    assert kernel.run("fit.stopped").result == "true"
    before = int(kernel.run("run.history().steps.len()").result)
    assert before > 100
    assert kernel.run("run.fit(Epochs(1))?", timeout=120).status == "ok"
    assert int(kernel.run("run.history().steps.len()").result) > before


def test_an_interrupt_while_compiling_stops_the_compiler_and_keeps_everything(kernel):
    kernel.run("let precious = 7;")
    # A chain of types that takes the compiler very long.
    code = "fn slow() -> usize { let x = " + "vec![" * 6 + "0" + "]" * 6 + "; x.len() }\n"
    code += "\n".join(
        f"#[derive(Clone, Debug, PartialEq, PartialOrd, Hash, Eq, Ord)] struct S{i} "
        "{ a: Vec<String>, b: std::collections::BTreeMap<String, Vec<Option<String>>> }\n"
        f'fn f{i}(x: &S{i}) -> String {{ format!("{{:?}}{{:?}}", x, x.clone()) }}'
        for i in range(600)
    )
    code += "\nlet all: Vec<usize> = vec![" + ", ".join(f"f{i} as usize" for i in range(600)) + "];"
    cell = kernel.send(code)
    compilers = []
    while not compilers:
        compilers = [p for p in kernel.process.children(recursive=True) if p.name() == "rustc"]
        time.sleep(0.02)
    time.sleep(0.3)
    pressed = kernel.interrupt()
    cell = kernel.answer(cell, 60)
    assert time.monotonic() - pressed < 2
    assert cell.error["ename"] == "interrupted", cell.error
    assert "everything is kept" in "".join(cell.error["traceback"])
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in compilers)
    assert kernel.run("precious").result == "7"


def test_an_interrupt_of_nothing_does_nothing(kernel):
    kernel.run("let here = 9;")
    kernel.interrupt()
    time.sleep(0.3)
    assert kernel.run("here").result == "9"


@pytest.mark.parametrize("attempt", range(5))
def test_an_interrupt_ends_the_wait_for_input_and_not_the_next_cell(kernel, attempt):
    cell = kernel.send(
        'println!("EVCXR_INPUT_REQUEST:name"); let mut line = String::new(); '
        "std::io::stdin().read_line(&mut line)?;",
        allow_stdin=True,
    )
    kernel.client.get_stdin_msg(timeout=30)
    pressed = kernel.interrupt()
    assert kernel.answer(cell).error["ename"] == "interrupted"
    assert time.monotonic() - pressed < 2
    # At once: what the interrupt stops must not be the compiler of this one.
    assert kernel.run(f"{attempt} + 4").result == str(attempt + 4)
