"""What goes through as it is: bytes equal both ways, streams with back-pressure, no answer whole that was cut, nothing done twice, and
no path that reaches what its rule does not name."""

import base64
import hashlib
import io

import openai
import pytest

import config
from gateway import Key
from provider import behaviour
from provider.other_apis import content_of, image_for, speech_for
from raw import Raw, request
from waiting import until

PATHS = {
    "media": {"endpoints": ["standin"], "paths": ["/v1/images/generations", "/v1/audio/*", "/v1/moderations"]},
    "files": {"endpoints": ["standin"], "paths": ["/v1/files", "/v1/files/*"], "methods": ["GET", "POST", "DELETE"]},
}
ALL_BYTES = bytes(range(256)) * 64
MARGIN = 8 * 1024 * 1024  # beside the high-water mark and the kernel's buffers: what a program's memory moves by itself
BIG = 96 * 1024 * 1024


@pytest.fixture
def through(start, standin):
    return start(config.one(standin, passthrough=PATHS))


@pytest.fixture
def both(start, standin, second):
    """Two endpoints."""
    paths = {name: {**passage, "endpoints": ["standin", "second"]} for name, passage in PATHS.items()}
    return start(config.two(standin, second, passthrough=paths))


def passed(path: str, body: bytes = b"", *fields: str, method: str = "POST", **more) -> bytes:
    lines = [*fields, *([f"Content-Length: {len(body)}"] if body else [])]
    return request(b"", *lines, method=method, path=path, length=False, **more) + body


def lines_of(gateway, count: int) -> list[dict]:
    def through() -> list[dict]:
        return [line for line in gateway.lines() if line.get("surface") == "passthrough"]
    return until(lambda: len(through()) >= count and through(), f"{count} lines of what went through")


# ---- As it is ------------------------------------------------------------------------------------------------------------------


def test_the_unmodified_client_uses_other_apis(through, python):
    client = python(through.base_url)
    image = client.images.generate(model="any", prompt="a river", response_format="b64_json").data[0].b64_json
    assert base64.b64decode(image) == image_for("a river")
    assert client.audio.speech.create(model="any", voice="alloy", input="東京").read() == speech_for("東京")
    sound = io.BytesIO(ALL_BYTES)
    sound.name = "sound.wav"
    told = client.audio.transcriptions.create(model="whisper", file=sound).text
    assert told == f"whisper {hashlib.sha256(ALL_BYTES).hexdigest()}"
    assert client.moderations.create(model="omni", input="x").model == "omni"
    file = client.files.create(file=("data", ALL_BYTES), purpose="batch")
    assert file.bytes == len(ALL_BYTES)
    assert client.files.retrieve(file.id).bytes == file.bytes
    assert client.files.content(file.id).read() == content_of(file.id)
    assert client.files.delete(file.id).deleted
    lines = lines_of(through, 8)
    assert [line["model_asked"] for line in lines] == ["media"] * 4 + ["files"] * 4
    assert [line["method"] for line in lines] == ["POST"] * 5 + ["GET", "GET", "DELETE"]
    for line in lines:
        assert line["outcome"] == "complete" and line["endpoint"] == "standin" and "input_tokens" not in line and line["stream"] is False


def test_bytes_are_the_same_both_ways_and_are_counted(through, standin):
    with Raw(through.port) as peer:
        body = b'{ "model" :"any","input":"' + b"x" * 1000 + b'" }'
        answer = peer.send(passed("/v1/audio/speech?a=b%2Fc&d", body, "Content-Type: application/json", "Accept: application/octet-stream",
                                  "X-Secret: mine", "Cookie: mine")).answer()
    assert answer.status == 200 and answer.body == speech_for("x" * 1000)
    assert answer.field("content-type") == "audio/mpeg" and answer.field("content-length") == str(len(answer.body))
    record = standin.records[-1]
    assert record.body == body and record.path == "/v1/audio/speech?a=b%2Fc&d"
    assert record.header("content-type") == "application/json" and record.header("cookie") is None
    line = lines_of(through, 1)[0]
    assert line["path"] == "/v1/audio/speech" and line["bytes_in"] == len(body) and line["bytes_out"] == len(answer.body)
    counted = {way: through.metric("thalweg_passthrough_bytes_total", endpoint="standin", direction=way) for way in ("request", "response")}
    assert counted == {"request": len(body), "response": len(answer.body)}
    assert through.metric("thalweg_usage_unreported_total", gen_ai_operation_name="passthrough") == 0


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_every_framing_is_passed_on(through, standin, framing):
    standin.always(behaviour.normal(framing=framing, piece=700))
    with Raw(through.port) as peer:
        answer = peer.send(passed("/v1/files/file-100000/content", method="GET")).answer("GET")
        assert answer.body == content_of("file-100000")
        assert (answer.field("content-length") is not None) == (framing == "length")
        assert (answer.field("transfer-encoding") is not None) == (framing == "chunked")
        assert (answer.field("connection") == "close") == (framing == "close")
        if framing != "close":  # the connection goes on
            assert peer.send(passed("/v1/files/file-7", method="GET")).answer("GET").json["bytes"] == 7


def test_an_empty_answer_and_an_empty_request(through, standin):
    standin.next(behaviour.normal(raw="HTTP/1.1 204 No Content\r\nETag: \"x\"\r\n\r\n"))
    with Raw(through.port) as peer:
        answer = peer.send(passed("/v1/files/file-1", method="DELETE")).answer("DELETE")
        assert answer.status == 204 and answer.field("etag") == '"x"' and answer.field("transfer-encoding") is None
        assert peer.send(passed("/v1/files/file-0/content", method="GET")).answer("GET").body == b""


def test_a_stream_arrives_while_it_runs(through, standin):
    standin.next(behaviour.normal(raw="HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "d\r\ndata: \"one\"\n\n\r\n", end="hold"))
    with Raw(through.port) as peer:
        head = peer.send(passed("/v1/images/generations", b'{"prompt":"x","stream":true}', "Content-Type: application/json")).head()
        assert head.field("content-type") == "text/event-stream"
        assert peer.until(b"\n\n").endswith(b'data: "one"\n\n')
    standin.wait_for(lambda: standin.records[-1].gone_at, "the endpoint sees that the client left")


def test_the_unmodified_client_reads_a_stream(through, python):
    events = list(python(through.base_url).images.generate(model="gpt-image-1", prompt="a stone", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert {base64.b64decode(event.b64_json) for event in events} == {image_for("a stone")}


def test_a_slow_reader_holds_the_endpoint_back_and_memory_stays_bounded(through, standin):
    with Raw(through.port, receive_buffer=64 * 1024) as peer:
        before = through.rss_bytes()
        peer.send(passed(f"/v1/files/file-{BIG}/content", method="GET"))
        head = peer.head()
        assert head.field("content-length") == str(BIG)
        until(lambda: through.metric("thalweg_slow_clients_total") >= 1, "the gateway stops reading")
        assert not standin.records[-1].answered
        assert through.rss_bytes() - before < MARGIN
        digest = hashlib.sha256()
        left = BIG
        while left:
            data = peer.buffer or peer.receive()
            assert data, f"{left} bytes are missing"
            peer.buffer = b""
            digest.update(data)
            left -= len(data)
        assert digest.digest() == hashlib.sha256(content_of(f"file-{BIG}")).digest()
        assert through.rss_bytes() - before < MARGIN
    assert lines_of(through, 1)[0]["outcome"] == "complete"


# ---- Who may, and what is no passage -------------------------------------------------------------------------------------------


def test_keys_list_passages_by_name(start, standin):
    own, other, every = Key("own", ["files"]), Key("other", ["big", "media"]), Key("every", ["big"])
    every.settings.pop("models")
    gateway = start(config.one(standin, passthrough=PATHS, keys=[key.settings for key in (own, other, every)]))
    with Raw(gateway.port) as peer:
        ask = [passed("/v1/files/file-3", method="GET", key=key.text) for key in (own, every)]
        assert [peer.send(data).answer("GET").status for data in ask] == [200, 200]
        refused = peer.send(passed("/v1/files/file-3", method="GET", key=other.text)).answer("GET")
        assert refused.status == 404 and refused.error["code"] == "model_not_found"
        nobody = peer.send(passed("/v1/files/file-3", method="GET", key="tw_nobody_x")).answer("GET")
        assert nobody.status == 401 and nobody.error["code"] == "invalid_api_key"
    assert gateway.model_names(every.text) == ["big", "auto"] and gateway.model_names(own.text) == []
    answer = gateway.post("/v1/chat/completions", {"model": "files", "messages": [{"role": "user", "content": "x"}]},
                          {"Authorization": f"Bearer {own.text}"})
    assert answer.status == 400 and len(standin.asked()) == 0


TRICKS = ["/v1/files/../chat/completions", "/v1/files/%2e%2e/models", "/v1/files/%2E%2E%2Fmodels", "/v1/files/..%2fmodels", "/v1/files//a",
          "/v1/files/./a", "/v1/files/", "/v1/files/a;b", "/v1/files/%66ile-1", "/v1/files/.../a"]
NOWHERE = ["/v1//files", "/v1/./files", "//v1/files/a", "/v1/x/../files", "/v1/%66iles", "/V1/files", "/v1/filesystem", "/v1/images/edits",
           "/v1/images/generations/x", "/files"]


@pytest.mark.parametrize("path", TRICKS + NOWHERE)
def test_no_path_reaches_what_its_rule_does_not_name(through, standin, path):
    with Raw(through.port) as peer:
        answer = peer.send(passed(path, method="GET")).answer("GET")
    assert answer.status == (400 if path in TRICKS else 404), answer
    assert [record for record in standin.records if record.path != "/v1/models"] == []


def test_methods_that_are_not_listed_and_bodies_that_have_no_place(through, standin):
    with Raw(through.port) as peer:
        answer = peer.send(passed("/v1/files", b"x", method="PUT")).answer()
        assert answer.status == 405 and answer.field("allow") == "GET, POST, DELETE, OPTIONS"
    with Raw(through.port) as peer:
        assert peer.send(passed("/v1/audio/speech", method="GET")).answer("GET").status == 405
        assert peer.send(passed("/v1/files/file-1", method="HEAD")).answer("HEAD").status == 405
        assert peer.send(passed("/v1/files/file-1", b"x", method="GET")).answer("GET").status == 400
    with Raw(through.port) as peer:
        upgrade = peer.send(passed("/v1/files/file-1", b"", "Connection: Upgrade", "Upgrade: websocket", method="GET")).answer("GET")
        assert upgrade.status == 400 and "Upgrade" in upgrade.error["message"]
    assert standin.asked() == []


def test_a_body_beyond_the_limit_is_refused(start, standin):
    gateway = start(config.one(standin, passthrough=PATHS, limits={"body": "4KiB"}))
    with Raw(gateway.port) as peer:
        assert peer.send(passed("/v1/moderations", b"x" * 4097)).answer().status == 413
    assert standin.asked() == []


def test_a_passage_ends_with_the_configuration_that_has_it(through, standin):
    through.reload(config.one(standin))
    with Raw(through.port) as peer:
        until(lambda: peer.send(passed("/v1/files/file-1", method="GET")).answer("GET").status == 404, "the passage is gone")


# ---- Failures ------------------------------------------------------------------------------------------------------------------


SPEECH = (b'{"input":"x"}', "Content-Type: application/json", "Accept: application/octet-stream")


def speak(gateway):
    with Raw(gateway.port) as peer:
        return peer.send(passed("/v1/audio/speech", *SPEECH)).answer()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_is_passed_over(both, standin, second, status):
    standin.always(behaviour.overload(status, "60"))
    assert speak(both).body == speech_for("x")
    assert len(standin.asked()) == 1 and len(second.asked()) == 1


def test_an_endpoint_that_cannot_be_reached_is_passed_over(both, standin, second):
    standin.refuse_connections()
    assert speak(both).body == speech_for("x") and len(second.asked()) == 1


@pytest.mark.parametrize("fault", [behaviour.overload(500), behaviour.drop("fin"), behaviour.drop("rst"), behaviour.cut()],
                         ids=["500", "closed", "reset", "cut"])
def test_what_may_have_been_done_is_not_done_again(both, standin, second, fault):
    standin.always(fault)
    answer = speak_or_none(both)
    assert answer is None or answer.status in (500, 502)
    assert len(standin.asked()) == 1 and second.asked() == []


def speak_or_none(gateway):
    """None: the answer was cut."""
    try:
        return speak(gateway)
    except AssertionError:
        return None


@pytest.mark.parametrize("fault", [behaviour.overload(500), behaviour.drop("fin"), behaviour.drop("rst"), behaviour.html(302)],
                         ids=["500", "closed", "reset", "redirect"])
def test_what_can_be_asked_twice_is_asked_elsewhere(both, standin, second, fault):
    standin.always(fault)
    with Raw(both.port) as peer:
        assert peer.send(passed("/v1/files/file-9/content", method="GET")).answer("GET").body == content_of("file-9")
    assert [record.path for record in second.records if record.path.startswith("/v1/files")] == ["/v1/files/file-9/content"]


def test_an_endpoint_that_says_nothing_is_given_up(start, standin, second):
    gateway = start(config.one(standin, {"whole": config.short(0.3)}, passthrough=PATHS))
    standin.always(behaviour.stall("head"))
    assert speak(gateway).status == 504
    assert lines_of(gateway, 1)[0]["failed"] == "standin: silent"


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_refusals_come_back_word_for_word(through, standin, status):
    text = "<error>\u00e9</error>"
    standin.always(behaviour.normal(raw=f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nx-request-id: up-1\r\n"
                                        f"Content-Length: {len(text)}\r\n\r\n{text}"))
    answer = speak(through)
    assert answer.status == status and answer.body == text.encode("latin-1") and answer.field("content-type") == "application/xml"
    assert answer.field("thalweg-upstream-request-id") == "up-1"
    line = lines_of(through, 1)[0]
    assert line["outcome"] == "failed" and line["error"] == "upstream_refused" and len(standin.asked()) == 1


def test_a_refusal_that_is_longer_than_one_is_read_is_not_shown_as_whole(through, standin):
    text = "x" * (65 * 1024)
    standin.always(behaviour.normal(raw=f"HTTP/1.1 400 X\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n{text}"))
    answer = speak(through)
    assert answer.status == 400 and len(answer.body) < 2048 and answer.error["code"] == "upstream_refused"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_our_own_key_is_not_the_callers_fault(through, standin, status):
    standin.always(behaviour.refuse(status))
    answer = speak(through)
    assert answer.status == 502 and "refused its own key" in answer.error["message"]


def test_a_redirect_is_not_told(through, standin):
    standin.always(behaviour.normal(raw="HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"))
    answer = speak(through)
    assert answer.status == 502 and answer.field("location") is None


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_an_answer_that_is_cut_is_never_shown_as_whole(through, standin, framing, how, version):
    if framing == "close" and how == "fin":
        pytest.skip("an ordered end is what ends such an answer")
    standin.always(behaviour.normal(framing=framing, end=how))
    with Raw(through.port) as peer:
        peer.send(passed("/v1/files/file-200000/content", method="GET").replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
        head = peer.head()
        data = reset = None
        try:
            while data != b"":
                data = peer.socket.recv(65536)
                peer.buffer += data
        except ConnectionResetError:
            reset = True
    if head.field("transfer-encoding"):
        assert not peer.buffer.endswith(b"0\r\n\r\n")
    elif head.field("content-length"):
        assert len(peer.buffer) < 200000 == int(head.field("content-length"))
    else:
        assert reset, "nothing tells the client that the answer is cut"
    line = lines_of(through, 1)[0]
    assert line["outcome"] == "truncated" and line["error"] == "truncated"


def test_the_unmodified_client_sees_that_an_answer_is_cut(through, standin, python):
    standin.always(behaviour.normal(end="rst"))
    with pytest.raises(openai.APIConnectionError):
        python(through.base_url).files.content("file-200000").read()


# ---- Another API ---------------------------------------------------------------------------------------------------------------


@pytest.mark.violations
def test_what_goes_to_anthropics_api_has_its_key_version_and_betas(start, claude):
    """The stand-in has nothing there: what it answers with is the API's own 404."""
    batches = {"endpoints": ["claude"], "paths": ["/v1/messages/batches"], "methods": ["GET"]}
    gateway = start(config.claude_only(claude, passthrough={"batches": batches}))
    with Raw(gateway.port) as peer:
        answer = peer.send(passed("/v1/messages/batches", b"", "anthropic-version: 2023-06-01", "anthropic-beta: a-1", method="GET")).answer("GET")
        assert answer.status == 404 and answer.json["type"] == "error"
        wrong = peer.send(passed("/v1/messages/batches", b"", "anthropic-version: x", method="GET")).answer("GET")
        assert wrong.status == 400 and wrong.json["type"] == "error"
    record = claude.wait_for(lambda: next((one for one in claude.records if one.path == "/v1/messages/batches"), None), "it was asked")
    assert record.header("anthropic-beta") == "a-1" and record.header("x-api-key") == claude.key
