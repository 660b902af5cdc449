"""The messages of the Jupyter protocol, to and from a real kernel."""

import json
import time

import pytest
import zmq
from running import running


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """What the kernel writes where Jupyter keeps its log."""
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def kernel(plain, log):
    with log.open("w") as file, running(plain, stderr=file) as kernel:
        yield kernel


def test_kernel_info(kernel):
    info = kernel.reply(kernel.client.kernel_info())
    assert info["protocol_version"].startswith("5.")
    assert info["language_info"]["name"] == "rust"
    assert info["implementation"] == "rust-live"
    assert info["supported_features"] == ["kernel subshells"]


def test_the_count_grows_by_what_is_stored(kernel):
    first = kernel.run("1")
    assert (
        kernel.run("2", store_history=False).reply["execution_count"]
        == (first.reply["execution_count"])
    )
    silent = kernel.run("3", silent=True)
    assert silent.kinds == []
    assert kernel.run("4").reply["execution_count"] == first.reply["execution_count"] + 1


def test_user_expressions_are_answered(kernel):
    kernel.run("let answer = 42;")
    cell = kernel.run("", user_expressions={"good": "answer + 1", "bad": "no_such_name"})
    expressions = cell.reply["user_expressions"]
    assert expressions["good"]["status"] == "ok"
    assert expressions["good"]["data"]["text/plain"] == "43"
    assert expressions["bad"]["status"] == "error"
    assert "no_such_name" in expressions["bad"]["evalue"]
    assert "execute_result" not in cell.kinds


def test_completions_have_types(kernel):
    code = "let é = String::new(); é.push_s"
    reply = kernel.reply(kernel.client.complete(code))
    assert any(match.startswith("push_str") for match in reply["matches"])
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "push_s"
    types = reply["metadata"]["_jupyter_types_experimental"]
    assert {item["type"] for item in types if item["text"].startswith("push_str")} == {"function"}


def test_commands_are_completed(kernel):
    assert ":dep" in kernel.reply(kernel.client.complete(":de"))["matches"]


def test_inspection_finds_documentation(kernel):
    reply = kernel.reply(kernel.client.inspect("Vec::<i32>::with_capacity", cursor_pos=16))
    assert reply["found"]
    assert "capacity" in reply["data"]["text/plain"]
    assert "<p>" in reply["data"]["text/html"]
    assert not kernel.reply(kernel.client.inspect("no_such_thing"))["found"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("let x = 1;", "complete"),
        ("let x = (", "incomplete"),
        ("let let", "invalid"),
        (":help", "unknown"),
    ],
)
def test_is_complete(kernel, code, status):
    assert kernel.reply(kernel.client.is_complete(code))["status"] == status


def test_history_is_kept_across_sessions(plain):
    with running(plain) as kernel:
        kernel.run("let kept = 1;")
        kernel.run("kept + 1")
    with running(plain) as kernel:
        kernel.run("let new = 2;")
        history = kernel.client.history
        tail = kernel.reply(history(hist_access_type="tail", n=3))["history"]
        assert [entry[2] for entry in tail] == ["let kept = 1;", "kept + 1", "let new = 2;"]
        found = kernel.reply(
            history(hist_access_type="search", pattern="*ept +*", unique=False, n=10)
        )["history"]
        assert [entry[2] for entry in found][-1] == "kept + 1"
        session = tail[0][0]
        earlier = kernel.reply(
            history(hist_access_type="range", session=session, start=2, stop=3, output=True)
        )["history"]
        assert earlier == [[session, 2, ["kept + 1", "2"]]]


def test_comms(kernel):
    reply = kernel.reply(kernel.request("comm_info_request", {}))
    assert reply["status"] == "ok" and reply["comms"] == {}
    opened = kernel.request("comm_open", {"comm_id": "a", "target_name": "none", "data": {}})
    while True:
        message = kernel.client.get_iopub_msg(timeout=10)
        if message["parent_header"].get("msg_id") == opened and message["msg_type"] != "status":
            break
    assert message["msg_type"] == "comm_close"
    assert message["content"]["comm_id"] == "a"
    assert "none" in message["content"]["data"]["reason"]


def test_subshells_are_made_listed_and_ended(kernel):
    def ask(kind, **content):
        asked = kernel.request(f"{kind}_subshell_request", content, "control")
        reply = kernel.client.get_control_msg(timeout=10)
        assert reply["parent_header"]["msg_id"] == asked
        assert reply["msg_type"] == f"{kind}_subshell_reply"
        return reply["content"]

    def evaluate(subshell):
        """A cell for a subshell, as JEP 91 has it: named in the header."""
        message = kernel.client.session.msg("execute_request", {"code": "6 * 7", "silent": False})
        message["header"]["subshell_id"] = subshell
        kernel.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    made = ask("create")
    subshell = made["subshell_id"]
    assert made["status"] == "ok" and ask("list")["subshell_id"] == [subshell]
    assert kernel.answer(evaluate(subshell)).result == "42"
    assert ask("delete", subshell_id=subshell)["status"] == "ok"
    assert ask("list")["subshell_id"] == []
    refused = kernel.answer(evaluate(subshell))
    assert refused.status == "error" and subshell in refused.reply["evalue"]


@pytest.mark.alone
def test_questions_are_answered_while_a_cell_runs(kernel):
    # Read what is needed for answers before the time counts.
    kernel.reply(kernel.client.complete("String::fro"), timeout=60)
    cell = kernel.send("std::thread::sleep(std::time::Duration::from_secs(5));")
    while not (kernel.cells() and kernel.next("iopub", cell, 0.2)):
        pass
    time.sleep(0.5)
    client = kernel.client
    for ask in (
        client.kernel_info,
        lambda: client.is_complete("let x ="),
        lambda: client.complete("String::fro"),
        lambda: client.inspect("String::from", 9),
        lambda: client.history(hist_access_type="tail", n=1),
        client.comm_info,
    ):
        began = time.monotonic()
        assert kernel.reply(ask())["status"] in ("ok", "incomplete")
        assert time.monotonic() - began < 0.5
    assert kernel.answer(cell).status == "ok"


def test_input_is_asked_for_and_answered(kernel):
    # The crate that evcxr itself is built with: Cargo has it here already.
    assert kernel.run(':offline 1\n:dep evcxr_input = "1.0"', timeout=120).status == "ok"
    cell = kernel.send(
        'let name = evcxr_input::get_string("name?");\n'
        'let word = evcxr_input::get_password("word?");\n'
        'println!("hello {name}, {} letters", word.len());',
        allow_stdin=True,
    )
    for prompt, password, answer in (("name?", False, "Ada"), ("word?", True, "secret")):
        asked = kernel.client.get_stdin_msg(timeout=30)
        assert asked["content"] == {"prompt": prompt, "password": password}
        kernel.client.input(answer)
    assert kernel.answer(cell).text() == "hello Ada, 6 letters\n"
    silent = kernel.run('evcxr_input::get_string("again?").len()', allow_stdin=False)
    assert silent.result == "0", "where nobody can answer, the answer is empty"


def test_standard_input_is_the_reader(kernel):
    cell = kernel.send(
        'print!("Your guess? ");\nlet mut guess = String::new();\n'
        "std::io::stdin().read_line(&mut guess)?;\nlet guess: u32 = guess.trim().parse()?;",
        allow_stdin=True,
    )
    asked = kernel.client.get_stdin_msg(timeout=30)
    assert asked["content"]["password"] is False
    kernel.client.input("42")
    assert kernel.answer(cell).status == "ok"
    assert kernel.run("guess + 1").result == "43"
    silent = kernel.run(
        "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?", allow_stdin=False
    )
    assert silent.result == "0", "where nobody can answer, a read ends at once"


@pytest.mark.parametrize(
    "content",
    [
        {"hist_access_type": "tail", "n": 1},
        {"hist_access_type": "range"},
        {"hist_access_type": "search", "pattern": "*"},
        {"hist_access_type": "search", "pattern": "*", "n": None, "unique": None},
    ],
)
def test_what_a_request_may_leave_out_is_filled_in(kernel, content):
    assert kernel.reply(kernel.request("history_request", content))["status"] == "ok"
    cell = kernel.answer(kernel.request("execute_request", {"code": "1 + 2"}))
    assert cell.result == "3"
    reply = kernel.reply(kernel.request("complete_request", {"code": "String::fr"}))
    assert any(match.startswith("from_utf8") for match in reply["matches"])


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("execute_request", {}),
        ("history_request", {"hist_access_type": "all"}),
        ("wish_request", {}),
    ],
)
def test_what_is_no_request_is_answered_all_the_same(kernel, kind, content):
    cell = kernel.answer(kernel.request(kind, content))
    assert cell.reply["status"] == "error"
    assert kind in cell.reply["evalue"]
    assert cell.kinds == []


def test_a_message_with_a_wrong_signature_is_dropped_and_logged(kernel, log):
    dropped = log.read_text().count("on the shell channel was dropped")
    connection = kernel.manager.get_connection_info()
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.connect(f"tcp://{connection['ip']}:{connection['shell_port']}")
    session = kernel.client.session.clone()
    session.key = b"another key"
    session.send(socket, "kernel_info_request", {})
    socket.send_multipart([b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"])
    socket.send_multipart([b"no message at all"])
    assert not socket.poll(500)
    assert log.read_text().count("on the shell channel was dropped") == dropped + 3
    session.key = kernel.client.session.key
    session.send(socket, "kernel_info_request", {})
    assert socket.poll(10_000)
    socket.close(0)
    assert kernel.run("1 + 1").result == "2"


def test_cells_that_wait_behind_a_failing_one_are_aborted(kernel):
    failing = kernel.send('panic!("no");')
    waiting = [kernel.send('println!("ran");') for _ in range(3)]
    assert kernel.answer(failing).status == "error"
    for message in waiting:
        cell = kernel.answer(message)
        assert cell.status == "aborted"
        assert cell.kinds == []
    failing = kernel.send('panic!("no");', stop_on_error=False)
    waiting = kernel.send('println!("ran");')
    assert kernel.answer(failing).status == "error"
    assert kernel.answer(waiting).text() == "ran\n"


def test_every_request_is_between_busy_and_idle(kernel):
    # One after the other: the control channel is answered beside the shell channel.
    for send in (
        kernel.client.kernel_info,
        lambda: kernel.client.is_complete("1"),
        lambda: kernel.request("comm_info_request", {}),
        lambda: kernel.request("interrupt_request", {}, "control"),
    ):
        message, states = send(), []
        while states[-1:] != ["idle"]:
            answer = kernel.client.get_iopub_msg(timeout=10)
            if answer["parent_header"].get("msg_id") == message:
                states.append(answer["content"]["execution_state"])
        assert states == ["busy", "idle"]


def test_the_heart_beats_while_a_cell_runs(kernel):
    cell = kernel.send("std::thread::sleep(std::time::Duration::from_secs(2));")
    connection = kernel.manager.get_connection_info()
    heart = zmq.Context.instance().socket(zmq.REQ)
    heart.connect(f"tcp://{connection['ip']}:{connection['hb_port']}")
    for _ in range(5):
        heart.send(b"ping")
        assert heart.poll(1000)
        heart.recv()
        time.sleep(0.2)
    heart.close(0)
    assert kernel.answer(cell).status == "ok"


def test_subscribers_are_welcomed(kernel):
    connection = kernel.manager.get_connection_info()
    iopub = zmq.Context.instance().socket(zmq.SUB)
    iopub.connect(f"tcp://{connection['ip']}:{connection['iopub_port']}")
    iopub.subscribe(b"")
    assert iopub.poll(5000)
    parts = iopub.recv_multipart()
    header = json.loads(parts[parts.index(b"<IDS|MSG>") + 2])
    assert header["msg_type"] == "iopub_welcome"
    iopub.close(0)


def test_restart_and_shutdown_leave_nothing_behind(plain):
    with running(plain) as kernel:
        kernel.run("let x = 1;")
        family = [kernel.process, *kernel.process.children(recursive=True)]
        kernel.manager.restart_kernel(now=False)
        kernel.client.wait_for_ready(timeout=60)
        assert not any(member.is_running() for member in family)
        assert kernel.run("x").status == "error"
        family = [kernel.process, *kernel.process.children(recursive=True)]
    assert len(family) > 1
    assert not any(member.is_running() for member in family)
