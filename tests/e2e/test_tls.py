"""Verified TLS to endpoints: the certificate must be of the listed authority and of the host that was asked for. The authority is
made by openssl for each run."""

import pathlib
import signal
import ssl

import openai
import pytest

import config
import pki as pki_files
from conftest import KEYS
from provider import answers, behaviour
from reading import fold
from standin import StandIn
from waiting import until

ASK = {"model": "big", "messages": [{"role": "user", "content": "Where does it run?"}]}


def certificate(folder: pathlib.Path, name: str, subject_alternative: str, authority: str) -> ssl.SSLContext:
    """A server's context whose certificate `authority` signed."""
    pki_files.certificate(folder, name, subject_alternative, authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    for authority in ("authority", "stranger"):
        pki_files.authority(folder, authority)
    return folder


def serving(pki, start, context: ssl.SSLContext, host: str = "127.0.0.1", ca: str | None = "authority"):
    standin = StandIn(KEYS["STANDIN_KEY"], (config.UPSTREAM_NAME,), tls=context).start()
    settings = config.one(standin)
    endpoint = settings["endpoints"]["standin"]
    endpoint["url"] = endpoint["url"].replace("127.0.0.1", host)
    if ca:
        endpoint["ca_file"] = str(pki / f"{ca}.pem")
    return standin, start(settings)


@pytest.mark.parametrize("host, names", [("127.0.0.1", "IP:127.0.0.1"), ("localhost", "DNS:localhost")])
def test_a_verified_endpoint_answers_plain_and_streamed_on_kept_connections(pki, start, python, host, names):
    standin, gateway = serving(pki, start, certificate(pki, "good", names, "authority"), host)
    client = python(gateway.base_url)
    text = answers.text_for("Where does it run?")
    standin.next(behaviour.normal(), behaviour.normal(piece=1), behaviour.normal())
    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    assert fold(client.chat.completions.create(**ASK, stream=True)).text == text
    assert client.chat.completions.create(**ASK).choices[0].message.content == text
    assert len({record.connection for record in standin.asked()}) < 3
    assert standin.violations == []
    standin.stop()


REFUSED = {
    "another authority": ("authority", "IP:127.0.0.1", "stranger"),
    "another host": ("authority", "DNS:other.example,IP:127.0.0.9", "authority"),
    "the system's authorities": ("authority", "IP:127.0.0.1", None),
}


@pytest.mark.parametrize("signed_by, names, trusted", REFUSED.values(), ids=REFUSED.keys())
def test_an_endpoint_that_cannot_prove_itself_sees_no_byte_of_a_request(pki, start, python, signed_by, names, trusted):
    standin, gateway = serving(pki, start, certificate(pki, "doubtful", names, signed_by), ca=trusted)
    with pytest.raises(openai.InternalServerError) as caught:
        python(gateway.base_url).chat.completions.create(**ASK)
    assert caught.value.status_code in (502, 503)
    assert standin.records == []
    standin.stop()


def test_a_server_that_asks_who_calls_gets_the_client_certificate(pki, start, python):
    context = certificate(pki, "asking", "IP:127.0.0.1", "authority")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki / "authority.pem")
    pki_files.certificate(pki, "caller", "DNS:gateway.example", "authority", usage="clientAuth")
    pki_files.certificate(pki, "unknown", "DNS:gateway.example", "stranger", usage="clientAuth")
    standin = StandIn(KEYS["STANDIN_KEY"], (config.UPSTREAM_NAME,), tls=context).start()
    for name, answers_it in (("caller", True), ("unknown", False), (None, False)):
        settings = config.one(standin)
        endpoint = settings["endpoints"]["standin"]
        endpoint["ca_file"] = str(pki / "authority.pem")
        if name:
            endpoint["client_certificate"] = {"certificate_file": str(pki / f"{name}.pem"), "key_file": str(pki / f"{name}.key")}
        client = python(start(settings).base_url)
        if answers_it:
            assert client.chat.completions.create(**ASK).choices[0].message.content
        else:
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(**ASK)
    assert len(standin.asked()) == 1 and standin.violations == []
    standin.stop()


def test_another_authority_in_the_same_file_is_trusted_after_a_reload(pki, start, python):
    """So a certificate authority is renewed: its file is replaced, and the gateway told."""
    (pki / "changing.pem").write_bytes((pki / "stranger.pem").read_bytes())
    standin, gateway = serving(pki, start, certificate(pki, "renewed", "IP:127.0.0.1", "authority"), ca="changing")
    with pytest.raises(openai.InternalServerError):
        python(gateway.base_url).chat.completions.create(**ASK)
    (pki / "changing.pem").write_bytes((pki / "authority.pem").read_bytes())
    gateway.process.send_signal(signal.SIGHUP)
    until(lambda: gateway.metric("thalweg_config_reloads_total", result="ok") == 1, "the reload")
    assert python(gateway.base_url).chat.completions.create(**ASK).choices[0].message.content
    standin.stop()


def test_a_plain_http_endpoint_beyond_loopback_is_refused_by_the_configuration(start, standin):
    """A key must not travel in clear. 192.0.2.1 is a documentation address; nothing is sent there."""
    settings = config.one(standin)
    settings["endpoints"]["standin"]["url"] = "http://192.0.2.1/v1"
    with pytest.raises(AssertionError, match="https|TLS|loopback"):
        start(settings)
