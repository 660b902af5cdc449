"""The stop button."""

import time

import psutil
import pytest
from running import running

pytestmark = pytest.mark.alone
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


def interrupted_after(kernel, code, delay, timeout=60, marked=False, **options):
    """Interrupts a cell so long after it began to run; gives the cell and how long it took."""
    cell = kernel.send(code if marked else 'println!("running");\n' + code, **options)
    pressed = None

    def press(message):
        nonlocal pressed
        if pressed is None and "running" in str(message["content"].get("text")):
            time.sleep(delay)
            pressed = kernel.interrupt()

    cell = kernel.answer(cell, timeout, press)
    return cell, time.monotonic() - pressed


# What a cell may be doing, and what it shows before: each ends by the first press.
ENDLESS = {
    "loop": "loop {}",
    "loop with work": "loop { std::hint::black_box(0); }",
    "for": "let mut x = 1u64; for i in 0..u64::MAX { x = x.wrapping_mul(i | 1); }; x",
    "while in a function": "fn turn() { let mut n = 0u64; while std::hint::black_box(true) { n += 1; } }\nturn();",
    "sleep": SLEEP.format(60_000),
    "many sleeps": "loop { " + SLEEP.format(1) + " }",
    "read_line": "std::io::stdin().read_line(&mut String::new())?;",
    "output": 'let mut i = 0u64; loop { println!("{i}"); i += 1; }',
    "output on standard error": 'loop { eprintln!("again"); }',
    "a thread that sleeps": "std::thread::spawn(|| "
    + SLEEP.format(60_000)[:-1]
    + ").join().unwrap();",
    "a thread that works": "std::thread::spawn(|| loop { std::hint::black_box(0); }).join().ok();",
    "a program": 'std::process::Command::new("sleep").arg("60").status()?;',
    "a future": "std::future::pending::<()>().await;",
}


@pytest.fixture(scope="module")
def small(plain):
    with running(plain) as kernel:
        assert kernel.run("let kept = vec![1, 2, 3];").status == "ok"
        yield kernel


@pytest.mark.parametrize("name", ENDLESS)
def test_the_first_press_ends_a_cell_and_keeps_variables(small, name):
    cell, took = interrupted_after(small, ENDLESS[name], 0.3, allow_stdin=True)
    assert cell.error["ename"] == "interrupted", cell.error
    assert "are kept" in "".join(cell.error["traceback"])
    assert took < 2
    assert small.run("kept.len()").result == "3"


def test_a_shell_command_ends_as_well(small):
    cell, took = interrupted_after(small, "!echo running; sleep 60", 0.3, marked=True)
    assert cell.error["ename"] == "interrupted" and took < 2
    assert "compiled" not in "".join(cell.error["traceback"])
    assert small.run("kept.len()").result == "3"


def test_endless_output_is_not_gathered(small):
    before = small.process.memory_info().rss
    cell, took = interrupted_after(small, ENDLESS["output"], 1.0)
    assert cell.error["ename"] == "interrupted" and took < 5
    assert small.process.memory_info().rss - before < 200e6


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


def test_a_second_interrupt_kills_what_does_not_end_and_the_reader_is_told_before(small):
    small.run("fn stays() -> i32 { 3 }\nlet lost = 1;")
    cell = small.send(
        "let (sender, receiver) = std::sync::mpsc::channel::<i32>();\n"
        'println!("running"); receiver.recv()?;'
    )
    presses, hints = [], []

    def press(message):
        text = str(message["content"].get("text"))
        if "running" in text:
            presses.append(small.interrupt())
        if "interrupt it again" in text:
            assert message["content"]["name"] == "stderr"
            hints.append(time.monotonic())
            presses.append(small.interrupt())

    cell = small.answer(cell, 60, press)
    assert 1.5 < hints[0] - presses[0] < 4
    assert time.monotonic() - presses[1] < 2
    assert cell.error["ename"] == "interrupted"
    assert "all variables are gone" in "".join(cell.error["traceback"])
    assert small.run("stays()").result == "3"
    assert small.run("lost").status == "error"
    assert small.run("let kept = vec![1, 2, 3];").status == "ok"


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


def test_an_interrupt_while_compiling_stops_the_compiler_and_keeps_everything(small):
    small.run("let precious = 7;")
    # A chain of types that takes the compiler very long.
    code = "fn slow() -> usize { let x = " + "vec![" * 6 + "0" + "]" * 6 + "; x.len() }\n"
    code += "\n".join(
        f"#[derive(Clone, Debug, PartialEq, PartialOrd, Hash, Eq, Ord)] struct S{i} "
        "{ a: Vec<String>, b: std::collections::BTreeMap<String, Vec<Option<String>>> }\n"
        f'fn f{i}(x: &S{i}) -> String {{ format!("{{:?}}{{:?}}", x, x.clone()) }}'
        for i in range(600)
    )
    code += "\nlet all: Vec<usize> = vec![" + ", ".join(f"f{i} as usize" for i in range(600)) + "];"
    cell = small.send(code)
    compilers = []
    while not compilers:
        compilers = [p for p in small.process.children(recursive=True) if p.name() == "rustc"]
        time.sleep(0.02)
    time.sleep(0.3)
    pressed = small.interrupt()
    cell = small.answer(cell, 60)
    assert time.monotonic() - pressed < 2
    assert cell.error["ename"] == "interrupted", cell.error
    assert "everything is kept" in "".join(cell.error["traceback"])
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in compilers)
    assert small.run("precious").result == "7"


def test_an_interrupt_of_nothing_does_nothing(small):
    small.run("let here = 9;")
    small.interrupt()
    time.sleep(0.3)
    assert small.run("here").result == "9"


@pytest.mark.parametrize("attempt", range(5))
def test_an_interrupt_ends_the_wait_for_input_and_not_the_next_cell(small, attempt):
    cell = small.send(
        'println!("EVCXR_INPUT_REQUEST:name"); let mut line = String::new(); '
        "std::io::stdin().read_line(&mut line)?;",
        allow_stdin=True,
    )
    small.client.get_stdin_msg(timeout=30)
    pressed = small.interrupt()
    assert small.answer(cell).error["ename"] == "interrupted"
    assert time.monotonic() - pressed < 2
    # At once: what the interrupt stops must not be the compiler of this one.
    assert small.run(f"{attempt} + 4").result == str(attempt + 4)
