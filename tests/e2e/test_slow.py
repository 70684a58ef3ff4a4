"""Slow peers: a reader that does not keep up slows its provider down and costs no memory; a writer that dawdles is timed out."""

import pytest

import config
from provider import answers, behaviour
from raw import Raw, chat, frames, request
from waiting import PATIENCE, until

MIB = 1024 * 1024
HUGE = behaviour.normal(text="x" * 4000 + " ", repeat=12_000)  # 46 MiB in frames of 4 KiB: more than all sockets on the way hold
SLOW_READERS = 4
# What may be held for one slow reader beside the kernel's own buffers: the connection's high-water mark (256 KiB) and the buffers of
# its two sides. A gateway that collected the streams would hold 180 MiB. Sanitizers keep what was freed, so they get more.
MOST_GROWN = (32 if PATIENCE == 1 else 512) * MIB


def test_a_slow_reader_holds_the_provider_back_and_memory_stays_bounded(gateway, standin):
    standin.always(HUGE)
    before = gateway.rss_bytes()
    peers = [Raw(gateway.port, receive_buffer=4096) for _ in range(SLOW_READERS)]
    for peer in peers:
        peer.send(request(chat(stream=True)))
    standin.wait_asked(SLOW_READERS)
    # Nobody reads: the provider's progress must come to a stop.
    last = [-1]

    def stands_still() -> bool:
        now = sum(record.frames_sent for record in standin.asked())
        still, last[0] = now == last[0] and now > 0, now
        return still and _stays(now, standin)

    until(stands_still, "the provider is held back", 60)
    assert not any(record.answered for record in standin.asked())
    assert gateway.rss_bytes() - before < MOST_GROWN
    # It goes on whole when one reads again.
    data = frames(peers[0].answer().body)
    assert data[-1] == "[DONE]" and len(data) > 1000
    for peer in peers:
        peer.socket.close()
    standin.wait_for(lambda: all(record.answered or record.gone_at for record in standin.asked()), "the others are cancelled", 30)


def _stays(frames_sent: int, standin) -> bool:
    """Nothing moves over a while: an event that must not come has to be waited out."""
    try:
        standin.wait_for(lambda: sum(record.frames_sent for record in standin.asked()) != frames_sent, "a frame", 0.5)
    except AssertionError:
        return True
    return False


def test_a_reader_that_takes_nothing_is_cut_off_in_the_end(start, standin):
    gateway = start(config.one(standin, limits={"write_timeout": config.short(0.5)}))
    standin.always(HUGE)
    with Raw(gateway.port, receive_buffer=4096) as peer:
        peer.send(request(chat(stream=True)))
        record = standin.wait_asked(1)[0]
        standin.wait_for(lambda: record.gone_at, "the provider is left once its reader is given up", 30)
        line = gateway.wait_lines(1)[0]
        assert line["outcome"] != "complete"
        with pytest.raises(AssertionError):  # cut off, not ended: no reader may take it for whole
            frames(peer.answer().body)


def test_a_reader_that_is_always_a_little_behind_makes_nothing_pile_up(gateway, standin):
    """It reads steadily and never catches up: what it has taken must be let go all the same."""
    standin.next(behaviour.normal(text="x" * 4000 + " ", repeat=6_000))
    most, received = 0, 0
    with Raw(gateway.port, receive_buffer=65536) as peer:
        peer.send(request(chat(stream=True)))
        standin.wait_asked(1)
        while received < 20 * MIB:
            received += len(peer.exactly(256 * 1024))
            most = max(most, gateway.metric("thalweg_held_bytes"))
    assert most < 4 * MIB


def test_a_slow_reader_delays_nobody_else(gateway, standin, python):
    standin.next(HUGE)
    with Raw(gateway.port, receive_buffer=4096) as peer:
        peer.send(request(chat(stream=True)))
        standin.wait_asked(1)
        for _ in range(20):
            assert python(gateway.base_url).chat.completions.create(model="big", messages=[{"role": "user", "content": "x"}]).choices


def test_a_huge_whole_answer_passes(gateway, standin):
    standin.always(behaviour.normal(text="0123456789abcdef", repeat=1_000_000))
    with Raw(gateway.port) as peer:
        answer = peer.send(request(chat())).answer()
    assert answer.json["choices"][0]["message"]["content"] == "0123456789abcdef" * 1_000_000


def test_an_answer_beyond_its_limit_is_an_error(start, standin):
    gateway = start(config.one(standin, limits={"answer": "1MiB"}))
    standin.always(behaviour.normal(text="x" * 1024, repeat=1200))
    with Raw(gateway.port) as peer:
        answer = peer.send(request(chat())).answer()
    assert answer.status == 502 and answer.error["message"]


def test_a_head_that_never_ends_is_timed_out(start, standin):
    gateway = start(config.one(standin, limits={"header_timeout": config.short(0.5)}))
    for sent in (b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", b"P"):
        with Raw(gateway.port) as peer:
            peer.send(sent)
            assert _refused_as_slow(peer)


def test_a_head_that_drips_is_timed_out_too(start, standin):
    """Slowloris: each byte comes in time, the head never."""
    gateway = start(config.one(standin, limits={"header_timeout": config.short(0.5)}))
    with Raw(gateway.port) as peer:
        peer.socket.settimeout(0.05)
        ended = False
        for _ in range(600):
            peer.send(b"a")
            try:
                ended = not peer.receive() or b"408" in peer.buffer
            except TimeoutError:
                continue
            if ended:
                break
        assert ended


def test_a_body_that_never_comes_is_timed_out(start, standin):
    gateway = start(config.one(standin, limits={"body_timeout": config.short(0.5)}))
    with Raw(gateway.port) as peer:
        peer.send(request(b"", "Content-Type: application/json", "Content-Length: 100", length=False) + b'{"model":')
        assert _refused_as_slow(peer)
    assert standin.asked() == []


def test_an_idle_connection_is_closed_in_silence(start, standin):
    gateway = start(config.one(standin, limits={"idle_timeout": config.short(0.5)}))
    with Raw(gateway.port) as peer:
        assert peer.send(request(method="GET", path="/healthz")).answer().status == 200
        assert peer.ended() and peer.buffer == b""


def test_connections_above_their_limit_are_turned_away_and_below_it_served_again(start, standin):
    gateway = start(config.one(standin, limits={"connections": 4}))
    held = [Raw(gateway.port) for _ in range(4)]
    for peer in held:
        assert peer.send(request(method="GET", path="/healthz")).answer().status == 200
    with Raw(gateway.port) as extra:
        extra.send(request(method="GET", path="/healthz"))
        data = b"".join(iter(extra.receive, b""))
        assert data == b"" or b" 503 " in data
    for peer in held:
        peer.socket.close()

    def served() -> bool:
        with Raw(gateway.port) as peer:
            peer.send(request(method="GET", path="/healthz"))
            return b" 200 " in peer.receive()
    until(served, "a connection is served again")


def test_streams_above_their_limit_are_503_with_retry_after(start, standin):
    gateway = start(config.one(standin, limits={"streams": 2}))
    standin.always(behaviour.stall("middle", 3))
    held = [Raw(gateway.port).send(request(chat(stream=True))) for _ in range(2)]
    standin.wait_asked(2)
    with Raw(gateway.port) as peer:
        answer = peer.send(request(chat())).answer()
    assert answer.status == 503 and answer.field("retry-after")
    for peer in held:
        peer.socket.close()
    standin.always(behaviour.normal())

    def free() -> bool:
        with Raw(gateway.port) as peer:
            return peer.send(request(chat())).answer().status == 200
    until(free, "the limit is free again")


def test_bytes_held_above_the_processs_budget_are_refused_and_the_budget_is_given_back(start, standin):
    """Two half-sent bodies of 12 MiB do not fit into 16 MiB; a claimed length alone takes nothing from others."""
    gateway = start(config.one(standin, limits={"held": "16MiB", "body": "14MiB", "answer": "1MiB"}))
    body = b'{"model":"big","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"' + b"x" * (12 * MIB) + b'"}}]}]}'
    claims = [Raw(gateway.port).send(request(b"", "Content-Type: application/json", f"Content-Length: {14 * MIB}", length=False)) for _ in range(4)]
    with Raw(gateway.port) as first, Raw(gateway.port) as second:
        first.send(request(body)[:-1])
        second.send(request(body)[:-1])
        refused = []

        def one_is_refused() -> bool:
            for peer in (first, second):
                peer.socket.settimeout(0.05)
                try:
                    refused.append((peer, peer.head()))
                except (TimeoutError, AssertionError):
                    continue
            return bool(refused)
        until(one_is_refused, "one of the two is refused")
        assert len(refused) == 1 and refused[0][1].status == 503 and refused[0][1].field("retry-after")
        kept = second if refused[0][0] is first else first
        kept.socket.settimeout(20)
        assert kept.send(b"}").answer().status == 200
    with Raw(gateway.port) as peer:
        assert peer.send(request(body)).answer().status == 200
    for peer in claims:
        peer.socket.close()
    until(lambda: gateway.metric("thalweg_held_bytes") < MIB, "the budget is given back")


def _refused_as_slow(peer: Raw) -> bool:
    data = b"".join(iter(peer.receive, b""))
    return data.startswith(b"HTTP/1.1 408 ") or peer.buffer.startswith(b"HTTP/1.1 408 ")
