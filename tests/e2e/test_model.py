"""`thalweg model`: whatever goes wrong, a model that is there stays, and what is installed is what was meant."""

import hashlib
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from command import command
from gateway import PROGRAM
from waiting import PATIENCE, until

GOOD = b"GGUF" + b"good" * 1000
OTHER = b"<html>not found</html>"


@pytest.fixture
def cache(tmp_path):
    """The environment with a cache of its own, and its folder of models."""
    models = tmp_path / "cache/models"
    models.mkdir(parents=True)
    return {"THALWEG_CACHE": str(tmp_path / "cache")}, models


class Server:
    """Serves files by name; the part after `held` bytes of a file waits until it is released, and a cut one then breaks off."""

    def __init__(self, files: dict[str, bytes], held: int | None = None, cut: str = ""):
        self.asked = {name: threading.Event() for name in files}
        self.go_on = {name: threading.Event() for name in files}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path[1:]
                content = files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:held])
                outer.asked[name].set()
                if held is not None:
                    outer.go_on[name].wait(60 * PATIENCE)
                    if name != cut:
                        self.wfile.write(content[held:])

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_) -> None:
        for event in self.go_on.values():
            event.set()
        self._server.shutdown()
        self._server.server_close()


def test_a_source_that_is_no_model_leaves_the_model_of_that_name(cache, tmp_path):
    environment, models = cache
    (models / "m.gguf").write_bytes(GOOD)
    (tmp_path / "m.gguf").write_bytes(OTHER)
    done = command("model", "add", str(tmp_path / "m.gguf"), environment=environment)
    assert done.returncode == 1 and b"GGUF" in done.stderr
    assert (models / "m.gguf").read_bytes() == GOOD and os.listdir(models) == ["m.gguf"]
    assert (tmp_path / "m.gguf").read_bytes() == OTHER


def test_an_address_that_gives_no_model_leaves_the_model_of_that_name(cache):
    environment, models = cache
    (models / "m.gguf").write_bytes(GOOD)
    with Server({"m.gguf": OTHER}) as server:
        done = command("model", "add", f"{server.url}/m.gguf", "--sha256", hashlib.sha256(OTHER).hexdigest(), environment=environment)
    assert done.returncode == 1 and b"GGUF" in done.stderr
    assert (models / "m.gguf").read_bytes() == GOOD and os.listdir(models) == ["m.gguf"]


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_file_that_stands_in_the_folder_already_is_never_removed(cache, tmp_path, through_a_link):
    environment, models = cache
    source = file = models / "m.gguf"
    file.write_bytes(OTHER)
    if through_a_link:
        source = tmp_path / "m.gguf"
        source.symlink_to(file)
    done = command("model", "add", str(source), environment=environment)
    assert done.returncode == 1 and file.read_bytes() == OTHER
    file.write_bytes(GOOD)
    assert command("model", "add", str(source), environment=environment).returncode == 0
    assert file.read_bytes() == GOOD and not file.is_symlink()


def test_a_wrong_checksum_leaves_the_model_of_that_name(cache, tmp_path):
    environment, models = cache
    (models / "m.gguf").write_bytes(GOOD)
    (tmp_path / "m.gguf").write_bytes(GOOD + b"more")
    done = command("model", "add", str(tmp_path / "m.gguf"), "--sha256", "0" * 64, environment=environment)
    assert done.returncode == 1 and (models / "m.gguf").read_bytes() == GOOD and os.listdir(models) == ["m.gguf"]


def test_a_model_is_copied_with_the_right_checksum_only(cache, tmp_path):
    environment, models = cache
    (tmp_path / "m.gguf").write_bytes(GOOD)
    assert command("model", "add", str(tmp_path / "m.gguf"), "--sha256", hashlib.sha256(GOOD).hexdigest(), environment=environment).returncode == 0
    assert (models / "m.gguf").read_bytes() == GOOD and os.listdir(models) == ["m.gguf"]


def test_two_fetches_of_one_name_at_once_install_what_each_has_checked(cache):
    """The second begins while the first is half done and breaks off after the first is installed."""
    environment, models = cache
    half = 1 << 20
    files = {"first/m.gguf": b"GGUF" + b"1" * (2 * half), "second/m.gguf": b"GGUF" + b"2" * (2 * half)}
    with Server(files, held=half, cut="second/m.gguf") as server:
        def fetch(name: str) -> subprocess.Popen:
            return subprocess.Popen([str(PROGRAM), "model", "add", f"{server.url}/{name}", "--sha256", hashlib.sha256(files[name]).hexdigest()],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})

        def received() -> int:
            return sum(file.stat().st_size for file in models.glob("*.part"))

        first = fetch("first/m.gguf")
        until(lambda: received() > half // 2, "half of the first is written")
        second = fetch("second/m.gguf")
        assert server.asked["second/m.gguf"].wait(30 * PATIENCE)
        server.go_on["first/m.gguf"].set()
        told = first.communicate(timeout=30 * PATIENCE)
        assert first.returncode == 0, told
        assert hashlib.sha256((models / "m.gguf").read_bytes()).digest() == hashlib.sha256(files["first/m.gguf"]).digest()
        server.go_on["second/m.gguf"].set()
        second.communicate(timeout=30 * PATIENCE)
    assert second.returncode == 1
    assert (models / "m.gguf").read_bytes() == files["first/m.gguf"] and os.listdir(models) == ["m.gguf"]


def test_a_link_that_leads_nowhere_is_listed_without_a_size(cache):
    environment, models = cache
    (models / "good.gguf").write_bytes(GOOD)
    (models / "gone.gguf").symlink_to(models / "nothing")
    lines = command("model", "list", environment=environment).stdout.decode().splitlines()
    assert len(lines) == 2 and "no file" in lines[0] and "MiB" not in lines[0] and "0.0 MiB" in lines[1]
    listed = {row["name"]: row["bytes"] for row in json.loads(command("model", "list", "--json", environment=environment).stdout)}
    assert listed == {"good": len(GOOD), "gone": None}


def test_a_file_name_that_is_not_utf8_is_listed(cache):
    environment, models = cache
    with open(os.fsencode(models) + b"/caf\xe9.gguf", "wb") as file:
        file.write(GOOD)
    done = command("model", "list", "--json", environment=environment)
    assert done.returncode == 0 and json.loads(done.stdout)[0]["name"] == "caf\ufffd"
    assert command("model", "list", environment=environment).returncode == 0
