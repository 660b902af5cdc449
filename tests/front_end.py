"""A front end's half of widgets: the models that a kernel has opened, and what is done to them."""

import time
from queue import Empty

VIEW = "application/vnd.jupyter.widget-view+json"


class FrontEnd:
    def __init__(self, kernel):
        self.kernel = kernel
        # By comm: the state that this front end would show.
        self.models = {}
        # All messages that were seen, in order.
        self.messages = []

    def run(self, code, timeout=120):
        """Runs a cell that must do well; its widgets are known after it."""
        cell = self.kernel.run(code, timeout, watch=self.take)
        assert cell.status == "ok", cell.reply
        return cell

    def take(self, message):
        self.messages.append(message)
        content, kind = message["content"], message["msg_type"]
        if kind == "comm_open":
            state = dict(content["data"]["state"])
            self._put(state, content["data"], message["buffers"])
            self.models[content["comm_id"]] = state
        elif kind == "comm_close":
            self.models.pop(content["comm_id"], None)
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            state = dict(content["data"]["state"])
            self._put(state, content["data"], message["buffers"])
            self.models[content["comm_id"]].update(state)

    @staticmethod
    def _put(state, data, buffers):
        for (name,), buffer in zip(data.get("buffer_paths", []), buffers, strict=True):
            state[name] = bytes(buffer)

    def until(self, is_it, timeout=20):
        """Reads on to the first message of which this is true."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                message = self.kernel.client.get_iopub_msg(timeout=0.2)
            except Empty:
                continue
            self.take(message)
            if is_it(message):
                return message
        raise AssertionError(f"it did not come; {[m['msg_type'] for m in self.messages[-9:]]}")

    def quiet(self, seconds=0.5):
        """Reads until nothing has come for so long; gives what came."""
        came = []
        while True:
            try:
                came.append(self.kernel.client.get_iopub_msg(timeout=seconds))
                self.take(came[-1])
            except Empty:
                return came

    def find(self, **wanted):
        """The one model with these attributes."""
        found = [
            comm
            for comm, state in self.models.items()
            if all(state.get(name) == value for name, value in wanted.items())
        ]
        assert len(found) == 1, f"{len(found)} models with {wanted}"
        return found[0]

    def send(self, kind, content, buffers=None):
        session, channel = self.kernel.client.session, self.kernel.client.shell_channel
        message = session.msg(kind, content)
        session.send(channel.socket, message, buffers=buffers)
        return message["header"]["msg_id"]

    def set(self, comm, **state):
        """Does as a front end does whose reader has changed something."""
        self.models[comm].update(state)
        data = {"method": "update", "state": state, "buffer_paths": []}
        return self.send("comm_msg", {"comm_id": comm, "data": data})

    def custom(self, comm, content):
        data = {"method": "custom", "content": content}
        return self.send("comm_msg", {"comm_id": comm, "data": data})


def text_of(message):
    """What a message shows, as text."""
    content = message["content"]
    return content.get("text") or content.get("data", {}).get("text/plain", "")


def parent(message):
    return message["parent_header"].get("msg_id")
