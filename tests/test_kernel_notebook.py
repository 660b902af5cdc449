"""What the library shows in a notebook: `display`, `Progress`, `interrupted`."""

import re
import time

import pytest
from running import running


@pytest.fixture(scope="module")
def kernel(own_state, prepared):
    with running() as kernel:
        done = kernel.run(
            "use googlenet_lib::prelude::*;\nuse googlenet_lib::notebook::{self, Html, Progress, display};\n"
            "fn sleep(ms: u64) { std::thread::sleep(std::time::Duration::from_millis(ms)); }",
            timeout=240,
        )
        assert done.status == "ok", done.error
        yield kernel


def shown(content):
    return content["data"].get("text/html") or content["data"]["text/plain"]


def test_what_is_displayed_is_replaced_in_place(kernel):
    cell = kernel.run("""
        println!("before");
        let first = display(&Html("<b>1</b>".into()));
        let second = display("plain");
        println!("between");
        first.update(&Html("<b>2</b>".into()));
    """)
    assert cell.kinds[1:] == [
        "stream",
        "display_data",
        "display_data",
        "stream",
        "update_display_data",
    ]
    first, second = cell.of("display_data")
    (update,) = cell.of("update_display_data")
    assert [shown(first), shown(second), shown(update)] == ["<b>1</b>", "plain", "<b>2</b>"]
    ids = [content["transient"]["display_id"] for content in (first, second, update)]
    assert ids[0] == ids[2] != ids[1]


def test_a_display_of_an_earlier_cell_is_updated_by_a_later_one(kernel):
    shown_first = kernel.run('let kept = display(&Html("old".into()));').of("display_data")[0]
    updated = kernel.run('kept.update(&Html("new".into()));').of("update_display_data")[0]
    assert updated["transient"] == shown_first["transient"]
    assert shown(updated) == "new"


def test_a_picture_is_a_result_or_displayed(kernel):
    displayed = kernel.run("display(&plot::network_diagram(&spec::COMPACT)?);")
    result = kernel.run('plot::inception_block(&spec::PAPER, "inception_3a")?')
    for cell, kind in ((displayed, "display_data"), (result, "execute_result")):
        assert cell.status == "ok", cell.error
        (content,) = cell.of(kind)
        assert content["data"]["image/svg+xml"].startswith("<svg")


def test_nested_bars_show_rate_and_time_left(kernel):
    cell = kernel.run("""
        let epochs = Progress::new("epoch", 2);
        for epoch in 1..=2 {
            let steps = epochs.nested("step", 20);
            for step in 1..=20 { sleep(15); steps.set(step); }
            epochs.message(format!("loss {epoch}"));
            epochs.set(epoch);
        }
    """)
    (first,) = cell.of("display_data")
    assert "epoch 0/2" in shown(first)
    updates = [shown(content) for content in cell.of("update_display_data")]
    both = [text for text in updates if "epoch " in text and "step " in text]
    assert len(both) >= 5
    assert any(re.search(r"step \d+/20, [\d.]+/s, \d+ s left", text) for text in both)
    assert "epoch 2/2" in updates[-1] and "loss 2" in updates[-1]
    assert not cell.of("stream")


def test_two_thousand_steps_do_not_flood_the_front_end(kernel):
    began = time.monotonic()
    cell = kernel.run("""
        let bar = Progress::new("step", 2000);
        for step in 1..=2000 { std::thread::sleep(std::time::Duration::from_micros(500)); bar.set(step); }
    """)
    updates = cell.of("update_display_data")
    assert len(updates) <= 20 * (time.monotonic() - began) + 3
    assert "step 2000/2000" in shown(updates[-1])


@pytest.mark.alone
def test_interrupted_is_true_after_the_stop_button_and_false_in_the_next_cell(kernel):
    cell = kernel.send(
        'println!("running {}", notebook::interrupted());\n'
        "let mut steps = 0;\nwhile !notebook::interrupted() { sleep(10); steps += 1; }"
    )
    pressed = []

    def press(message):
        if not pressed and "running false" in str(message["content"].get("text")):
            pressed.append(kernel.interrupt())

    cell = kernel.answer(cell, 60, press)
    assert cell.error["ename"] == "interrupted"
    assert time.monotonic() - pressed[0] < 1
    assert kernel.run("(steps < 1000, notebook::interrupted())").result == "(true, false)"
