"""TLS on the listener: the unmodified clients over it, what is refused and how, and a certificate that changes while streams run."""

import hashlib
import pathlib
import signal
import socket
import ssl
import subprocess

import openai
import pytest

import config
import pki
from conftest import KEYS
from gateway import PROGRAM, Key, to_yaml
from provider import answers, behaviour
from raw import Raw, request
from reading import fold
from waiting import until

QUESTION = "Where does it run?"
ASK = {"model": "big", "messages": [{"role": "user", "content": QUESTION}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("listener")
    pki.authority(folder, "authority")
    for name in ("first", "second"):
        pki.certificate(folder, name, "IP:127.0.0.1,DNS:localhost", "authority")
    return folder


def tls(folder: pathlib.Path, name: str = "first") -> dict:
    return {"certificate_file": str(folder / f"{name}.pem"), "key_file": str(folder / f"{name}.key")}


def trusting(folder: pathlib.Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))


@pytest.fixture
def secure(folder, start, standin):
    """secure(**settings) -> a gateway that speaks TLS."""
    def begin(**more):
        gateway = start(config.one(standin, tls=tls(folder), **more))
        assert gateway.url.startswith("https://127.0.0.1:")
        gateway.trusted = trusting(folder)
        return gateway

    return begin


def shake(gateway, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port), 30), server_hostname="127.0.0.1")


def test_the_python_client_asks_plain_and_streamed_on_one_connection(folder, secure, standin, python):
    gateway = secure()
    client = python(gateway.base_url, http_client=openai.DefaultHttpxClient(verify=trusting(folder)))
    standin.next(behaviour.normal(), behaviour.normal(piece=1), behaviour.normal())
    text = answers.text_for(QUESTION)
    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    assert fold(client.chat.completions.create(**ASK, stream=True)).text == text
    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    assert gateway.metric("thalweg_connections_total") < 4
    assert gateway.metric("thalweg_tls_failures_total") == 0


def test_the_node_client_asks_plain_and_streamed(folder, secure, node):
    gateway = secure()
    plain, streamed = node.run(gateway.base_url, {"call": "chat.completions.create", "params": ASK},
                               {"call": "chat.completions.create", "params": {**ASK, "stream": True}}, authority=folder / "authority.pem")
    assert plain["answer"]["choices"][0]["message"]["content"] == answers.text_for(QUESTION)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in streamed["chunks"] if chunk["choices"]) == answers.text_for(QUESTION)


def test_long_bodies_and_answers_come_through_whole(folder, secure, standin, python):
    """Many records each way."""
    prompt = "".join(hashlib.sha256(str(i).encode()).hexdigest() for i in range(900))  # 58 KB, four records
    gateway = secure()
    client = python(gateway.base_url, http_client=openai.DefaultHttpxClient(verify=trusting(folder)))
    standin.next(behaviour.normal(repeat=50_000))
    asked = {"model": "big", "messages": [{"role": "user", "content": prompt}]}
    assert client.chat.completions.create(**asked).choices[0].message.content == answers.text_for(prompt) * 50_000


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(folder, secure, version):
    gateway = secure()
    context = trusting(folder)
    context.minimum_version = context.maximum_version = version
    with shake(gateway, context) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while more := connection.recv(4096):  # to the end of the session: it says that it ends
            answer += more
        assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"ok\n")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_older_versions_are_refused(folder, secure):
    gateway = secure()
    context = trusting(folder)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake(gateway, context)
    until(lambda: gateway.metric("thalweg_tls_failures_total") == 1, "the failure is counted")


def test_http_1_1_is_chosen_and_a_client_that_speaks_http_2_only_is_refused(folder, secure):
    gateway = secure()
    context = trusting(folder)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with shake(gateway, context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError):
        shake(gateway, context)


def test_a_session_is_resumed(folder, secure):
    gateway = secure(shards=2)
    context = trusting(folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its ticket comes with the handshake
    with shake(gateway, context) as first:
        session = first.session
    for _ in range(4):  # on either shard
        again = context.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port), 30), server_hostname="127.0.0.1", session=session)
        assert again.session_reused
        again.close()


def test_http_in_clear_is_told_what_speaks_here(secure):
    gateway = secure()
    with Raw(gateway.port) as raw:
        answer = raw.send(request(method="GET", path="/v1/models")).answer()
        assert answer.status == 400
        assert "https://" in answer.error["message"]
        assert raw.ended()


def test_bytes_that_are_no_handshake_end_the_connection(secure):
    gateway = secure()
    with Raw(gateway.port) as raw:
        raw.send(b"\x00\x01\x02 nonsense that is not TLS at all\r\n\r\n")
        assert raw.ended()
    until(lambda: gateway.metric("thalweg_tls_failures_total") == 1, "the failure is counted")


def test_a_handshake_has_the_heads_time_out(secure):
    gateway = secure(limits={"header_timeout": config.short(0.2)})
    with Raw(gateway.port) as raw:
        assert raw.ended()


def fingerprint(gateway, context: ssl.SSLContext) -> bytes:
    with shake(gateway, context) as connection:
        return connection.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_shown_after_a_reload_and_no_stream_is_dropped(folder, secure, standin, python):
    (folder / "live.pem").write_bytes((folder / "first.pem").read_bytes())
    (folder / "live.key").write_bytes((folder / "first.key").read_bytes())
    (folder / "live.key").chmod(0o600)
    gateway = secure()
    gateway.reload(config.one(standin, tls=tls(folder, "live")))
    until(lambda: gateway.metric("thalweg_config_reloads_total", result="ok") >= 1, "the first reload")
    context = trusting(folder)
    before = fingerprint(gateway, context)
    standin.next(behaviour.normal(gap=0.05))
    client = python(gateway.base_url, http_client=openai.DefaultHttpxClient(verify=context))
    stream = iter(client.chat.completions.create(**ASK, stream=True))
    next(stream)
    (folder / "live.pem").write_bytes((folder / "second.pem").read_bytes())
    (folder / "live.key").write_bytes((folder / "second.key").read_bytes())
    reloads = gateway.metric("thalweg_config_reloads_total", result="ok")
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.metric("thalweg_config_reloads_total", result="ok") > reloads, "the second reload")
    until(lambda: fingerprint(gateway, context) != before, "every shard has it")
    assert not standin.asked()[0].answered, "the stream ended before the reload; the test shows nothing"
    assert fold(stream).finishes == {0: "stop"}


def test_a_key_of_another_certificate_leaves_the_old_one_in_force(folder, secure, standin):
    gateway = secure()
    before = fingerprint(gateway, trusting(folder))
    mixed = {"certificate_file": str(folder / "second.pem"), "key_file": str(folder / "first.key")}
    gateway.reload(config.one(standin, tls=mixed))
    until(lambda: "tls.key_file: the private key is not the certificate's" in gateway.stderr(), "the reload is refused")
    assert fingerprint(gateway, trusting(folder)) == before


@pytest.mark.parametrize("with_tls, with_keys, listens", [(True, True, True), (True, False, False), (False, True, False)])
def test_beyond_loopback_it_needs_keys_and_tls(folder, standin, tmp_path, with_tls, with_keys, listens):
    settings = config.one(standin, **({"tls": tls(folder)} if with_tls else {}), **({"keys": [Key("k", ["big"]).settings]} if with_keys else {}))
    (tmp_path / "thalweg.yaml").write_text(to_yaml(settings) + "\n")
    process = subprocess.Popen([str(PROGRAM), "serve", "--config", str(tmp_path / "thalweg.yaml"), "--listen", "0.0.0.0:0"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=KEYS)
    try:
        line = process.stdout.readline()
        assert line.startswith(b"listening on https://0.0.0.0:") if listens else line == b""
    finally:
        process.terminate()
        assert process.wait(60) == (0 if listens else 2)


def test_the_commands_reach_a_gateway_that_speaks_tls(folder, secure, standin):
    gateway = secure()
    gateway.write({**gateway.settings, "listen": f"127.0.0.1:{gateway.port}"})
    ran = [subprocess.run([str(PROGRAM), *arguments, "--config", str(gateway.config)], capture_output=True, text=True, timeout=120, env=KEYS, check=False)
           for arguments in (["doctor"], ["chat", "--model", "big", QUESTION])]
    assert f"ready at 127.0.0.1:{gateway.port}" in ran[0].stdout
    assert ran[1].stdout.strip() == answers.text_for(QUESTION), ran[1].stderr
