"""Widgets of the crate `notebook` through a real kernel, driven as a front end drives them."""

import time

import pytest
from front_end import VIEW, FrontEnd, parent, text_of
from running import running

HEAD = """
:dep notebook = {{ path = "{root}/crates/notebook" }}
use notebook::*;
"""


@pytest.fixture(scope="module")
def kernel(plain, root):
    with running(plain) as kernel:
        cell = kernel.run(HEAD.format(root=root), timeout=600)
        assert cell.status == "ok", cell.reply
        yield kernel


@pytest.fixture
def page(kernel):
    page = FrontEnd(kernel)
    page.quiet(0.2)
    return page


def is_text(words):
    return lambda message: words in text_of(message)


def test_a_slider_is_shown_and_its_value_follows_the_reader(page):
    shown = page.run('let width = Slider::new("width", 0.0..=1.0)?.value(0.25); width')
    data = shown.of("execute_result", "display_data")[-1]["data"]
    slider = data[VIEW]["model_id"]
    assert page.models[slider]["value"] == 0.25
    assert page.models[slider]["_model_name"] == "FloatSliderModel"
    assert "width: 0.25" in data["text/plain"]
    for name in ("layout", "style"):
        assert page.models[slider][name].removeprefix("IPY_MODEL_") in page.models
    asked = page.set(slider, value=0.75)
    echo = page.until(lambda m: m["content"].get("data", {}).get("method") == "echo_update")
    assert (parent(echo), echo["content"]["data"]["state"]) == (asked, {"value": 0.75})
    assert page.run("width.get()").result == "0.75"
    page.run("width.set(0.5);")
    assert page.models[slider]["value"] == 0.5


def test_what_a_closure_says_stands_where_the_widget_does(page):
    shown = page.run(
        'let depth = IntSlider::new("depth", 0..=9);\n'
        'depth.on_change(|depth| { println!("now {depth}"); assert!(depth < 7, "too deep"); });\n'
        "depth"
    )
    slider = page.find(description="depth")
    cell = parent(shown.messages[-1])
    page.run('println!("another cell");')
    page.set(slider, value=3)
    assert parent(page.until(is_text("now 3"))) == cell
    # Its panic is shown there, and ends nothing.
    page.set(slider, value=8)
    assert parent(page.until(is_text("too deep"))) == cell
    page.set(slider, value=4)
    page.until(is_text("now 4"))
    assert page.run("depth.get()").result == "4"


def picture(page):
    """What the picture of an `interact` shows."""
    return page.models[page.find(_model_name="HTMLModel")]["value"]


def is_drawn(words):
    """Whether a message has a picture with these words."""
    return lambda m: words in str(m["content"].get("data", {}).get("state", {}).get("value"))


def test_interact_draws_anew_in_its_place(page):
    cell = page.run(
        'let a = IntSlider::new("a", 0..=100);\nlet b = Toggle::new("b");\n'
        'interact((&a, &b), |(a, b)| format!("a is {a}, b is {b}"));'
    )
    # One display, which is a still picture where there are no widgets.
    shown = [m for m in cell.of("display_data") if "a is 0, b is false" in m["data"]["text/plain"]]
    assert len(shown) == 1 and VIEW in shown[0]["data"]
    assert picture(page) == "<pre>a is 0, b is false</pre>"
    page.set(page.find(description="a"), value=42)
    page.until(is_drawn("a is 42, b is false"))
    page.set(page.find(description="b"), value=True)
    page.until(is_drawn("a is 42, b is true"))


def test_widgets_act_while_a_cell_runs(page):
    page.run('let knob = IntSlider::new("knob", 0..=10); knob')
    running = page.kernel.send(
        'println!("waits"); while knob.get() < 5 { '
        'std::thread::sleep(std::time::Duration::from_millis(5)); } println!("saw {}", knob.get());'
    )
    seen = []

    def turn(message):
        page.take(message)
        if not seen and "waits" in text_of(message):
            seen.append(page.set(page.find(description="knob"), value=7))

    cell = page.kernel.answer(running, 30, turn)
    assert cell.status == "ok" and "saw 7" in cell.text()


@pytest.mark.alone
def test_two_hundred_changes_a_second_do_not_queue_up(page):
    page.run(
        'let fast = IntSlider::new("fast", 0..=100_000);\n'
        "interact(&fast, |fast| { std::thread::sleep(std::time::Duration::from_millis(30)); "
        'format!("fast {fast}") });'
    )
    slider = page.find(description="fast")
    began = time.monotonic()
    for value in range(1, 401):
        page.set(slider, value=value)
        time.sleep(max(0.0, began + value / 200 - time.monotonic()))
    sent = time.monotonic()
    page.until(is_drawn("fast 400"))
    behind = time.monotonic() - sent
    drawn = [m for m in page.messages if is_drawn("fast ")(m)]
    assert behind < 0.5
    assert 5 < len(drawn) <= 100, "the newest value is drawn, not each"


def test_buttons_texts_choices_and_pictures(page):
    page.run(
        'let clicks = Button::new("press");\n'
        'clicks.on_click(|| println!("clicked"));\n'
        'let name = TextField::new("name");\n'
        'let block = Choice::new("block", ["3a", "3b", "4a"])?;\n'
        "let picture = widgets::Image::png(vec![137u8, 80, 78, 71]);\n"
        "Column::new((&clicks, &name, &block, &picture))"
    )
    button = page.find(description="press")
    for _ in range(3):
        page.custom(button, {"event": "click"})
    # Each click counts, however their output is gathered.
    said = ""
    while said.count("clicked") < 3:
        said += text_of(page.until(is_text("clicked")))
    page.set(page.find(description="name"), value="é <b>")
    page.set(page.find(description="block"), index=2)
    page.quiet()
    assert page.run("(name.get(), block.get().to_string())").result == '("é <b>", "4a")'
    assert page.models[page.find(_model_name="ImageModel")]["value"] == b"\x89PNG"


def test_a_front_end_that_comes_back_gets_all_states(page):
    page.run('let kept = Slider::new("kept", 0.0..=1.0)?; kept')
    slider = page.find(description="kept")
    page.set(slider, value=0.3)
    page.quiet()
    info = page.kernel.reply(page.send("comm_info_request", {"target_name": "jupyter.widget"}))
    assert slider in info["comms"]
    # As JupyterLab asks for them when its page was loaded anew: all at once.
    page.send(
        "comm_open",
        {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}},
    )
    asked = page.send("comm_msg", {"comm_id": "control", "data": {"method": "request_states"}})
    answer = page.until(lambda m: m["content"].get("data", {}).get("method") == "update_states")
    assert parent(answer) == asked
    state = answer["content"]["data"]["states"][slider]
    assert (state["model_name"], state["state"]["value"]) == ("FloatSliderModel", 0.3)
    # And one by one.
    page.models[slider]["value"] = None
    page.send("comm_msg", {"comm_id": slider, "data": {"method": "request_state"}})
    page.until(lambda m: m["content"].get("data", {}).get("method") == "update")
    assert page.models[slider]["value"] == 0.3


def test_the_stop_button_ends_a_closure_that_does_not(page):
    page.run(
        'let endless = Button::new("endless");\n'
        'endless.on_click(|| { println!("begins"); loop { std::hint::black_box(0); } });\n'
        "endless"
    )
    page.custom(page.find(description="endless"), {"event": "click"})
    page.until(is_text("begins"))
    assert page.run("1 + 1").result == "2"
    page.kernel.interrupt()
    assert page.kernel.client.get_control_msg(timeout=10)["content"]["status"] == "ok"
    # The next closure has its turn.
    page.run('let after = Button::new("after"); after.on_click(|| println!("its turn")); after')
    page.custom(page.find(description="after"), {"event": "click"})
    page.until(is_text("its turn"))


def test_with_the_process_go_its_widgets(page):
    page.run('let lost = Slider::new("lost", 0.0..=1.0)?; lost')
    slider = page.find(description="lost")
    page.kernel.run("std::process::abort();", watch=page.take)
    assert slider not in page.models
    info = page.kernel.reply(page.send("comm_info_request", {}))
    assert info["comms"] == {}
    page.send("comm_msg", {"comm_id": slider, "data": {}})
    close = page.until(lambda m: m["msg_type"] == "comm_close")
    assert "has ended" in close["content"]["data"]["reason"]
    page.run('let found = Slider::new("found", 0.0..=1.0)?; found')
    page.find(description="found")


def test_unknown_targets_are_closed_with_a_reason(page):
    page.send("comm_open", {"comm_id": "x", "target_name": "nobody", "data": {}})
    close = page.until(lambda m: m["msg_type"] == "comm_close")
    assert close["content"]["comm_id"] == "x"
    assert "nobody" in close["content"]["data"]["reason"]
