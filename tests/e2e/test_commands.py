"""Commands that read and print: any argument gives an exit code of 0, 1 or 2 and a sentence, and what is printed can be used."""

import json
import pathlib

import pytest

from command import NOWHERE, command, write
from gateway import Key

ASK = {"model": "big", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    write(tmp_path / "open.yaml", NOWHERE)
    write(tmp_path / "keys.yaml", {**NOWHERE, "keys": [Key("laptop", ["big"]).settings, Key("desk", ["big"]).settings]})
    (tmp_path / "ask.json").write_text(json.dumps(ASK))
    return tmp_path


@pytest.mark.parametrize("id, tenant", [("laptop", "research"), ("null", "null"), ("true", "a"), ("1", "1.5"), ("1e3", "0x1F"), ("no", "Yes"),
                                        ("2026-01-01", "2026-01-01"), ("a" * 32, "B" * 64), ("0", "a:b"), ("a-", "a.b_c-d:")])
def test_the_line_of_a_new_key_says_its_id_and_tenant_to_the_configuration(folder, id, tenant):
    done = command("key", "new", "--id", id, "--tenant", tenant)
    assert done.returncode == 0, done.stderr
    text, line = done.stdout.decode().splitlines()[1].strip(), done.stdout.decode().splitlines()[-1]
    assert text.startswith(f"tw_{id}_")
    file = folder / "new.yaml"
    file.write_text((folder / "open.yaml").read_text() + f"keys:\n{line}\n")
    checked = command("config", "check", str(file))
    assert checked.returncode == 0 and b"1 key" in checked.stdout, checked.stderr
    # YAML readers that guess types, such as an editor's, must see text too. A flow map of quoted values is JSON but for its names.
    entry = dict(part.split(": ", 1) for part in line.strip().removeprefix("- {").removesuffix("}").split(", "))
    assert json.loads(entry["id"]) == id and json.loads(entry["tenant"]) == tenant and len(json.loads(entry["sha256"])) == 64
    asked = command("place", "-c", str(file), "--key", id, str(folder / "ask.json"))
    assert b"no key" not in asked.stderr


def test_a_new_key_without_an_id_has_a_random_one(folder):
    first, second = (command("key", "new").stdout.splitlines()[-1] for _ in range(2))
    assert first != second and b'tenant: "default"' in first


@pytest.mark.parametrize("arguments, told", [(["--tenant", "a, models: [x]"], "tenant"), (["--tenant", ""], "tenant"), (["--tenant", "a}\n- {id: b"], "tenant"),
                                             (["--tenant", "a" * 65], "tenant"), (["--id", ""], "key"), (["--id", "-a"], "key"), (["--id", "A"], "key"),
                                             (["--id", "a b"], "key"), (["--id", "a" * 33], "key")])
def test_a_new_key_is_refused_a_name_that_the_configuration_would_refuse(arguments, told):
    done = command("key", "new", *arguments)
    assert done.returncode == 2 and f"no name for a {told}" in done.stderr.decode() and done.stdout == b""


def test_where_keys_are_configured_a_dry_run_needs_one(folder):
    done = command("place", "-c", str(folder / "keys.yaml"), str(folder / "ask.json"))
    assert done.returncode == 2 and b"--key" in done.stderr and b"laptop" in done.stderr and b"desk" in done.stderr and done.stdout == b""
    for more in (["keys.yaml", "--key", "laptop"], ["open.yaml"]):
        done = command("place", "-c", str(folder / more[0]), *more[1:], str(folder / "ask.json"))
        assert done.returncode == 0 and b"far/m" in done.stdout, done.stderr


@pytest.mark.parametrize("request_file, told", [("/tmp", "folder"), ("/none/there", "cannot read"), ("/dev/zero", "limits.body")])
def test_a_dry_run_of_what_is_no_request_says_so(folder, request_file, told):
    done = command("place", "-c", str(folder / "open.yaml"), request_file)
    assert done.returncode == 1 and told in done.stderr.decode()


def test_a_file_name_that_is_not_utf8_can_be_examined(folder):
    done = command("doctor", "--json", "-c", b"\xff", cwd=folder)
    assert done.returncode in (0, 1) and any("\ufffd" in finding["detail"] for finding in json.loads(done.stdout)), done.stderr


def test_a_file_name_that_no_file_can_have_is_an_error(folder):
    assert command("doctor", "-c", "x" * 5000, cwd=folder).returncode == 1


def test_what_no_command_expects_is_a_sentence_and_an_exit_code(folder):
    """A full disk under stdout."""
    with open("/dev/full", "wb") as full:
        done = command("config", "schema", stdout=full)
    assert done.returncode == 1 and done.stderr.startswith(b"thalweg: ")
