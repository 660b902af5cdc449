"""A registry of crates of our own, served on this machine: cargo has never met any of them."""

import hashlib
import io
import json
import tarfile
import threading
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@cache
def package(name, version):
    """A crate as a registry hands it out: a function `name` that returns the name."""
    files = {
        "Cargo.toml": f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\n',
        "src/lib.rs": f'pub fn name() -> &\'static str {{ "{name}" }}\n',
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{file}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@contextmanager
def registry(names, versions=("1.0.0",)):
    """Serves versions of each crate, also those that are added to the list meanwhile; gives cargo's
    configuration and the paths asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = answer(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"

    def answer(path):
        if path == "/index/config.json":
            return json.dumps({"dl": f"{address}/crates"}).encode()
        for name in names:
            packed = {version: package(name, version) for version in versions}
            # https://doc.rust-lang.org/cargo/reference/registry-index.html
            if path == f"/index/{name[:2]}/{name[2:4]}/{name}":
                entries = (
                    {
                        "name": name,
                        "vers": version,
                        "deps": [],
                        "features": {},
                        "cksum": hashlib.sha256(content).hexdigest(),
                        "yanked": False,
                    }
                    for version, content in packed.items()
                )
                return "".join(json.dumps(entry) + "\n" for entry in entries).encode()
            for version, content in packed.items():
                if path == f"/crates/{name}/{version}/download":
                    return content
        return None

    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield (
            '[source.crates-io]\nreplace-with = "ours"\n'
            f'[source.ours]\nregistry = "sparse+{address}/index/"\n',
            asked,
        )
    finally:
        server.shutdown()
        server.server_close()
