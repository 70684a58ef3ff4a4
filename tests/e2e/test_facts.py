"""`thalweg facts`: the catalogue that comes with the program, files of one's own over it, and what is old."""

import datetime
import json
import pathlib
import shutil

import pytest

from command import NOWHERE, command, write

CATALOGUE = pathlib.Path(__file__).resolve().parents[2] / "data/facts"
KINDS = ["prices", "models", "hardware", "grid", "pue", "energy"]
TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def day(days_ago: int) -> str:
    return (TODAY - datetime.timedelta(days=days_ago)).isoformat()


def prices(entries: str, as_of: str | None = None) -> str:
    return (f"facts: prices\nunit: USD/Mtok\nsources: {{ours: {{title: Our contract, licence: internal, class: p, kind: published, as_of: {as_of or day(0)}}}}}\n"
            f"entries: {{{entries}}}\n")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.yaml").write_text(prices("openai/gpt-4o: {input: 1.5, output: 6}, ours/large: {input: 0.1}"))
    write(tmp_path / "thalweg.yaml", {**NOWHERE, "facts": {"files": ["mine.yaml"]}})
    return tmp_path


def listed(*arguments, **more) -> dict:
    done = command("facts", "list", *arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def entry(found: dict, name: str) -> dict:
    return next(entry for entry in found["entries"] if entry["name"] == name)


def test_the_catalogue_is_found_beside_the_program():
    """Whatever the working folder; a line a kind, and the hash that decisions will name."""
    done = command("facts", "list", cwd="/")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines[1:7]] == KINDS
    assert lines[-1] == f"sha256 {listed()['sha256']}"


def test_every_entry_has_kind_date_class_and_source():
    found = listed()
    assert {entry["kind"] for entry in found["entries"]} == set(KINDS)
    for entry in found["entries"]:
        assert entry["figure"] in ("published", "measured", "modelled") and entry["class"] in ("p", "s", "b") and entry["values"]
        assert (entry["model"] is not None) == (entry["figure"] == "modelled")
        assert datetime.date.fromisoformat(entry["as_of"]) <= TODAY and entry["source"]["title"] and entry["source"]["licence"]
        assert entry["age"] in ("fresh", "stale", "expired") and entry["override"] is False


def test_an_entry_is_shown_whole():
    done = command("facts", "show", "openai/gpt-4o")
    told = done.stdout.decode()
    assert done.returncode == 0 and "openai/gpt-4o: prices" in told and "openai/gpt-4o: models" in told
    assert "2.5 USD/Mtok" in told and "2026-07-24" in told and "modelled by ecologits-0.9.1" in told and "44 to 132" in told
    zone = command("facts", "show", "US-CA").stdout.decode()
    assert "average, life-cycle, production, final" in zone
    assert sum(len(line.split()) == 24 for line in zone.splitlines()) == 12
    named_otherwise = json.loads(command("facts", "show", "llama3.1:8b", "--json").stdout)
    assert [entry["name"] for entry in named_otherwise["entries"]] == ["meta-llama/Llama-3.1-8B-Instruct"]


def test_an_unknown_name_gets_a_suggestion():
    done = command("facts", "show", "openai/gpt4o")
    assert done.returncode == 1 and b'did you mean "openai/gpt-4o"?' in done.stderr and not done.stdout


def test_a_file_of_ones_own_replaces_whole_entries_and_adds_others(folder):
    before, after = listed(), listed("--config", "thalweg.yaml", cwd=folder)
    assert before["sha256"] != after["sha256"] and len(after["entries"]) == len(before["entries"]) + 1
    changed = next(entry for entry in after["entries"] if (entry["kind"], entry["name"]) == ("prices", "openai/gpt-4o"))
    assert changed["values"] == {"input": 1.5, "output": 6} and changed["override"] and changed["source"]["title"] == "Our contract"
    assert entry(after, "ours/large")["as_of"] == day(0)
    # Not named, not counted.
    assert listed(cwd=folder) == before
    told = command("facts", "list", "prices", "--config", "thalweg.yaml", cwd=folder).stdout.decode()
    assert sum("override" in line for line in told.splitlines()) == 2


def test_config_check_reads_the_files(folder):
    assert command("config", "check", cwd=folder).returncode == 0
    (folder / "mine.yaml").write_text(prices("ours/large: {input: 0.1, outptu: 1}"))
    done = command("config", "check", cwd=folder)
    assert done.returncode == 2 and b'mine.yaml:4:' in done.stderr and b'did you mean "output"?' in done.stderr
    # And whoever loads the configuration refuses it with the same words.
    listed_with_it = command("facts", "list", "--config", "thalweg.yaml", cwd=folder)
    assert listed_with_it.returncode == 2 and listed_with_it.stderr == done.stderr
    (folder / "mine.yaml").unlink()
    assert command("config", "check", cwd=folder).returncode == 2


def test_what_is_old_is_flagged(folder):
    (folder / "old.yaml").write_text(prices("a/fresh: {input: 1}, " + ", ".join(
        [f"a/edge: {{input: 1, as_of: {day(180)}}}", f"a/stale: {{input: 1, as_of: {day(181)}}}", f"a/over: {{input: 1, as_of: {day(9)}, until: {day(1)}}}",
         f"a/last-day: {{input: 1, as_of: {day(9)}, until: {day(0)}}}"])))
    write(folder / "thalweg.yaml", {**NOWHERE, "facts": {"files": ["old.yaml"]}})
    ours = {entry["name"]: entry["age"] for entry in listed("prices", "--config", "thalweg.yaml", cwd=folder)["entries"] if entry["override"]}
    # A test that runs over midnight in UTC sees the next day's ages.
    if datetime.datetime.now(datetime.timezone.utc).date() == TODAY:
        assert ours == {"a/fresh": "fresh", "a/edge": "fresh", "a/stale": "stale", "a/over": "expired", "a/last-day": "fresh"}
    old = {entry["name"] for entry in listed("prices", "--stale", "--config", "thalweg.yaml", cwd=folder)["entries"]}
    assert {"a/stale", "a/over"} <= old and "a/fresh" not in old

    checked = command("facts", "check", "old.yaml", cwd=folder)
    assert checked.returncode == 0 and b"5 entries, 2 stale" in checked.stdout
    assert b'stale: "a/stale"' in checked.stderr and b'expired: "a/over"' in checked.stderr and b"180 days" in checked.stderr
    assert command("facts", "check", "--strict", "old.yaml", cwd=folder).returncode == 1
    assert command("facts", "check", "--strict", "mine.yaml", cwd=folder).returncode == 0


def test_check_tells_every_error_with_its_place(folder):
    (folder / "wrong.yaml").write_text(prices("a/b: {input: 0.0000001}, a/c: {imput: 1}", as_of="2026-13-01"))
    done = command("facts", "check", "mine.yaml", "wrong.yaml", cwd=folder)
    assert done.returncode == 2 and not done.stdout
    told = done.stderr.decode()
    assert "wrong.yaml:4:24: error: entries.a/b.input" in told and "round it up" in told and "wrong.yaml:4:42" in told and "as_of" in told
    (folder / "later.yaml").write_text(prices("a/b: {input: 1}", as_of=day(-3)))
    assert command("facts", "check", "later.yaml", cwd=folder).returncode == 2
    assert command("facts", "check", "nowhere.yaml", cwd=folder).returncode == 2


def test_a_file_that_is_no_file_of_facts_is_not_repeated(folder):
    (folder / "secret").write_text("-----BEGIN PRIVATE KEY-----canary\n")
    done = command("facts", "check", "secret", cwd=folder)
    assert done.returncode == 2 and b"canary" not in done.stderr and b"no file of facts" in done.stderr


def test_another_catalogue_and_none(folder):
    empty = folder / "empty"
    empty.mkdir()
    assert command("facts", "list", "--catalogue", str(empty)).returncode == 1
    assert command("facts", "list", "--catalogue", str(folder / "nowhere")).returncode == 1
    copy = folder / "copy"
    shutil.copytree(CATALOGUE, copy)
    assert listed("--catalogue", str(copy))["sha256"] == listed("--catalogue", str(CATALOGUE))["sha256"]
    (copy / "twice.yaml").write_text(prices("openai/gpt-4o: {input: 1}"))
    done = command("facts", "check", "--catalogue", str(copy))
    assert done.returncode == 2 and b"twice.yaml" in done.stderr and b"prices.yaml already" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("list", "rivers"), ("show",), ("list", "prices", "grid"), ("lits",)])
def test_wrong_use_is_two(arguments):
    assert command("facts", *arguments).returncode == 2


@pytest.mark.parametrize("arguments", [(), ("list",), ("show",), ("check",)])
def test_help_has_an_example(arguments):
    done = command("facts", *arguments, "--help")
    assert done.returncode == 0 and b"Example: thalweg facts" in done.stdout
