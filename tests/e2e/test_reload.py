"""A changed configuration is checked whole and swapped in while streams run; a bad one leaves the old one running and says so."""

import pytest

import config
from gateway import Key, to_yaml
from provider import answers, behaviour
from raw import Raw, chat, frames, request
from waiting import until

TEXT = answers.text_for("Where does it run?")


def with_model(settings: dict, name: str) -> dict:
    return {**settings, "models": {**settings["models"], name: settings["models"]["big"]}}


def complete(peer: Raw) -> bool:
    data = frames(peer.answer().body)
    return data[-1] == "[DONE]" and len(data) == len(answers.pieces_of(TEXT)) + 3  # role, pieces, finish, mark


def _begun(standin) -> None:
    standin.wait_for(lambda: standin.asked() and standin.asked()[0].frames_sent >= 3, "the stream has begun")


@pytest.mark.parametrize("by", ["SIGHUP", "the changed file alone"])
def test_a_reload_shows_the_new_model_and_drops_no_stream(gateway, standin, by):
    standin.next(behaviour.normal(gap=0.05))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(prompt="Where does it run?", stream=True)))
        _begun(standin)
        new = with_model(gateway.settings, "fresh")
        gateway.reload(new) if by == "SIGHUP" else gateway.write(new)
        until(lambda: "fresh" in gateway.model_names(), "the new model is listed")
        assert not standin.asked()[0].answered, "the stream ended before the reload; the test shows nothing"
        assert complete(peer)
    assert gateway.post("/v1/chat/completions", chat("fresh")).status == 200


def test_a_stream_survives_the_removal_of_its_own_model_and_endpoint(start, standin, second):
    gateway = start(config.two(standin, second))
    standin.next(behaviour.normal(gap=0.05))
    with Raw(gateway.port) as peer:
        peer.send(request(chat(prompt="Where does it run?", stream=True)))
        _begun(standin)
        only_second = config.settings({"second": gateway.settings["endpoints"]["second"]}, {"other": [f"second/{config.SHOWN_NAME}"]})
        gateway.reload(only_second)
        until(lambda: "big" not in gateway.model_names(), "the old model is gone")
        assert gateway.post("/v1/chat/completions", chat("big")).status == 404
        assert gateway.post("/v1/chat/completions", chat("other")).status == 200
        assert complete(peer)
    assert (len(standin.asked()), len(second.asked())) == (1, 1)


BAD = {
    "no YAML": "listen: [unclosed",
    "an unknown key": "listen: 127.0.0.1:0\nendpionts: {}\n",
    "a dangling name": None,
    "empty": "",
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_leaves_the_old_configuration_running_and_says_so(gateway, standin, bad):
    text = BAD[bad]
    if text is None:
        text = {**gateway.settings, "models": {"big": ["nowhere/gpt-test"]}}
    good = gateway.settings
    gateway.reload(text)
    until(lambda: "thalweg.yaml" in gateway.stderr(), "the fault is named on stderr")
    if bad == "an unknown key":
        assert "endpoints" in gateway.stderr() and ":2:1" in gateway.stderr()
    assert gateway.model_names()[:1] == ["big"]
    assert gateway.post("/v1/chat/completions", chat()).status == 200
    gateway.reload(with_model(good, "fresh"))
    until(lambda: "fresh" in gateway.model_names(), "a good file is taken after a bad one")


def test_a_revoked_key_is_refused_after_the_reload(start, standin, python):
    old, new = Key("old", ["big"]), Key("new", ["big"])
    gateway = start(config.one(standin, keys=[old.settings, new.settings]))
    assert "big" in gateway.model_names(old.text)
    gateway.reload({**gateway.settings, "keys": [new.settings]})
    refused = lambda: gateway.get("/v1/models", headers={"Authorization": f"Bearer {old.text}"}).status == 401
    until(refused, "the revoked key is refused")
    assert "big" in gateway.model_names(new.text)


def test_a_kept_connection_sees_the_new_configuration(gateway):
    with Raw(gateway.port) as peer:
        assert peer.send(request(chat("fresh"))).answer().status == 404
        gateway.reload(with_model(gateway.settings, "fresh"))
        until(lambda: "fresh" in gateway.model_names(), "the new model is listed")
        assert peer.send(request(chat("fresh"))).answer().status == 200


def test_an_endpoint_moves_without_a_lost_request(start, standin, second):
    """A hundred requests while `big` moves from one provider to the other and back: each is answered, by one of them."""
    gateway = start(config.one(standin))
    there = config.settings({"second": config.remote(second, "SECOND_KEY")}, {"big": [f"second/{config.SHOWN_NAME}"]})
    here = gateway.settings
    for number in range(100):
        if number % 20 == 10:
            gateway.reload(there if number % 40 == 10 else here)
        assert gateway.post("/v1/chat/completions", chat()).status == 200
    until(lambda: gateway.post("/v1/chat/completions", chat()).status == 200 and second.asked(), "the other provider is used too")
    assert len(standin.asked()) + len(second.asked()) >= 100


def test_a_log_file_that_was_moved_away_is_opened_anew(gateway):
    gateway.post("/v1/chat/completions", chat())
    gateway.wait_lines(1)
    gateway.access_log.rename(gateway.access_log.with_suffix(".1"))
    gateway.reload(gateway.settings)

    def written_anew() -> bool:
        gateway.post("/v1/chat/completions", chat())
        return bool(gateway.lines())
    until(written_anew, "lines in the new file")


def test_a_file_behind_a_link_is_seen_to_change(gateway, tmp_path):
    """Written in another folder, and as Kubernetes mounts a ConfigMap: a link to a link that is swapped."""
    text = lambda model: to_yaml(with_model({**gateway.settings, "log": {"access": str(gateway.access_log)}}, model)) + "\n"
    listed = lambda model: until(lambda: model in gateway.model_names(), f"{model} is listed")
    real = tmp_path / "real.yaml"
    real.write_text(text("by-a-new-link"))
    gateway.config.unlink()
    gateway.config.symlink_to(real)
    listed("by-a-new-link")
    real.write_text(text("by-its-target"))
    listed("by-its-target")
    for version in ("first", "second"):
        (gateway.folder / version).mkdir()
        (gateway.folder / version / "thalweg.yaml").write_text(text(version))
    data = gateway.folder / "..data"
    data.symlink_to("first")
    gateway.config.unlink()
    gateway.config.symlink_to("..data/thalweg.yaml")
    listed("first")
    next_data = gateway.folder / "..data_tmp"
    next_data.symlink_to("second")
    next_data.replace(data)
    listed("second")
    assert gateway.metric("thalweg_config_reloads_total", result="failed") == 0
