"""Where settings come from, what wins, and what is said about a wrong one."""

import argparse
from pathlib import Path

import pytest

from oadr2.cli import main
from oadr2.cli.configuration import (
    apply_settings_file,
    comma_list,
    read_secret,
    seconds,
    web_address,
)
from oadr2.errors import ConfigurationError
from oadr2.toml_file import TomlFile


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Two verbs with every kind of option."""
    poll = argparse.ArgumentParser(prog="oadr2 poll")
    poll.add_argument("--vtn-url", type=web_address, required=True)
    poll.add_argument("--ven-id", required=True)
    poll.add_argument("--vtn-ids", type=comma_list)
    poll.add_argument("--interval", type=seconds, default=10.0)
    poll.add_argument("--profile", choices=("2.0a", "2.0b"), default="2.0a")
    poll.add_argument("--db", type=Path)
    poll.add_argument("--once", action="store_true")
    poll.add_argument("--no-name-check", action="store_false", dest="name_check")
    poll.add_argument("--log-format", choices=("text", "json"), default="text")
    poll.add_argument("--json", action="store_const", const="json", dest="log_format")
    poll.add_argument("--password-file", type=Path)
    vtn = argparse.ArgumentParser(prog="oadr2 vtn")
    vtn.add_argument("--port", type=int, default=8080)
    vtn.add_argument("--profile", choices=("2.0a", "2.0b"), default="2.0a")
    return {"poll": poll, "vtn": vtn}


def read(tmp_path: Path, text: str, *arguments: str) -> argparse.Namespace:
    file = tmp_path / "ven.toml"
    file.write_text(text)
    verbs = parsers()
    apply_settings_file(str(file), "poll", verbs)
    return verbs["poll"].parse_args(arguments)


BASE = 'vtn_url = "https://vtn.example/"\nven_id = "ven-1"\n'


def test_every_kind_of_value_comes_from_the_file(tmp_path):
    args = read(
        tmp_path,
        BASE
        + 'vtn_ids = ["a", " b "]\ninterval = 5\nonce = true\nprofile = "2.0b"\ndb = "x/e.db"\n',
    )
    assert (args.vtn_url, args.ven_id) == ("https://vtn.example/", "ven-1")
    assert args.vtn_ids == ("a", "b")
    assert args.interval == 5.0
    assert args.once is True
    assert args.profile == "2.0b"
    assert args.db == tmp_path / "x" / "e.db"


def test_a_comma_list_may_be_one_string(tmp_path):
    assert read(tmp_path, BASE + 'vtn_ids = "a, b"\n').vtn_ids == ("a", "b")


def test_an_absolute_path_stays(tmp_path):
    assert read(tmp_path, BASE + 'db = "/var/lib/e.db"\n').db == Path("/var/lib/e.db")


def test_the_verbs_table_beats_the_top_and_the_command_line_beats_both(tmp_path):
    text = BASE + 'interval = 1\nprofile = "2.0b"\n[poll]\ninterval = 2\n'
    args = read(tmp_path, text)
    assert (args.interval, args.profile) == (2.0, "2.0b")
    args = read(tmp_path, text, "--interval", "3", "--profile", "2.0a")
    assert (args.interval, args.profile) == (3.0, "2.0a")


def test_flags(tmp_path):
    args = read(tmp_path, BASE + "json = true\nno_name_check = true\n")
    assert (args.log_format, args.name_check, args.once) == ("json", False, False)
    args = read(tmp_path, BASE + "json = false\nno_name_check = false\nonce = false\n")
    assert (args.log_format, args.name_check, args.once) == ("text", True, False)
    args = read(tmp_path, BASE + "once = true\njson = true\n[poll]\nonce = false\njson = false\n")
    assert (args.log_format, args.once) == ("text", False)


def test_a_key_of_another_verb_is_welcome_at_the_top(tmp_path):
    args = read(tmp_path, BASE + "port = 99\n[vtn]\nport = 1\n")
    assert not hasattr(args, "port")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n# x\nven-id = 'a'\n", 3, ["unknown key ven-id", "did you mean ven_id?"]),
        ("intervall = 3\n", 1, ["unknown key intervall", "did you mean interval?"]),
        ("[poll]\nport = 1\n", 2, ["unknown key port in [poll]"]),
        ("[pol]\nport = 1\n", 1, ["no such verb: [pol]", "did you mean poll?"]),
        ("ven_id = 'a'\npoll = 3\n", 2, ["poll is a verb"]),
        ("[vtn]\nprt = 3\n", 2, ["unknown key prt in [vtn]", "did you mean port?"]),
        ("ven_id = 7\n", 1, ["ven_id", "a string, not a whole number"]),
        ("once = 'yes'\n", 1, ["once", "true or false, not a string"]),
        ("interval = '10'\n", 1, ["interval", "a number of seconds, not a string"]),
        ("interval = true\n", 1, ["interval", "a number of seconds, not true or false"]),
        ("interval = -1\n", 1, ["interval", "above 0"]),
        ("interval = nan\n", 1, ["interval", "above 0"]),
        ("[vtn]\n\nport = 1.5\n", 3, ["port", "a whole number, not a number"]),
        ("profile = '3'\n", 1, ["profile", "one of 2.0a, 2.0b"]),
        ("vtn_ids = ['a', 3]\n", 1, ["vtn_ids", "list of strings"]),
        ("vtn_ids = 3\n", 1, ["vtn_ids", "a string or a list of strings"]),
        ("vtn_ids = 'a,,b'\n", 1, ["vtn_ids", "empty"]),
        ("vtn_url = 'vtn.example'\n", 1, ["vtn_url", "http://"]),
        ("ven_id = 2020-01-01\n", 1, ["ven_id", "not a date or time"]),
        ("ven_id = 'a'\npassword = 'hunter2'\n", 2, ["password", "use password_file"]),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(tmp_path, text, line, words):
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'ven.toml'} line {line}: ")
    for word in words:
        assert word in message
    assert "hunter2" not in message
    assert "\n" not in message


def test_syntax_errors_carry_line_and_column(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ven\.toml line 2, column \d+: "):
        read(tmp_path, "ven_id = 'a'\nonce = tru\n")


def test_a_file_that_ends_too_soon(tmp_path):
    with pytest.raises(ConfigurationError, match=r"ven\.toml: .*end of document"):
        read(tmp_path, "ven_id = '''a")


def test_a_file_that_is_not_utf8(tmp_path):
    file = tmp_path / "ven.toml"
    file.write_bytes(b"# x\nven_id = '\xff'\n")
    with pytest.raises(ConfigurationError, match="line 2: not UTF-8"):
        TomlFile(file)


def test_a_file_that_begins_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "ven.toml"
    file.write_bytes(b'\xef\xbb\xbfven_id = "v"\nport = 1\n')
    toml = TomlFile(file)
    assert toml.data == {"ven_id": "v", "port": 1}
    assert (toml.line_of("ven_id"), toml.line_of("port")) == (1, 2)


def test_the_line_of_a_key_in_every_way_to_write_it(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text(
        '# a = 1\nb = """\na = 2\n"""\n"a" = 3\n\npoll.x = 1\nd = [\n  1,\n]\ne = 1\n[vtn]\na = 4\n'
    )
    settings = TomlFile(file)
    assert settings.line_of("b") == 2
    assert settings.line_of("a") == 5
    assert settings.line_of("poll", "x") == 7
    assert settings.line_of("d") == 8
    assert settings.line_of("e") == 11
    assert settings.line_of("vtn") == 12
    assert settings.line_of("vtn", "a") == 13


@pytest.mark.parametrize(
    "address", ["vtn", "ftp://vtn/", "http://", "http://[", "http://vtn:port/", "https:///x"]
)
def test_addresses_that_are_none(address):
    with pytest.raises(argparse.ArgumentTypeError):
        web_address(address)


NOBODY = "~nobody-of-that-name/x"


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('[poll]\ndb = "PATH"\n', ["poll", "-c"]),
        ('[[ven]]\nven_id = "v"\nvtn_url = "http://x"\ndb = "PATH"\n', ["ven", "status", "-c"]),
        ('[gateway]\ndb = "PATH"\n', ["audit", "-c"]),
        ('[[group]]\nven_ids_file = "PATH"\n', ["fleet"]),
        ('[tls]\nca_file = "PATH"\n[[group]]\ncount = 1\n', ["fleet"]),
        (
            '[[report]]\nid = "r"\nname = "TELEMETRY_USAGE"\n[[report.point]]\nr_id = "a"\n'
            'source = "file:PATH"\nunit = "powerReal"\n',
            ["poll", "--vtn-url", "http://x", "--ven-name", "n", "--profile", "2.0b", "--reports"],
        ),
    ],
    ids=["settings", "ven", "gateway", "ids", "tls", "report"],
)
def test_a_home_folder_that_nobody_knows_is_one_line(tmp_path, capsys, text, arguments):
    file = tmp_path / "file.toml"
    file.write_text(text.replace("PATH", NOBODY))
    assert main([*arguments, str(file)]) == 2
    errors = capsys.readouterr().err
    assert f"{NOBODY}: the home folder it begins with is not known" in errors
    place = "report 'r', point 'a'" if "report" in text else str(file)
    assert (errors.count("\n"), place in errors) == (1, True)


@pytest.mark.parametrize("given", ["HTTPS://VTN.example/A", " Https://VTN.example/A"])
def test_the_scheme_of_an_address_is_as_the_rest_compares_it(given):
    assert web_address(given) == "https://VTN.example/A"


def test_a_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(argparse.ArgumentTypeError, match="--password-file") as caught:
        web_address("https://me:hunter2@vtn.example/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://vtn.example/x?y=1", "http://vtn.example/#x"])
def test_a_web_address_ends_before_a_query(address):
    with pytest.raises(argparse.ArgumentTypeError, match="nothing behind"):
        web_address(address)


def secret_args(file: Path | None = None) -> argparse.Namespace:
    return argparse.Namespace(password_file=file, password_env="OADR2_TEST_PASSWORD")


def test_a_secret_comes_from_its_file_first(tmp_path, monkeypatch):
    monkeypatch.setenv("OADR2_TEST_PASSWORD", "from the environment")
    file = tmp_path / "secret"
    file.write_text(" p w \n")
    assert read_secret(secret_args(file), "password") == " p w "
    assert read_secret(secret_args(), "password") == "from the environment"
    monkeypatch.setenv("OADR2_TEST_PASSWORD", "")
    assert read_secret(secret_args(), "password") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\n", "the file is empty"), (b"\xff", "not UTF-8")],
)
def test_a_secret_file_that_is_of_no_use(tmp_path, content, words):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_secret(secret_args(file), "password")
    assert str(caught.value).startswith(f"--password-file {file}: ")


@pytest.mark.parametrize("arguments", [("--password", "hunter2"), ("--password=hunter2",)])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(capsys, arguments):
    assert main(["poll", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("oadr2 poll: --password ")
    assert "--password-file" in error
    assert error.count("\n") == 1
    assert "hunter2" not in error


def test_a_missing_settings_file(capsys, tmp_path):
    assert main(["poll", "-c", str(tmp_path / "none.toml")]) == 2
    error = capsys.readouterr().err
    assert (
        error == f"oadr2 poll: settings file {tmp_path / 'none.toml'}: No such file or directory\n"
    )


def test_a_required_option_may_come_from_the_file(capsys, tmp_path):
    file = tmp_path / "ven.toml"
    file.write_text('ven_id = "ven-1"\n')
    assert main(["poll", "--config", str(file)]) == 2
    error = capsys.readouterr().err
    assert "--vtn-url missing" in error
    assert "--ven-id" not in error
