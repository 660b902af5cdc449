"""Cells that should mean what Rust means: what they give, kind by kind.

A notebook is a list of cells, each with what comes of it. Names differ from notebook to notebook, so that
those whose state does not matter share one kernel.
"""

import time
from pathlib import Path

import pytest
from running import running, without_colours

TIMEOUT = 60


class Value(str):
    """The cell's value, as text."""


class Error(tuple):
    """The cell fails, and what is told holds these words."""

    def __new__(cls, *words):
        return super().__new__(cls, words)


class Words(tuple):
    """The cell's value holds these words."""

    def __new__(cls, *words):
        return super().__new__(cls, words)


class Out(str):
    """What it writes to standard output."""


class Err(tuple):
    """It does well, and standard error holds these words."""

    def __new__(cls, *words):
        return super().__new__(cls, words)


NOTHING = object()

SHARED = {
    # What a cell may be.
    "ends in a comment": [
        ("4 + 4 // eight", Value("8")),
        ("4 + 5\n// nine", Value("9")),
        ("4 + 6 /* ten */", Value("10")),
        ("let commented = 11; // eleven", NOTHING),
        ("commented // still", Value("11")),
    ],
    "one thread runs all cells, and it is main": [
        ("std::thread::current().name().map(str::to_owned)", Value('Some("main")')),
        ("let of_this_cell = std::thread::current().id();", NOTHING),
        ("of_this_cell == std::thread::current().id()", Value("true")),
        (
            "std::thread::spawn(|| std::thread::current().name().is_none()).join().unwrap()",
            Value("true"),
        ),
    ],
    "a hook of the reader's own, and none": [
        (
            'let loud = std::panic::take_hook();\nstd::panic::set_hook(Box::new(|_| println!("hooked")));',
            NOTHING,
        ),
        ('let n = 1;\nassert_eq!(n + 1, 3, "n is {n}");', Error("left == right", "n is 1")),
        ("std::panic::set_hook(loud);\nlet _ = std::panic::take_hook();", NOTHING),
        ('let n = 1;\n\nassert_eq!(n, 3, "n is {n}");', Error("left == right", "n is 1", ":3:1")),
        ('std::panic::resume_unwind(Box::new("silent"))', Error("panic: silent")),
    ],
    "imports alone": [
        (
            "use std::collections::{BTreeSet, VecDeque as Queue};\nuse std::fmt::Write as _;",
            NOTHING,
        ),
        (
            'let mut written = String::new();\nwrite!(written, "{}", Queue::<BTreeSet<u8>>::new().len() + 3)?;\nwritten',
            Value('"3"'),
        ),
    ],
    "a path of all crates is no command": [("::std::mem::align_of::<u32>()", Value("4"))],
    "a mark before all": [("\ufeff!echo marked", Out("marked\n")), ("\ufeff3 * 4", Value("12"))],
    "not of what stands above": [
        ("let over = false;\n!over", Value("true")),
        ("let under =\n!over;\nunder", Value("true")),
    ],
    "nothing at all": [("", NOTHING), ("// nothing", NOTHING), ("()", NOTHING), (";", NOTHING)],
    "half a path": [
        ("let half = 21;", NOTHING),
        ("let rest = std::collections::", Error("cell", "expected")),
        ("half * 2", Value("42")),
    ],
    "an unclosed bracket": [("let open = vec![1, 2;", Error("cell")), ("1 + 2", Value("3"))],
    "characters of two columns": [
        ('let crab = "🦀蟹"; let wide: u8 = crab;', Error("cell ", ":1:33", "mismatched types")),
    ],
    "dbg! in the first line": [
        ("let looked = 4;", NOTHING),
        ("dbg!(looked);  dbg!(looked * 2, 1);", Err(":1:1] looked = 4", ":1:16] looked * 2 = 8")),
        ("let twice =\n    dbg!(looked * 2);", Err(":2:5] looked * 2 = 8")),
        ("fn halved(n: i32) -> i32 { dbg!(n) / 2 } halved(looked)", Err(":1:28] n = 4")),
        ("struct Dark; dbg!(Dark);", Error("`Dark` doesn't implement `Debug`", ":1:14")),
        ("macro_rules! dbg { ($e:expr) => { $e + 1 } }\ndbg!(looked)", Value("5")),
        ("dbg!(looked)", Value("5")),
    ],
    # Variables.
    "patterns": [
        (
            "let [p1, p2] = [1, 2]; let (p3, (p4, ..)) = (3, (4, 5)); let Some(p5) = Some(6) else { panic!() };\n"
            "struct Dot { x: i32, y: i32 } let Dot { x: p6, y } = Dot { x: 7, y: 8 };",
            NOTHING,
        ),
        ("(p1 + p2 + p3 + p4 + p5 + p6 + y) * 10", Value("310")),
    ],
    "a name for another type": [
        ("let shadow = 7;", NOTHING),
        ('let shadow = format!("{shadow}?");', NOTHING),
        ("let shadow = Some(shadow);", NOTHING),
        ("shadow", Value('Some("7?")')),
    ],
    "mutable ones": [
        ("let mut tally = vec![1];", NOTHING),
        ("tally.push(2); tally.extend([3, 4]);", NOTHING),
        ("tally.iter().sum::<i32>()", Value("10")),
    ],
    "a moved one is gone, with a reason": [
        ('let given = String::from("a");', NOTHING),
        ("let taker = given;", NOTHING),
        ("given", Error("given")),
        ("taker", Value('"a"')),
    ],
    "closures": [
        (
            "let base = 100;\nlet adds: Box<dyn Fn(i32) -> i32> = Box::new(move |x| x + base);",
            NOTHING,
        ),
        ("adds(1) + adds(2)", Value("203")),
    ],
    "leaked": [
        (
            "let all: &'static [u8] = Box::leak(vec![5, 6, 7].into_boxed_slice());\nlet some = &all[..2];",
            NOTHING,
        ),
        ("some", Value("[5, 6]")),
    ],
    "an iterator": [
        ("let mut words = \"x y z\".split(' ');\nwords.next();", NOTHING),
        ("words.next()", Value('Some("y")')),
    ],
    "large ones are kept where they are": [
        ("let heavy: Box<[f32]> = vec![0.25; 20_000_000].into_boxed_slice();", NOTHING),
        ("heavy[19_999_999]", Value("0.25")),
    ],
    "a type that is not known": [
        (
            "fn made<T: Default>() -> T { T::default() }\nlet what = made();\n1",
            Error("type annotations needed", "what"),
        ),
    ],
    "one that ended with its cell says why": [
        (
            "let owner = vec![1, 2]; let part: Box<dyn AsRef<[i32]>> = Box::new(&owner[1..]); "
            "let spent = String::new(); drop(spent);",
            Err("`part` ends with this cell", ".to_vec()"),
        ),
        ("part", Error("`part` ended with cell", "borrows", ".to_vec()")),
        ("spent", Error("`spent` ended with cell", "moved")),
        (
            "let pair = (String::from('a'), String::from('b')); let first = pair.0;",
            None,
        ),
        ("drop(pair)", Error("partially moved value: `pair`", "has moved `pair.0`")),
        ("pair.1 + &first", Value('"ba"')),
        ("let data = vec![1, 2];\nlet mut once = 1;", NOTHING),
        (
            'std::thread::spawn(|| { println!("{data:?}"); })',
            Error("E0373", "it borrows `data`", "use the `move` keyword"),
        ),
        ("data = vec![3];", Error("E0384", "cannot assign twice to immutable variable `data`")),
        (
            "let mut presses = 0; let mut press = || { presses += 1; presses }; press() + press()",
            Value("3"),
        ),
        ("press()", Value("3")),
        ("presses", Value("3")),
        ("press()", Error("`press` has ended: it borrowed from `presses`")),
    ],
    "one that borrows": [
        (
            "let mut text = String::from(\"b a c\");\nlet words: Vec<&str> = text.split(' ').collect();",
            NOTHING,
        ),
        ("let first = words.iter().min();\nfirst", Value('Some("a")')),
        ('for word in &words { assert!(text.contains(word)); }\ntext == "b a c"', Value("true")),
        (
            "text.push('d');\nfirst",
            Error("cannot borrow `text` as mutable because", "immutable borrow later used here"),
        ),
        ("drop(text);\nfirst", Error("cannot move out of `text`, since `first`", "does not use")),
        ("(text.len(), first)", Value('(5, Some("a"))')),
        ('std::thread::spawn(|| println!("{}", words.len()));\nfirst', Error("live longer")),
        (
            "text.push('d');\ntext.len()",
            Err("`first` has ended: it borrowed from `text`", "`words`"),
        ),
        ("first", Error("`first` has ended: it borrowed from `text`")),
        ("text", Value('"b a cd"')),
    ],
    "one that borrows to change": [
        ("let mut row = vec![1, 2];\nlet one = &mut row[0];\nlet base = 1;", NOTHING),
        ("*one += base;\n*one", Value("2")),
        (":vars", Words("base: i32 = 1", "mut row: Vec<i32>", "one: &'static mut i32 = 2")),
        ("*one += 1;\n*one", Value("3")),
        ("row", Err("`one` has ended: it borrowed from `row`, which cell")),
        ("row", Value("[3, 2]")),
    ],
    "one whose type is not known yet": [
        ("let mut found = Vec::new(); // none yet", Err("`found` has no type yet: the first cell")),
        (":vars", Words("mut found: _")),
        ("found.len()", Value("0")),
        ("found", Value("[]")),
        ("let all = found;", Error("type annotations needed", "write its type")),
        ("found.push('a');\nfound", Value("['a']")),
        ("found.len()", Value("1")),
    ],
    "one of a cell that did not come to its end": [
        ("let undone = vec![1, 2];\nundone[10]", Error("index out of bounds")),
        (
            "undone",
            Error(
                "cannot find value `undone`", "`undone` is not there: cell", "not come to its end"
            ),
        ),
        ("let undone = vec![1, 2];\nundone", Value("[1, 2]")),
        ("let undone = 3;\nlet none: Option<u8> = None;\nnone.unwrap()", Error("unwrap")),
        ("undone", Value("[1, 2]")),
    ],
    "a closure whose type a call tells": [
        ("let k = 3;\nlet add = |a, b| a + b;", Err("`add` has no type yet: the first cell")),
        ("let scale = |x| x * k;", Err("`scale` has no type yet: the first cell")),
        ("add(1, 2)", Value("3")),
        ('add("a", "b")', Error("expected `i32`, found `&str`")),
        ("scale(add(1, 1))", Value("6")),
        ("scale(5)", Value("15")),
    ],
    "an iterator without a name": [
        (
            "let two = 2; let mut odd = (1..9).filter(move |n| n % two == 1);",
            Err("`odd` is a `Box<dyn Iterator>` from"),
        ),
        ("odd.next_back()", Value("Some(7)")),
        ("odd.collect::<Vec<i32>>()", Value("[1, 3, 5]")),
        ("let mut even = (1..9).filter(|n| n % 2 == 0);", NOTHING),
        ("even.next_back(); even.clone().collect::<Vec<i32>>()", Value("[2, 4, 6]")),
    ],
    "a number is what it was after a panic": [
        ("let small = 1;\nlet list = [1, 2];", NOTHING),
        ('let byte: u8 = small;\nlet long: &[u64] = &list;\npanic!("no");', Error("no")),
        ("(small, list)", Value("(1, [1, 2])")),
        ("let byte: u8 = small;\nlet long: &[u64] = &list;\n(byte, long[1])", Value("(1, 2)")),
        ("(small == byte, list[0] + 1_u64)", Value("(true, 2)")),
    ],
    "one that borrows from a panic on": [
        ("let lender = vec![1, 2];\nlet held = &lender[..];", NOTHING),
        ('let lender = vec![3];\nlet held = &lender[..];\npanic!("no");', Error("no")),
        ("(held.len(), lender[0])", Value("(2, 1)")),
        ('let mut all = vec!["a"];\nlet own = String::from("b");', NOTHING),
        ('all.push(&own);\npanic!("no");', Error("no")),
        ("all", Value('["a", "b"]')),
        ("drop(own);", Err("`all` has ended")),
    ],
    "a number takes the type of its use": [
        ("let small = 1; let half = 0.5;", NOTHING),
        (
            "let byte: u8 = 41; let single: f32 = 1.0; (byte + small, single + half)",
            Value("(42, 1.5)"),
        ),
    ],
    "values in a list of variables": [
        ('let listed = [1, 2]; let mut other_listed = "a";', NOTHING),
        (":vars", Words("listed: [i32; 2] = [1, 2]", 'mut other_listed: &\'static str = "a"')),
    ],
    "an overflow is a panic": [
        ("std::hint::black_box(u8::MAX) + 1", Error("attempt to add with overflow", "cell ")),
    ],
    "break out of nothing": [("break", Error("outside of a loop"))],
    "a const of a variable": [
        ("let width = 4;", NOTHING),
        ("const WIDTH: usize = width as usize;", Error("width", "const")),
    ],
    # Items.
    "macros of an earlier cell in later functions": [
        (
            "\n".join(
                f"macro_rules! plus{i} {{ ($x:expr) => {{ $x + {i} }} }}" for i in range(1, 5)
            ),
            NOTHING,
        ),
        ("\n".join(f"fn g{i}(x: i32) -> i32 {{ plus{i}!(x) }}" for i in range(1, 5)), NOTHING),
        ("g1(10) + g2(10) + g3(10) + g4(10)", Value("50")),
    ],
    "a macro call that makes items": [
        (
            "thread_local! { static HEIGHT: std::cell::Cell<u8> = const { std::cell::Cell::new(9) }; }\n"
            "fn height() -> u8 { HEIGHT.with(|h| h.get()) }",
            NOTHING,
        ),
        ("HEIGHT.with(|h| h.set(h.get() + 1)); height()", Value("10")),
        ("height()", Value("10")),
    ],
    "statics are one": [
        (
            "use std::sync::atomic::{AtomicU8, Ordering};\nstatic COUNTED: AtomicU8 = AtomicU8::new(1);\n"
            "COUNTED.fetch_add(1, Ordering::SeqCst);",
            NOTHING,
        ),
        ("COUNTED.fetch_add(1, Ordering::SeqCst); COUNTED.load(Ordering::SeqCst)", Value("3")),
    ],
    "const generics": [
        (
            "#[derive(Debug, Clone)] struct Grid<const R: usize, const C: usize>([[u8; C]; R]);\n"
            "let grid = Grid::<3, 5>([[1; 5]; 3]);",
            NOTHING,
        ),
        ("grid.0.len() * grid.0[0].len()", Value("15")),
    ],
    "const, alias and union": [
        ("const ROWS: usize = 2; type Line = [i8; ROWS]; union Bits { i: u32, f: f32 }", NOTHING),
        ("let line: Line = [4; ROWS]; let bits = Bits { i: 0x3f80_0000 };", NOTHING),
        ("(line, unsafe { bits.f })", Value("([4, 4], 1.0)")),
    ],
    "an impl that is run again is replaced": [
        ("struct Sign(i32);", NOTHING),
        *(
            (
                "impl std::fmt::Display for Sign { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result "
                f'{{ write!(f, "{text}{{}}", self.0) }} }}',
                NOTHING,
            )
            for text in ("one", "two")
        ),
        ("Sign(5).to_string()", Value('"two5"')),
    ],
    "one name in two namespaces": [
        ("mod square { pub fn side() -> f64 { 3.0 } }", NOTHING),
        ("fn square(x: f64) -> f64 { x * x }", NOTHING),
        ("square(1.5) + square::side()", Value("5.25")),
    ],
    "a module uses what is around it": [
        (
            "fn aid() -> i32 { 10 }\nmod within { pub fn ask() -> i32 { crate::aid() * super::aid() } }",
            NOTHING,
        ),
        ("within::ask()", Value("100")),
        ("fn aid() -> i32 { 11 }", NOTHING),
        ("within::ask()", Value("121")),
    ],
    "an earlier function sees a new definition": [
        (
            "fn pick<T: Copy>(v: &[T]) -> T { v[0] }\nfn picked() -> i32 { pick(&[3, 4, 5]) }",
            NOTHING,
        ),
        ("fn pick<T: Copy>(v: &[T]) -> T { v[v.len() - 1] }", NOTHING),
        ("picked()", Value("5")),
    ],
    "a type is defined anew": [
        (
            "#[derive(Debug)] struct Form { a: i32 }\nlet form = Form { a: 1 };\nlet spared = 12;",
            NOTHING,
        ),
        ("#[derive(Debug)] struct Form { a: i32, b: i32 }", Err("form", "Form")),
        ("spared", Value("12")),
        ("form", Error("form", "Form")),
    ],
    "main runs": [('fn main() {\n    println!("from main");\n}', Out("from main\n"))],
    "tests run": [
        ("#[test] fn holds() { assert_eq!(2 + 2, 4); }", Out("test holds ... ok")),
        ("#[test] fn fails() { assert_eq!(2 + 2, 5); }", Error("1 of 1 tests failed")),
    ],
    "a feature of nightly": [
        ("#![feature(never_type)]\nlet early = 1;", Error("nightly")),
        ("let later = 2; later", Value("2")),
    ],
    # How a cell ends.
    "an early return": [
        ("let stays = 1;", NOTHING),
        ("let reached = 5;\nif reached > 3 { return; }\nlet beyond = 6;", NOTHING),
        ("stays", Value("1")),
        ("reached", Value("5")),
        ("beyond", Error("beyond")),
    ],
    "an error that has Debug alone": [
        (
            "#[derive(Debug)] struct Dull;\nlet dull: Result<i32, Dull> = Err(Dull);\ndull?;",
            Error("Dull"),
        ),
    ],
    "a value that cannot be shown": [("struct Bare;\nBare", Error("Bare", "Debug"))],
    "an error behind a panic": [
        ("let survivor = 43;", NOTHING),
        ('panic!("no {}", 1)', Error("no 1")),
        ("let after = absent;", Error("absent")),
        ("survivor", Value("43")),
    ],
    # Futures.
    "await": [
        ("async fn four() -> i32 { 4 }\nfour().await", Value("4")),
        ("let awaited = four().await * 2;", NOTHING),
        ("awaited", Value("8")),
        ("let tried = async { Ok::<i32, String>(6) }.await?;\ntried", Value("6")),
        ('async { Err::<i32, String>("late".into()) }.await?;', Error("late")),
    ],
    # What is shown.
    "a trait of a crate's shows the value": [
        (
            "mod shown { pub trait Picture { fn evcxr_display(&self); }\n"
            "impl Picture for Vec<u64> { fn evcxr_display(&self) "
            '{ println!("EVCXR_BEGIN_CONTENT text/plain\\n{} numbers\\nEVCXR_END_CONTENT", self.len()); } } }\n'
            "use shown::Picture;\nvec![1u64, 2]",
            Value("2 numbers"),
        ),
        ("vec![1u64]", Value("1 numbers")),
        ("vec![1u8]", Value("[1]")),
    ],
    "a warning": [
        (
            'let _first = 1;\nstd::fs::remove_dir("/no/such/folder");',
            Err("unused `Result` that must be used", ":2:1"),
        ),
    ],
    "a warning of an earlier cell is not said again": [
        ("fn sloppy() -> i32 { let forgotten = 1; 2 }", Err("forgotten")),
        ("sloppy()", Value("2")),
    ],
    "a number's type is that of its use": [
        ("let amount = 300;", NOTHING),
        ("let exact: u64 = amount;\nexact * 1_000_000_000", Value("300000000000")),
    ],
    "types are told": [
        ("let listed = vec![1u16];", NOTHING),
        (":type listed", Value("Vec<u16>")),
        (":type listed.len() + 1", Value("usize")),
    ],
    # Commands.
    "a command that there is not": [
        (":dpe serde", Error(":dpe", ":dep")),
        (":hlep", Error(":help")),
    ],
    "a command for the shell": [
        ("!echo a; echo b >&2", Out("a\n")),
        ("!exit 3", Error("exit code 3")),
        ("!printf ab; printf cd", Out("abcd")),
    ],
    "bytes that are no text": [
        (
            "use std::io::Write as _;\nstd::io::stdout().write_all(&[b'x', 0xfe, b'y', b'\\n'])?;",
            Out("x\N{REPLACEMENT CHARACTER}y\n"),
        ),
    ],
    "a marker that does not end": [
        ('println!("EVCXR_BEGIN_CONTENT text/html");\nprintln!("lost?");', Out("lost?")),
        ("3", Value("3")),
    ],
    "the marker of a question that nobody asks": [
        ('println!("EVCXR_INPUT_REQUEST");', NOTHING),
        ("let unasked = 4; unasked", Value("4")),
    ],
    "a panic on a thread": [
        (
            'let thrown = std::thread::spawn(|| -> i32 { panic!("in thread") });\n'
            "let thrown = thrown.join().is_err();",
            Err("in thread", "cell ", ":1:45"),
        ),
        ("thrown", Value("true")),
    ],
    "a panic in the standard library names the cell's call": [
        (
            'let once = 1;\nlet text = "ab".repeat(usize::MAX);',
            Error("capacity overflow", "called at", ":2:1"),
        ),
    ],
}

# What ends the process of the cells, or is about the session as a whole: a kernel of its own each.
ALONE = {
    "the environment": [
        ('unsafe { std::env::set_var("CELLS_A", "1") }', NOTHING),
        ('std::env::var("CELLS_A")?', Value('"1"')),
        (":env CELLS_B=2", Err("CELLS_B")),
        (":restart", NOTHING),
        ('std::env::var("CELLS_B")?', Value('"2"')),
        ('std::env::vars().any(|(name, _)| name.starts_with("RUST_LIVE"))', Value("false")),
        (":timing", Value("timing is on")),
        ("std::thread::sleep(std::time::Duration::from_millis(200));", Err("took ", " ms")),
    ],
    "files beside the notebook": [
        ('std::fs::write("beside.txt", "hello!")?;', NOTHING),
        ('include_str!("beside.txt").len()', Value("6")),
    ],
    "wrong access keeps functions": [
        ("fn three() -> i32 { 3 }\nlet lost = 1;", NOTHING),
        (
            "unsafe { *std::hint::black_box(16 as *mut i32) = 1 }",
            Error("Segmentation fault", "functions, types and imports are kept"),
        ),
        ("three()", Value("3")),
        ("lost", Error("lost")),
        (
            "fn deep(n: u64) -> u64 { if n == 0 { 0 } else { 1 + deep(std::hint::black_box(n + 1)) } }\n"
            "std::thread::spawn(|| deep(1)).join().ok();",
            Error("Stack overflow"),
        ),
        ("three() + 1", Value("4")),
    ],
}

SMALL = """
use std::sync::atomic::*;
pub static N: AtomicI32 = AtomicI32::new(0);
pub fn inc() { N.fetch_add(1, Ordering::SeqCst); }
pub fn get() -> i32 { N.load(Ordering::SeqCst) }
"""


def check(cell, expected, code):
    def told():
        return without_colours(line for e in cell.of("error") for line in e["traceback"])

    if isinstance(expected, Error):
        assert cell.status == "error", f"{code}: no error, {cell.kinds}"
        for word in expected:
            assert word in told(), f"{code}: {word!r} is not in\n{told()}"
        return
    assert cell.status == "ok", f"{code}: {told()}"
    warned = without_colours([cell.text("stderr")])
    if isinstance(expected, Value):
        assert cell.result == expected, code
    elif isinstance(expected, Out):
        assert expected in cell.text(), code
    elif isinstance(expected, Words):
        missing = [words for words in expected if words not in cell.result]
        assert not missing, f"{told()} without {missing}"
    elif isinstance(expected, Err):
        for word in expected:
            assert word in warned, f"{code}: {word!r} is not in\n{warned}"
    else:
        assert cell.of("execute_result", "display_data") == [], code
    if not isinstance(expected, Err):
        assert "warning" not in warned, f"{code}: {warned}"


@pytest.fixture(scope="module")
def shared(plain):
    with running(plain) as kernel:
        yield kernel


@pytest.mark.parametrize("name", SHARED)
def test_cells(shared, name):
    for code, expected in SHARED[name]:
        check(shared.run(code, TIMEOUT, allow_stdin=False), expected, code)


@pytest.mark.parametrize("name", ALONE)
def test_cells_that_are_about_a_session(plain, tmp_path, name):
    with running(plain, cwd=tmp_path) as kernel:
        for code, expected in ALONE[name]:
            check(kernel.run(code, TIMEOUT), expected, code)


def make_crate(folder, name, body):
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nedition = "2024"\n')
    (folder / "src/lib.rs").write_text(body)


def test_crates_of_this_machine(plain, tmp_path):
    make_crate(tmp_path / "good", "cells_small", SMALL)
    make_crate(tmp_path / "bad", "cells_bad", 'pub fn f() -> i32 { "x" }\n')
    with running(plain, cwd=tmp_path) as kernel:
        for code, expected in [
            (':offline 1\n:dep cells_small = { path = "good" }\ncells_small::inc();', Err()),
            ("cells_small::inc();", NOTHING),
            ("cells_small::get()", Value("2")),
            (
                ':dep cells_bad = { path = "bad" }',
                Error("cells_bad", "mismatched types", str(tmp_path / "bad")),
            ),
            ("cells_small::get() + 40", Value("42")),
            (":clear", NOTHING),
            ("cells_small::get()", Error("cells_small")),
        ]:
            check(kernel.run(code, TIMEOUT), expected, code)


@pytest.mark.alone
def test_many_variables_cost_a_cell_nothing(plain):
    def median(kernel):
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert kernel.run("1 + 1").result == "2"
            took.append(time.monotonic() - began)
        return sorted(took)[2]

    with running(plain) as kernel:
        kernel.run("1")
        before = median(kernel)
        kernel.run(
            "\n".join(
                f"let v{i}: std::collections::BTreeMap<[u8; {i + 1}], Vec<u16>> = Default::default();"
                for i in range(100)
            )
        )
        assert median(kernel) < 2 * before
        # A variable that nobody names is not moved, whatever its size.
        kernel.run("let large = vec![[0u8; 1024]; 200_000];")
        resident = kernel.cells().memory_info().rss
        assert median(kernel) < 2 * before
        assert kernel.run("large.len()").result == "200000"
        assert kernel.cells().memory_info().rss < 1.5 * resident


def test_content_is_shown_while_the_cell_runs(shared):
    at = []
    cell = shared.run(
        'for i in 0..3 { println!("EVCXR_BEGIN_CONTENT text/html\\n<b>{i}</b>\\nEVCXR_END_CONTENT"); '
        "std::thread::sleep(std::time::Duration::from_millis(400)); }",
        watch=lambda m: at.append(time.monotonic()) if m["msg_type"] == "display_data" else None,
    )
    shown = [c["data"] for c in cell.of("display_data", "execute_result")]
    assert [data["text/html"] for data in shown] == ["<b>0</b>", "<b>1</b>", "<b>2</b>"]
    assert [data["text/plain"] for data in shown] == ["0", "1", "2"], "text stands beside it"
    assert at[1] - at[0] > 0.3


def test_a_value_does_not_hide_behind_the_picture_before_it(shared):
    cell = shared.run(
        'println!("EVCXR_BEGIN_CONTENT image/svg+xml\\n<svg/>\\nEVCXR_END_CONTENT");\n6 * 7'
    )
    (picture,) = cell.of("display_data")
    assert picture["data"] == {"image/svg+xml": "<svg/>", "text/plain": "<image/svg+xml>"}
    assert cell.of("execute_result")[0]["data"] == {"text/plain": "42"}


def test_evcxrs_markers_are_never_shown(shared):
    cell = shared.run(
        'println!("EVCXR_BEGIN_CONTENT text/html\\n<i>1</i>\\nEVCXR_END_CONTENT");\n'
        'println!("EVCXR_FLUSH_OUTPUT");\n'
        'println!("EVCXR_BEGIN_CONTENT text/html\\n<i>2</i>\\nEVCXR_END_CONTENT");'
    )
    assert len(cell.of("display_data", "execute_result")) == 2
    assert "EVCXR_" not in cell.text()


def test_what_a_shell_command_writes_is_shown_at_once(shared):
    at = {}
    shared.run(
        "!echo one; sleep 0.6; echo two",
        watch=lambda m: at.setdefault(m["content"].get("text"), time.monotonic()),
    )
    assert at["two\n"] - at["one\n"] > 0.4


def test_questions_about_variables(shared):
    shared.run(
        "#[derive(Debug, Default, Clone)] struct Sample { alpha: u32, beta: u32 }\n"
        "let samples = vec![Sample::default()];\nlet texted = String::new();"
    )
    client = shared.client
    assert "alpha" in shared.reply(client.complete("samples[0].al"))["matches"]
    found = shared.reply(client.inspect("texted.push_str(", 15))
    assert found["found"] and "push_str" in found["data"]["text/plain"]
    found = shared.reply(client.inspect("texted", 3))
    assert found["data"]["text/plain"].startswith("let texted: String"), found


def test_the_folder_of_a_session_goes_with_it(plain):
    with running(plain) as kernel:
        kernel.run("1")
        folder = Path(kernel.folder())
        assert folder.exists()
    assert not folder.exists()


def test_a_module_in_a_file_is_as_it_was_when_its_cell_ran(plain, tmp_path):
    (tmp_path / "helpers").mkdir()
    (tmp_path / "words.txt").write_text("forty")
    (tmp_path / "helpers/inner.rs").write_text("pub fn one() -> i32 { 1 }\n")
    file = tmp_path / "helpers.rs"
    file.write_text(
        'pub mod inner;\npub const WORDS: &str = include_str!("words.txt");\n'
        "pub fn all() -> i32 { 40 + inner::one() }\n#[derive(Debug)] pub struct Pair(pub i32, pub i32);\n"
    )
    (tmp_path / "shape.rs").write_text("pub trait Shape { fn area(&self) -> f64; }\n")
    (tmp_path / "square.rs").write_text(
        "pub struct Square(pub f64);\n"
        "impl crate::shape::Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }\n"
    )
    with running(plain, cwd=tmp_path) as kernel:
        assert kernel.run("mod shape;\npub mod square;").status == "ok"
        assert kernel.run("use shape::Shape; square::Square(3.0).area()").result == "9.0"
        assert kernel.run("mod helpers; helpers::all()").result == "41"
        assert kernel.run("use helpers::Pair;\nlet pair = Pair(1, 2); helpers::WORDS").result == (
            '"forty"'
        )
        # Of another size: with it, the variable would be read as what it is not.
        file.write_text(
            "#[derive(Debug)] pub struct Pair(pub String);\npub fn all() -> i32 { 7 }\n"
        )
        assert kernel.run("(pair.1, helpers::all(), pair)").result == "(2, 41, Pair(1, 2))"
        assert kernel.run("mod helpers;\nhelpers::all()").result == "7"
        assert kernel.run('Pair("new".into())').result == 'Pair("new")'
        file.write_text("\npub fn all() -> i32 { true }\n")
        shown = without_colours(kernel.run("mod helpers;").error["traceback"])
        assert "E0308" in shown and "--> helpers.rs:2:23" in shown, shown
        shown = without_colours(kernel.run("#[macro_use] mod helpers;").error["traceback"])
        assert "E0308" in shown and "--> helpers.rs:2:23" in shown, shown
        shown = without_colours(kernel.run("mod nowhere;").error["traceback"])
        assert 'create file "nowhere.rs" or "nowhere/mod.rs"' in shown, shown
        file.write_text('pub fn fail() { panic!("by design") }\n')
        shown = without_colours(kernel.run("mod helpers; helpers::fail()").error["traceback"])
        assert "by design" in shown and " helpers.rs:1:17" in shown, shown


def test_a_file_that_an_item_includes_is_as_it_was_when_its_cell_ran(plain, tmp_path):
    words, items = tmp_path / "words.txt", tmp_path / "items.rs"
    words.write_text("seven")
    items.write_text("fn private() -> i32 { 7 }\n#[derive(Debug)] struct Pair(i32, i32);\n")
    (tmp_path / "value.rs").write_text("40 + 2")
    with running(plain, cwd=tmp_path) as kernel:
        assert kernel.run('const WORDS: &str = include_str!("words.txt");').status == "ok"
        assert kernel.run('static BYTES: &[u8; 5] = include_bytes!("words.txt");').status == "ok"
        assert kernel.run('include!("items.rs");\nlet pair = Pair(1, 2);').status == "ok"
        assert kernel.run('include!("value.rs")').result == "42"
        assert kernel.run('fn read() -> i32 { include!("value.rs") }').status == "ok"
        (tmp_path / "lower.rs").write_text("pub struct Low(pub u8);\n")
        kernel.run('#[path = "lower.rs"] mod low;\nlet low = low::Low(9);')
        (tmp_path / "lower.rs").write_text("pub struct Low(pub String);\n")
        assert kernel.run("low.0").result == "9"
        words.write_text("other words")
        items.write_text("struct Pair(String);\n")
        (tmp_path / "value.rs").write_text("true")
        assert kernel.run("(WORDS, BYTES.len(), private(), read(), pair)").result == (
            '("seven", 5, 7, 42, Pair(1, 2))'
        )
        # A statement reads it as it is now.
        assert kernel.run('include_str!("words.txt")').result == '"other words"'
        assert kernel.run('include!("items.rs");\nPair("new".into()).0').result == '"new"'
        items.write_text('\nfn fail() { panic!("by design") }\n')
        failed = kernel.run('include!("items.rs");\nfail()')
        assert " items.rs:2:13" in without_colours(failed.error["traceback"])
        items.write_text("\nfn private() -> i32 { true }\n")
        shown = without_colours(kernel.run('include!("items.rs");').error["traceback"])
        assert "E0308" in shown and "--> items.rs:2:23" in shown, shown
        shown = without_colours(kernel.run('include_str!("none.txt")').error["traceback"])
        assert f"couldn't read `{tmp_path / 'none.txt'}`" in shown, shown
