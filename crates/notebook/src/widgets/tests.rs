//! Widgets and a page that talk with each other.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fake::{PATIENCE, Page};
use super::{
    AnyWidget, Button, Choice, Column, Image, IntSlider, Label, LogSlider, Row, Slider, Tabs,
    TextField, Toggle, interact,
};
use crate::Show;

fn slider() -> Slider {
    Slider::new("width", 0.0..=1.0).unwrap().value(0.5)
}

fn state(message: &Value) -> &Value {
    &message["content"]["data"]["state"]
}

/// The models that were opened, by name.
fn names(opened: &[(Value, Vec<Vec<u8>>)]) -> Vec<&str> {
    opened.iter().filter_map(|(message, _)| state(message)["_model_name"].as_str()).collect()
}

#[test]
fn a_widget_is_opened_when_it_is_shown_after_what_it_refers_to() {
    let page = Page::new();
    let slider = slider();
    assert!(page.is_silent());
    let (id, opened) = page.show(&slider);
    assert_eq!(names(&opened), ["LayoutModel", "SliderStyleModel", "FloatSliderModel"]);
    let (message, _) = &opened[2];
    assert_eq!(message["type"], "comm_open");
    assert_eq!(message["metadata"], json!({ "version": "2.1.0" }));
    let content = &message["content"];
    assert_eq!(
        (&content["comm_id"], &content["target_name"]),
        (&json!(id), &json!("jupyter.widget"))
    );
    let state = state(message);
    assert_eq!((&state["value"], &state["description"]), (&json!(0.5), &json!("width")));
    assert_eq!(state["_model_module_version"], "2.0.0");
    for (index, name) in ["layout", "style"].into_iter().enumerate() {
        let id = opened[index].0["content"]["comm_id"].as_str().unwrap();
        assert_eq!(state[name], json!(format!("IPY_MODEL_{id}")));
    }
    // Once.
    assert_eq!(page.show(&slider.clone()), (id, Vec::new()));
}

#[test]
fn what_the_reader_does_is_read_heard_and_echoed() {
    let page = Page::new();
    let slider = slider();
    let (heard, values) = channel();
    slider.on_change(move |value| heard.send(value).unwrap());
    let (id, _) = page.show(&slider);
    page.change(&id, "value", 0.75);
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 0.75);
    assert_eq!(slider.get(), 0.75);
    let (echo, _) = page.next();
    assert_eq!(
        echo["content"]["data"],
        json!({ "method": "echo_update", "state": { "value": 0.75 }, "buffer_paths": [] })
    );
    assert_eq!(echo["parent_header"], json!({ "msg_id": "change" }));
    // JavaScript writes 1.0 as 1; what is no number is left out.
    page.change(&id, "value", "wide");
    page.change(&id, "value", 1);
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 1.0);
    slider.set(0.25);
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 0.25);
}

#[test]
fn what_the_program_sets_is_clamped_sent_and_heard_once() {
    let page = Page::new();
    let slider = slider();
    let (heard, values) = channel();
    slider.on_change(move |value| heard.send(value).unwrap());
    let (id, _) = page.show(&slider);
    slider.set(7.0);
    slider.set(f64::NAN);
    slider.set(1.0);
    let (update, _) = page.next();
    assert_eq!(update["content"]["comm_id"], json!(id));
    assert_eq!(
        update["content"]["data"],
        json!({ "method": "update", "state": { "value": 1.0 }, "buffer_paths": [] })
    );
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 1.0);
    assert!(page.is_silent() && values.try_recv().is_err());
}

#[test]
fn fast_changes_are_merged_and_the_last_one_arrives() {
    let page = Page::new();
    let slider = IntSlider::new("n", 0..=1_000_000);
    let calls = Arc::new(AtomicUsize::new(0));
    let (heard, values) = channel();
    let running = Arc::new(Barrier::new(2));
    let go = Arc::new(Barrier::new(2));
    slider.on_change({
        let (calls, running, go) = (Arc::clone(&calls), Arc::clone(&running), Arc::clone(&go));
        move |value| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                running.wait();
                go.wait();
            }
            heard.send(value).unwrap();
        }
    });
    let (id, _) = page.show(&slider);
    page.change(&id, "value", 1);
    running.wait();
    for value in 2..=1000 {
        page.change(&id, "value", value);
    }
    // Every change is echoed, while the closure still runs, and can be read.
    for _ in 1..=1000 {
        page.next();
    }
    assert_eq!(slider.get(), 1000);
    go.wait();
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 1);
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 1000);
    slider.set(5);
    assert_eq!(values.recv_timeout(PATIENCE).unwrap(), 5);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[test]
fn a_closure_hears_soon() {
    let page = Page::new();
    let slider = IntSlider::new("n", 0..=1000);
    let (heard, values) = channel();
    slider.on_change(move |_| heard.send(Instant::now()).unwrap());
    let (id, _) = page.show(&slider);
    let mut best = Duration::MAX;
    for value in 1..=200 {
        let sent = Instant::now();
        page.change(&id, "value", value);
        best = best.min(values.recv_timeout(PATIENCE).unwrap() - sent);
    }
    assert!(best < Duration::from_millis(5), "{best:?}");
}

#[test]
fn clicks_are_counted_whether_or_not_a_closure_panics() {
    let page = Page::new();
    let button = Button::new("press");
    let (heard, clicks) = channel();
    let mut count = 0;
    button.on_click(move || {
        count += 1;
        heard.send(count).unwrap();
        assert!(count != 2, "this panic is part of the test");
    });
    let (id, _) = page.show(&button);
    let click = json!({ "method": "custom", "content": { "event": "click" } });
    for _ in 0..50 {
        page.say("click", &id, &click);
    }
    for expected in 1..=50 {
        assert_eq!(clicks.recv_timeout(PATIENCE).unwrap(), expected);
    }
}

#[test]
fn a_panic_in_a_closure_leaves_later_changes_alone() {
    let page = Page::new();
    let slider = slider();
    let (heard, values) = channel();
    slider.on_change(move |value| {
        heard.send(value).unwrap();
        assert!(value > 0.2, "this panic is part of the test");
    });
    let (id, _) = page.show(&slider);
    for value in [0.1, 0.3] {
        page.change(&id, "value", value);
        assert_eq!(values.recv_timeout(PATIENCE).unwrap(), value);
    }
}

#[test]
fn a_closure_may_set_its_own_widget_and_others() {
    let page = Page::new();
    let (one, other) = (IntSlider::new("one", 0..=10), IntSlider::new("other", 0..=10));
    let (heard, values) = channel();
    one.on_change({
        let (one, other) = (one.clone(), other.clone());
        move |value| {
            other.set(value);
            one.set(value + 1);
        }
    });
    other.on_change(move |value| heard.send(value).unwrap());
    let (id, _) = page.show(&Row::new((&one, &other)));
    drop(id);
    one.set(8);
    while values.recv_timeout(PATIENCE).unwrap() < 10 {}
    assert_eq!((one.get(), other.get()), (10, 10));
}

#[test]
fn a_closure_that_is_never_done_leaves_room_for_others() {
    let page = Page::new();
    let slider = IntSlider::new("n", 0..=i64::MAX);
    let stopped = Arc::new(AtomicBool::new(false));
    slider.on_change({
        let (slider, stopped) = (slider.clone(), Arc::clone(&stopped));
        move |value| {
            if !stopped.load(Ordering::SeqCst) {
                slider.set(value + 1);
            }
        }
    });
    let button = Button::new("stop");
    let (heard, clicks) = channel();
    button.on_click(move || {
        stopped.store(true, Ordering::SeqCst);
        heard.send(()).unwrap();
    });
    let (id, _) = page.show(&button);
    slider.set(1);
    page.say("click", &id, &json!({ "method": "custom", "content": { "event": "click" } }));
    clicks.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn many_threads_may_set_one_widget() {
    let slider = IntSlider::new("n", 0..=100_000);
    let last = Arc::new(AtomicI64::new(0));
    slider.on_change({
        let last = Arc::clone(&last);
        move |value| last.store(value, Ordering::SeqCst)
    });
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let slider = &slider;
            scope.spawn(move || (0..1000).for_each(|n| slider.set(1 + 4 * n + thread)));
        }
    });
    assert_eq!(last.load(Ordering::SeqCst), slider.get());
}

#[test]
fn a_closure_writes_where_its_widget_was_shown_last() {
    let page = Page::new();
    let slider = IntSlider::new("n", 0..=10);
    let column = Column::new([&slider]);
    let (heard, outputs) = channel();
    slider.on_change({
        let entered = Arc::clone(&page.entered);
        move |_| heard.send(entered.load(Ordering::SeqCst)).unwrap()
    });
    for expected in 1..=2 {
        page.show(&column);
        slider.set(expected);
        assert_eq!(outputs.recv_timeout(PATIENCE).unwrap(), u32::try_from(expected).unwrap());
    }
}

#[test]
fn a_page_that_is_loaded_again_asks_for_one_or_for_all() {
    let page = Page::new();
    let slider = slider();
    let image = Image::png([1, 2, 3]);
    let (column, _) = page.show(&Column::new((&slider, &image)));
    let hidden = IntSlider::new("never shown", 0..=1);
    let (slider, _) = page.show(&slider);
    let (image, _) = page.show(&image);
    page.say("one", &slider, &json!({ "method": "request_state" }));
    let (one, _) = page.next();
    assert_eq!(one["parent_header"], json!({ "msg_id": "one" }));
    assert_eq!(one["content"]["data"]["method"], "update");
    assert_eq!(state(&one)["description"], "width");

    let open = json!({ "comm_id": "c", "target_name": "jupyter.widget.control", "data": {} });
    page.send("open", "comm_open", &open, &[]);
    page.say("all", "c", &json!({ "method": "request_states" }));
    let (all, buffers) = page.next();
    assert_eq!(all["parent_header"], json!({ "msg_id": "all" }));
    let data = &all["content"]["data"];
    assert_eq!(data["method"], "update_states");
    assert_eq!(data["buffer_paths"], json!([[image, "state", "value"]]));
    assert_eq!(buffers, [[1, 2, 3]]);
    let states = data["states"].as_object().unwrap();
    // Two controls, the column, three layouts, one style.
    assert_eq!(states.len(), 7);
    let entry = &states[&column];
    assert_eq!(entry["model_name"], "VBoxModel");
    assert_eq!(entry["model_module"], "@jupyter-widgets/controls");
    assert_eq!(entry["model_module_version"], "2.0.0");
    let children = json!([format!("IPY_MODEL_{slider}"), format!("IPY_MODEL_{image}")]);
    assert_eq!(entry["state"]["children"], children);
    drop(hidden);
}

#[test]
fn a_widget_that_was_shown_outlives_its_handles_until_a_page_closes_it() {
    let page = Page::new();
    let slider = slider();
    let (id, _) = page.show(&slider);
    drop(slider);
    page.say("one", &id, &json!({ "method": "request_state" }));
    assert_eq!(page.next().0["content"]["data"]["method"], "update");

    let slider = IntSlider::new("n", 0..=9);
    let (id, _) = page.show(&slider);
    page.send("close", "comm_close", &json!({ "comm_id": id, "data": {} }), &[]);
    let deadline = Instant::now() + PATIENCE;
    // It is opened again where it is shown again.
    while page.show(&slider).1.is_empty() {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn a_widget_that_was_never_shown_says_nothing() {
    let page = Page::new();
    let image = Image::png([1]);
    image.set([2]);
    slider().set(0.1);
    assert!(page.is_silent());
    let (_, opened) = page.show(&image);
    let (open, buffers) = opened.last().unwrap();
    assert_eq!(buffers, &[[2]]);
    assert_eq!(open["content"]["data"]["buffer_paths"], json!([["value"]]));
    assert_eq!(state(open)["value"], Value::Null);
    image.set([3, 4]);
    image.set([3, 4]);
    let (update, buffers) = page.next();
    assert_eq!(update["content"]["data"]["buffer_paths"], json!([["value"]]));
    assert_eq!(buffers, [[3, 4]]);
    assert!(page.is_silent());
}

#[test]
fn noise_is_ignored() {
    let page = Page::new();
    let slider = slider();
    let (id, _) = page.show(&slider);
    for bytes in [&[][..], &[1], &[255, 255, 255, 255], &[2, 0, 0, 0, b'{', b'}'], &[0; 8]] {
        page.send_bytes(bytes);
    }
    page.change("unknown", "value", 1);
    page.say("m", &id, &json!({ "method": "dance" }));
    page.say("m", &id, &json!({ "method": "update", "state": 3 }));
    page.say("m", &id, &json!({ "method": "custom" }));
    page.send("m", "comm_msg", &json!({ "data": {} }), &[]);
    page.change(&id, "value", 0.25);
    assert_eq!(page.next().0["content"]["data"]["method"], "echo_update");
    assert_eq!(slider.get(), 0.25);
}

#[test]
fn each_control_has_its_value() {
    let page = Page::new();
    let rate = LogSlider::new("rate", 1e-4..=1.0).unwrap().value(0.01);
    let block = Choice::of("block", [("first", 3), ("second", 4)]).unwrap();
    let (flip, class) = (Toggle::new("flip"), TextField::new("class"));
    let tabs = Tabs::new()
        .tab("numbers", &rate)
        .tab("others", Column::new((&block, &flip, &class, &Label::new("hello"))));
    let (_, opened) = page.show(&tabs);
    let by_name = |name: &str| {
        let (message, _) =
            opened.iter().find(|(message, _)| state(message)["_model_name"] == name).unwrap();
        (message["content"]["comm_id"].as_str().unwrap().to_owned(), state(message).clone())
    };
    let (id, sent) = by_name("FloatLogSliderModel");
    assert_eq!([&sent["min"], &sent["max"], &sent["value"]], [-4.0, 0.0, 0.01]);
    page.change(&id, "value", 0.000_099_999);
    let (id, sent) = by_name("DropdownModel");
    assert_eq!(
        (&sent["_options_labels"], &sent["index"]),
        (&json!(["first", "second"]), &json!(0))
    );
    page.change(&id, "index", 1);
    let (id, _) = by_name("CheckboxModel");
    page.change(&id, "value", true);
    let (id, _) = by_name("TextModel");
    page.change(&id, "value", "cat");
    for _ in 0..4 {
        page.next();
    }
    assert_eq!((rate.get(), block.get(), flip.get(), class.get()), (1e-4, 4, true, "cat".into()));
    assert_eq!(block.index(), 1);
    let (_, sent) = by_name("TabModel");
    assert_eq!(sent["titles"], json!(["numbers", "others"]));
    assert_eq!(tabs.content()[1].1.lines().count(), 5);
}

#[test]
fn impossible_controls_are_errors_that_name_them() {
    let error = Slider::new("width", 0.0..=f64::NAN).unwrap_err().to_string();
    assert_eq!(error, "range of 'width' is 0..=NaN: give two finite numbers");
    let error = LogSlider::new("rate", 0.0..=1.0).unwrap_err().to_string();
    assert_eq!(error, "range of 'rate' is 0..=1: give two finite numbers above zero");
    let block = Choice::new("block", ["3a", "3b"]).unwrap();
    block.set("3b").unwrap();
    assert_eq!(block.get(), "3b");
    let error = block.set("4a").unwrap_err().to_string();
    assert_eq!(error, "list of options of 'block' is 3a, 3b: set one of them");
    assert_eq!(block.get(), "3b");
    let error = Choice::<i32>::new("block", []).unwrap_err().to_string();
    assert_eq!(error, "list of options of 'block' is empty: give at least one");
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
    let reversed = IntSlider::new("n", 9..=1).value(20);
    assert_eq!(reversed.get(), 9);
}

#[test]
fn a_picture_follows_its_knobs() {
    let page = Page::new();
    let (width, depth) = (slider(), IntSlider::new("depth", 1..=9));
    let (drawn, pictures) = channel();
    interact((&width, &depth), move |(width, depth)| {
        drawn.send((width, depth)).unwrap();
        format!("{width} {depth}")
    });
    assert_eq!(pictures.try_recv().unwrap(), (0.5, 1));
    let (id, opened) = page.show(&depth);
    let shown = opened.iter().map(|(message, _)| state(message));
    let shown: Vec<_> = shown.filter(|state| state["_model_name"] == "HTMLModel").collect();
    assert_eq!((shown.len(), &shown[0]["value"]), (1, &json!("<pre>0.5 1</pre>")));
    // What is no value draws nothing.
    page.change(&id, "step", 2);
    page.change(&id, "value", 4);
    assert_eq!(pictures.recv_timeout(PATIENCE).unwrap(), (0.5, 4));
    let is_picture = |message: &Value| state(message)["value"] == "<pre>0.5 4</pre>";
    while !is_picture(&page.next().0) {}
    width.set(1.0);
    assert_eq!(pictures.recv_timeout(PATIENCE).unwrap(), (1.0, 4));
    assert!(pictures.try_recv().is_err());
}

#[test]
fn without_comms_the_first_picture_is_the_only_one() {
    let depth = IntSlider::new("depth", 1..=9);
    let (drawn, pictures) = channel();
    interact((&depth, &slider()), move |(depth, _)| {
        drawn.send(depth).unwrap();
        Err::<String, _>("no picture")
    });
    depth.set(2);
    assert_eq!(pictures.try_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_knob_that_moved_while_the_first_picture_was_drawn_is_not_forgotten() {
    let page = Page::new();
    let depth = IntSlider::new("depth", 1..=9);
    let (drawn, pictures) = channel();
    interact(&depth, {
        let depth = depth.clone();
        move |value| {
            drawn.send(value).unwrap();
            depth.set(5);
            value.to_string()
        }
    });
    assert_eq!(pictures.recv_timeout(PATIENCE).unwrap(), 1);
    assert_eq!(pictures.recv_timeout(PATIENCE).unwrap(), 5);
    drop(page);
}

#[test]
fn javascript_and_the_program_share_values_and_send_messages() {
    let page = Page::new();
    let widget = AnyWidget::new("export default {}").css("b {}").state([("count", json!(0))]);
    let (changed, changes) = channel();
    widget.on_change(move |name, value| changed.send((name.to_owned(), value.clone())).unwrap());
    let (said, messages) = channel();
    widget.on_message(move |message, buffers| {
        said.send((message.clone(), buffers.to_vec())).unwrap();
    });
    widget.send(&json!("nobody hears it"), &[] as &[&[u8]]);
    let (id, opened) = page.show(&widget);
    let sent = state(&opened.last().unwrap().0).clone();
    assert_eq!((&sent["_esm"], &sent["_css"]), (&json!("export default {}"), &json!("b {}")));
    assert_eq!((&sent["_model_module"], &sent["count"]), (&json!("anywidget"), &json!(0)));
    page.change(&id, "count", json!({ "n": [1] }));
    let (name, value) = changes.recv_timeout(PATIENCE).unwrap();
    assert_eq!((name.as_str(), &value), ("count", &widget.get("count")));
    assert_eq!(page.next().0["content"]["data"]["method"], "echo_update");
    widget.send(&json!({ "to": "page" }), &[[1, 2]]);
    let (message, buffers) = page.next();
    let data = json!({ "method": "custom", "content": { "to": "page" } });
    assert_eq!((&message["content"]["data"], buffers), (&data, vec![vec![1, 2]]));
    let data = json!({ "method": "custom", "content": "hello" });
    page.send("m", "comm_msg", &json!({ "comm_id": id, "data": data }), &[&[9]]);
    assert_eq!(messages.recv_timeout(PATIENCE).unwrap(), (json!("hello"), vec![vec![9]]));
}

#[test]
fn without_comms_a_widget_is_text_and_set_calls_closures_at_once() {
    let slider = slider();
    let content = slider.content();
    assert_eq!(content, [("text/plain", "width: 0.5 (fixed: there are no widgets here)".into())]);
    let heard = Arc::new(AtomicU64::new(0));
    slider.on_change({
        let (heard, slider) = (Arc::clone(&heard), slider.clone());
        move |value| {
            heard.fetch_add(1, Ordering::SeqCst);
            // Ends at the end of the slider.
            slider.set(value + 0.1);
        }
    });
    slider.set(0.85);
    assert_eq!((slider.get(), heard.load(Ordering::SeqCst)), (1.0, 3));
    let column = Column::new((&slider, Label::new("hello")));
    let (_, text) = &column.content()[0];
    assert_eq!(text, "width: 1\nhello\n(fixed: there are no widgets here)");
    assert_eq!(format!("{:?}", Label::new("hello")), "hello");
}

#[test]
fn with_comms_a_widget_says_what_it_is() {
    let _page = Page::new();
    let rate = LogSlider::new("learning rate", 1e-4..=1.0).unwrap().value(0.1 + 0.2);
    let text = |widget: &dyn Show| widget.content()[1].1.clone();
    assert_eq!(text(&rate), "learning rate: 0.3 (a slider from 0.0001 to 1)");
    let block = Choice::new("block", ["3a", "3b"]).unwrap().selected(7);
    assert_eq!(
        text(&Row::new((&block, Toggle::new("flip")))),
        "block: 3b (one of 3a, 3b)\nflip: off (a checkbox)"
    );
}

#[test]
fn handles_go_to_any_thread() {
    fn handle<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    handle::<Slider>();
    handle::<Choice<String>>();
    handle::<Button>();
    handle::<Tabs>();
    handle::<AnyWidget>();
}
