"""SIGTERM: running streams end whole, new work is refused, the exit code is 0."""

import signal

import config
from provider import answers, behaviour
from raw import Raw, chat, frames, request
from waiting import until

TEXT = answers.text_for("Where does it run?")


def test_a_running_stream_ends_whole_and_the_exit_code_is_0(gateway, standin):
    standin.next(behaviour.normal(gap=0.05))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(prompt="Where does it run?", stream=True)))
        standin.wait_for(lambda: standin.asked() and standin.asked()[0].frames_sent >= 3, "the stream has begun")
        gateway.terminate()
        data = frames(peer.answer().body)
        assert data[-1] == "[DONE]" and len(data) == len(answers.pieces_of(TEXT)) + 3
        assert peer.ended(), "a drained connection stays open"
    assert gateway.wait_end() == 0
    assert gateway.lines()[-1]["outcome"] == "complete"


def test_a_running_whole_answer_is_delivered(gateway, standin):
    standin.next(behaviour.normal(framing="chunked", piece=1))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(prompt="Where does it run?")))
        standin.wait_asked(1)
        gateway.terminate()
        assert peer.answer().json["choices"][0]["message"]["content"] == TEXT
    assert gateway.wait_end() == 0


def test_new_connections_are_refused_while_draining(gateway, standin):
    standin.next(behaviour.stall("middle", 3))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(stream=True)))
        standin.wait_for(lambda: standin.asked() and standin.asked()[0].frames_sent >= 3, "the stream has begun")
        gateway.terminate()

        def turned_away() -> bool:
            try:
                with Raw(gateway.port) as late:
                    data = late.send(request(chat())).receive()
                    return data == b"" or b" 503 " in data
            except OSError:
                return True
        until(turned_away, "new work is refused")
        peer.socket.close()
    assert gateway.wait_end() == 0
    assert len(standin.asked()) <= 2


def test_a_stream_that_outlives_the_drain_limit_is_cut_with_an_error(start, standin):
    gateway = start(config.one(standin, limits={"drain": config.short(0.5)}))
    standin.next(behaviour.stall("middle", 4))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(stream=True)))
        standin.wait_for(lambda: standin.asked() and standin.asked()[0].frames_sent >= 4, "the stream has begun")
        gateway.terminate()
        data, _ = peer.stream()
    assert "[DONE]" not in data and data[-1].startswith('{"error"')
    assert gateway.wait_end() == 0


def test_an_idle_gateway_ends_at_once_also_with_kept_connections(gateway):
    with Raw(gateway.port) as peer:
        assert peer.send(request(method="GET", path="/healthz")).answer().status == 200
        gateway.terminate()
        assert peer.ended()
    assert gateway.wait_end(10) == 0


def test_ctrl_c_drains_too(gateway):
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.wait_end(10) == 0


def test_the_last_lines_of_the_access_log_are_written_before_the_end(gateway):
    for _ in range(50):
        assert gateway.post("/v1/chat/completions", chat()).status == 200
    gateway.terminate()
    assert gateway.wait_end() == 0
    assert len([line for line in gateway.lines() if line["method"] == "POST"]) == 50
