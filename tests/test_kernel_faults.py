"""What a reader is told when a cell fails, and what is left afterwards."""

import re

import pytest
from running import running, without_colours


@pytest.fixture(scope="module")
def kernel(plain):
    with running(plain, env={"RUST_BACKTRACE": ""}) as kernel:
        yield kernel


def told(cell):
    assert cell.status == "error"
    assert cell.reply["ename"] == cell.error["ename"]
    assert cell.reply["evalue"] == cell.error["evalue"]
    return without_colours(cell.error["traceback"])


def test_a_panic_is_an_error_with_its_line_and_variables_stay(kernel):
    kernel.run("let kept = vec![1, 2, 3];")
    cell = kernel.run('let a = 1;\nlet b = a + 1;\nif b == 2 {\n    panic!("b is {b}");\n}')
    text = told(cell)
    assert cell.error["ename"] == "panic"
    assert cell.error["evalue"] == "b is 2"
    assert f"--> cell {cell.reply['execution_count']}:4:5" in text
    assert 'panic!("b is {b}");' in text
    assert cell.text("stderr") == ""
    assert kernel.run("kept.len()").result == "3"


def test_a_panic_of_an_earlier_cells_function_names_that_cell(kernel):
    defined = kernel.run('fn half(x: i32) -> i32 {\n    assert!(x % 2 == 0, "odd");\n    x / 2\n}')
    text = told(kernel.run("half(3)"))
    assert f"--> cell {defined.reply['execution_count']}:2:5" in text


def test_a_panic_that_the_cell_catches_is_no_error(kernel):
    cell = kernel.run('let caught = std::panic::catch_unwind(|| panic!("mine")).is_err(); caught')
    assert cell.status == "ok"
    assert "mine" in cell.text("stderr")


def test_a_panic_on_another_thread_is_told(kernel):
    cell = kernel.run('let _ = std::thread::spawn(|| { panic!("elsewhere") }).join();')
    assert cell.status == "ok"
    number = cell.reply["execution_count"]
    assert cell.text("stderr") == f"thread '<unnamed>' panicked at cell {number}:1:33:\nelsewhere\n"


def test_a_panic_outside_of_cells_names_the_line_that_led_to_it(kernel):
    cell = kernel.run('let count = usize::MAX;\nlet text = "ab".repeat(count);\ntext.len()')
    text = told(cell)
    assert cell.error["evalue"] == "capacity overflow"
    assert f"called at cell {cell.reply['execution_count']}:2:17" in text
    assert 'let text = "ab".repeat(count);' in text
    # Many that are caught cost little.
    cell = kernel.run(
        'for _ in 0..2000 { let _ = std::panic::catch_unwind(|| "ab".repeat(usize::MAX)); }'
    )
    assert cell.status == "ok"


def test_no_backtrace_unless_it_is_asked_for(kernel, plain):
    code = 'fn inner() -> i32 { panic!("x") }\ninner() + 1'
    assert not re.search(r"\b0: ", told(kernel.run(code)))
    with running(plain, env={"RUST_BACKTRACE": "1"}) as asked:
        text = told(asked.run(code))
        assert re.search(r"0: \S*inner\n", text), text
        assert "rust_live" not in text


def test_an_error_of_the_question_mark_is_an_error_and_variables_stay(kernel):
    kernel.run("let still = 5;")
    cell = kernel.run('println!("before"); std::fs::read_to_string("/no/such/file")?;')
    text = told(cell)
    assert "No such file" in text
    assert cell.text() == "before\n"
    assert cell.text("stderr") == ""
    assert kernel.run("still").result == "5"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("std::process::abort()", "aborted"),
        (
            "fn deep(n: u64) -> u64 { if n == 0 { 0 } else { 1 + deep(std::hint::black_box(n + 1)) } }\n"
            "deep(1)",
            "Stack overflow",
        ),
        ("unsafe { *std::hint::black_box(16 as *mut i32) = 1 }", "Segmentation fault"),
        ("std::process::exit(3)", "exit status 3"),
        ("std::process::exit(0)", "exit status 0"),
        (
            "let v: Vec<u8> = Vec::with_capacity(std::hint::black_box(1 << 46)); v.len()",
            "Out of memory",
        ),
    ],
    ids=["abort", "stack", "segfault", "exit3", "exit0", "memory"],
)
def test_the_end_of_the_process_is_told_and_the_next_cell_works(kernel, code, cause):
    kernel.run("let lost = 1;")
    text = told(kernel.run(code))
    assert cause in text
    assert "all variables are gone" in text
    assert kernel.run("1 + 1").result == "2"
    assert kernel.run("lost").status == "error"


def test_a_compile_error_points_into_the_cell(kernel):
    cell = kernel.run('let good = 1;\nlet bad: i32 = "text";')
    text = told(cell)
    assert "E0308" in text and "mismatched types" in text
    assert f"cell {cell.reply['execution_count']}:2:16" in text
    assert 'let bad: i32 = "text";' in text
    assert "rust_live" not in text


def test_the_compilers_help_is_passed_on_in_colour(kernel):
    cell = kernel.run("let mut count = 0; coutn += 1;")
    text = told(cell)
    assert "cannot find value `coutn`" in text
    assert "count" in text.split("cannot find")[1]
    assert "\x1b[" in "".join(cell.error["traceback"])


def test_one_error_for_each_cause(kernel):
    cell = kernel.run('let x: i32 = "a";\nlet y: bool = 1;')
    errors = cell.of("error")
    assert len(errors) == 2
    places = [without_colours(error["traceback"]) for error in errors]
    number = cell.reply["execution_count"]
    assert f"cell {number}:1:" in places[0] and f"cell {number}:2:" in places[1]


def test_letters_beyond_ascii_do_not_move_the_place(kernel):
    cell = kernel.run('let größe = "日本"; let n: i32 = größe;')
    text = told(cell)
    assert f"cell {cell.reply['execution_count']}:1:32" in text and "größe" in text


def test_a_bad_dependency_is_told(kernel):
    text = told(kernel.run(':dep none = { path = "/no/such/crate" }'))
    assert "/no/such/crate" in text
    assert kernel.run("2 + 2").result == "4"
