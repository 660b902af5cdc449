"""Output that is shown while a cell runs."""

import re
import time

import pytest
from running import running

MESSAGE = r"""
fn message(kind: &str, content: String) {
    println!("EVCXR_JUPYTER_MESSAGE {{\"type\":\"{kind}\",\"content\":{content}}}");
}
fn picture(text: &str, id: &str) -> String {
    format!("{{\"data\":{{\"text/html\":\"{text}\"}},\"metadata\":{{}},\
             \"transient\":{{\"display_id\":\"{id}\"}}}}")
}
fn sleep(ms: u64) { std::thread::sleep(std::time::Duration::from_millis(ms)); }
"""


@pytest.fixture(scope="module")
def kernel(plain):
    with running(plain) as kernel:
        assert kernel.run(MESSAGE).status == "ok"
        yield kernel


def test_pictures_and_text_come_in_order(kernel):
    cell = kernel.run("""
        println!("one");
        message("display_data", picture("first", "a"));
        eprintln!("two");
        println!("three");
        message("display_data", picture("second", "b"));
        println!("four");
    """)
    order = [
        content.get("text") or content["data"]["text/html"]
        for content in cell.of("stream", "display_data")
    ]
    assert order == ["one\n", "first", "two\n", "three\n", "second", "four\n"]


def test_standard_output_and_error_keep_their_order(kernel):
    cell = kernel.run('for i in 0..200 { print!("{i}o "); println!(); eprintln!("{i}e"); }')
    written = "".join(content["text"] for content in cell.of("stream"))
    assert written.split() == [f"{i}{name}" for i in range(200) for name in "oe"]


def test_output_comes_while_the_cell_runs(kernel):
    at = {}
    cell = kernel.run(
        'use std::io::Write; print!("10 %"); std::io::stdout().flush().unwrap(); sleep(700); '
        'print!("\\r20 %"); std::io::stdout().flush().unwrap(); sleep(700); println!("\\rdone");',
        watch=lambda message: at.setdefault(message["content"].get("text"), time.monotonic()),
    )
    assert cell.text() == "10 %\r20 %\rdone\n"
    assert at["\r20 %"] - at["10 %"] > 0.5
    assert at["\rdone\n"] - at["\r20 %"] > 0.5


def test_text_without_a_newline_at_the_end_of_a_cell_is_shown_with_it(kernel):
    assert kernel.run('print!("no newline")').text() == "no newline"


def test_c_code_and_other_programs_are_heard(kernel):
    cell = kernel.run(
        'unsafe extern "C" { fn puts(text: *const std::ffi::c_char) -> i32; }\n'
        'unsafe { puts(c"from C".as_ptr()); }\n'
        'std::process::Command::new("echo").arg("from echo").status().unwrap();'
    )
    assert sorted(cell.text().splitlines()) == ["from C", "from echo"]


def test_a_picture_is_replaced_in_place(kernel):
    cell = kernel.run("""
        message("display_data", picture("0", "plot"));
        for i in 1..=3 { sleep(120); message("update_display_data", picture(&i.to_string(), "plot")); }
    """)
    updates = cell.of("update_display_data")
    assert [content["data"]["text/html"] for content in updates] == ["1", "2", "3"]
    assert {content["transient"]["display_id"] for content in updates} == {"plot"}


def test_a_thousand_updates_a_second_are_merged_and_the_last_one_is_sent(kernel):
    cell = kernel.run("""
        message("display_data", picture("0", "bar"));
        let began = std::time::Instant::now();
        for i in 1..=2000 {
            message("update_display_data", picture(&i.to_string(), "bar"));
            println!("line {i}");
            std::thread::sleep(std::time::Duration::from_micros(900));
        }
        eprintln!("{}", began.elapsed().as_secs_f64());
    """)
    seconds = float(cell.text("stderr"))
    values = [int(content["data"]["text/html"]) for content in cell.of("update_display_data")]
    assert values == sorted(values)
    assert values[-1] == 2000
    assert len(values) <= 20 * seconds + 3
    assert cell.text() == "".join(f"line {i}\n" for i in range(1, 2001))
    assert len(cell.messages) < 100 * seconds + 20


def test_output_is_cleared(kernel):
    cell = kernel.run("""
        println!("old");
        message("clear_output", "{\\"wait\\":true}".into());
        println!("new");
    """)
    assert cell.kinds[1:] == ["stream", "clear_output", "stream"]
    assert cell.of("clear_output") == [{"wait": True}]


def test_a_hundred_megabytes_are_neither_lost_nor_kept(kernel):
    # What answers questions is read by now, and counts before.
    kernel.reply(kernel.client.complete("String::fro"), timeout=60)
    before = kernel.process.memory_info().rss
    most = before
    size, expected, carry = 0, 0, ""

    def watch(message):
        nonlocal size, expected, carry, most
        if message["msg_type"] == "stream":
            text = message["content"]["text"]
            size += len(text)
            lines = (carry + text).split("\n")
            carry = lines.pop()
            for line in lines:
                assert line.startswith(f"{expected:07} "), line[:20]
                expected += 1
            message["content"]["text"] = ""
            most = max(most, kernel.process.memory_info().rss)

    cell = kernel.run(
        'let filler = "x".repeat(91); for i in 0..1_000_000 { println!("{i:07} {filler}"); }',
        timeout=120,
        watch=watch,
    )
    assert cell.status == "ok"
    assert expected == 1_000_000 and size == 100_000_000
    assert most - before < 64 * 2**20


def test_evcxrs_own_content_is_shown(kernel):
    cell = kernel.run(
        "struct Both;\n"
        "impl Both { fn evcxr_display(&self) {\n"
        '    println!("EVCXR_BEGIN_CONTENT text/plain\\nplain\\nEVCXR_END_CONTENT");\n'
        '    println!("EVCXR_BEGIN_CONTENT text/html\\n<i>rich</i>\\nEVCXR_END_CONTENT");\n'
        "} }\n"
        "Both"
    )
    (content,) = cell.of("execute_result")
    assert content["data"] == {"text/plain": "plain", "text/html": "<i>rich</i>"}


def test_commands_answer(kernel):
    kernel.run("let shown = 3;")
    assert any(line.startswith("shown: i32") for line in kernel.run(":vars").result.splitlines())
    assert re.search(r"rust-live \d+\.\d+\.\d+\nrustc 1\.", kernel.run(":version").result)
    cell = kernel.run(":type shown\n!echo beside\nshown * 2")
    assert [content["data"]["text/plain"] for content in cell.of("display_data")] == ["i32"]
    assert (cell.text(), cell.result) == ("beside\n", "6")
