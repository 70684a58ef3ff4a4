"""`thalweg chat`: it ends what it began, shows any answer safely, and gives its key to the configured gateway only."""

import json
import os
import pathlib
import pty
import signal
import subprocess

import pytest

import config
from command import NOWHERE, Listener, command, delta, write
from conftest import KEYS
from gateway import PROGRAM, Key
from waiting import PATIENCE, until

KEY = "tw_me_secret"


def children(pid: int) -> list[int]:
    """Without those that ended."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue
        if fields[0] != "Z" and int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def runs(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def ask(listener: Listener, folder: pathlib.Path, prompt: str | bytes = "Hi", **more) -> subprocess.CompletedProcess:
    file = write(folder / "thalweg.yaml", {"listen": f"127.0.0.1:{listener.port}", **NOWHERE})
    return command("chat", "-c", file, prompt, **more)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_the_gateway_that_a_chat_started_ends_with_it_whatever_ends_it(standin, tmp_path, sent):
    file = write(tmp_path / "thalweg.yaml", {**config.one(standin), "log": {"access": "off"}})
    chat = subprocess.Popen([str(PROGRAM), "chat", "-c", file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            env={**os.environ, **KEYS}, start_new_session=True)
    gateways = []
    try:
        chat.stdin.write(b"Hello?\n")
        chat.stdin.flush()
        assert chat.stdout.readline()  # it answered: the gateway runs
        gateways = children(chat.pid)
        assert len(gateways) == 1
        chat.send_signal(sent)
        assert chat.wait(30 * PATIENCE) == -sent
        until(lambda: not runs(gateways[0]), "the chat's gateway ends")
    finally:
        for pid in filter(runs, {*children(chat.pid), *gateways}):
            os.kill(pid, signal.SIGKILL)
        chat.kill()
        chat.wait()


def test_a_key_is_not_given_to_whoever_stands_on_loopback_when_the_gateway_listens_elsewhere(standin, tmp_path):
    """192.0.2.0/24 is nobody's (RFC 5737), so the chat starts a gateway of its own."""
    with Listener(delta("a stranger's")) as stranger:
        key = Key("me", ["big"])
        file = write(tmp_path / "thalweg.yaml",
                     {**config.one(standin, keys=[key.settings]), "listen": f"192.0.2.1:{stranger.port}", "log": {"access": "off"}})
        done = command("chat", "-c", file, "-m", "big", "Hi", environment={**KEYS, "THALWEG_KEY": key.text})
        assert done.returncode == 0 and b"stranger" not in done.stdout, done.stderr
        command("doctor", "-c", file, environment={**KEYS, "THALWEG_KEY": key.text})
        assert stranger.asked == []


def test_health_is_asked_without_the_key(tmp_path):
    with Listener(delta("yes")) as listener:
        assert ask(listener, tmp_path, environment={"THALWEG_KEY": KEY}).stdout == b"yes\n"
        keys = dict(listener.asked)
        assert keys == {"/healthz": None, "/readyz": None, "/v1/chat/completions": f"Bearer {KEY}"}


@pytest.mark.parametrize("frame", [{"error": None}, [], "text", 7, None, {"choices": None}, {"choices": {"a": 1}}, {"choices": [1, None, []]},
                                   {"choices": [{"delta": None}]}, {"choices": [{"delta": "x"}]}, {"choices": [{"delta": {"content": 3}}]}],
                         ids=json.dumps)
def test_a_frame_of_any_json_is_no_reason_to_fall(tmp_path, frame):
    with Listener(delta("be"), frame, delta("fore")) as listener:
        done = ask(listener, tmp_path)
        assert (done.returncode, done.stdout) == (0, b"before\n"), done.stderr


@pytest.mark.parametrize("error, told", [("no room", b"no room"), ({"message": "no room"}, b"no room"), ({"message": None}, b"broke off"), ([], b"broke off")])
def test_a_frame_with_an_error_ends_the_answer_with_its_words(tmp_path, error, told):
    with Listener(delta("half"), {"error": error}) as listener:
        done = ask(listener, tmp_path)
        assert done.returncode == 1 and told in done.stderr, done.stderr


@pytest.mark.parametrize("body, told", [(b'{"error": "no room"}', b"no room"), (b'{"error": null}', b"status 503"), (b'{"error": {"message": 3}}', b"status 503"),
                                        (b"[]", b"status 503"), (b"<html>", b"status 503")])
def test_a_refusal_of_any_shape_is_told(tmp_path, body, told):
    with Listener(status=503, body=body) as listener:
        done = ask(listener, tmp_path)
        assert done.returncode == 1 and told in done.stderr, done.stderr


def test_what_is_not_utf8_is_told_and_not_sent(tmp_path):
    with Listener(delta("yes")) as listener:
        done = ask(listener, tmp_path, b"caf\xe9")
        assert done.returncode == 1 and b"UTF-8" in done.stderr
        done = command("chat", "-c", str(tmp_path / "thalweg.yaml"), "-m", b"caf\xe9", "Hi")
        assert done.returncode == 2 and b"UTF-8" in done.stderr
        assert "/v1/chat/completions" not in dict(listener.asked)


def on_a_terminal(listener: Listener, folder: pathlib.Path, stream: str) -> bytes:
    """What a terminal receives as the chat's stdout or stderr."""
    master, slave = pty.openpty()
    try:
        ask(listener, folder, **{stream: slave})
    finally:
        os.close(slave)
    seen = b""
    try:
        while part := os.read(master, 4096):
            seen += part
    except OSError:  # Linux' way to say that the other side closed
        pass
    os.close(master)
    return seen


NASTY = "a\x1b]0;PWNED\x07b\x1b[2Jc\rd\x7f\x9b2Je\u00e9\tf"
HARMLESS = "a]0;PWNEDb[2Jcd2Je\u00e9\tf"


def test_a_terminal_is_shown_no_control_characters_of_an_answer(tmp_path):
    with Listener(delta("\x1b"), delta(NASTY)) as listener:
        assert on_a_terminal(listener, tmp_path, "stdout") == HARMLESS.encode() + b"\r\n"


def test_a_terminal_is_shown_no_control_characters_of_an_error(tmp_path):
    with Listener({"error": {"message": NASTY}}) as listener:
        assert on_a_terminal(listener, tmp_path, "stderr") == b"thalweg: " + HARMLESS.encode() + b"\r\n"


def test_a_pipe_gets_the_answer_as_it_is(tmp_path):
    with Listener(delta(NASTY)) as listener:
        assert ask(listener, tmp_path).stdout == NASTY.encode() + b"\n"
