"""Files that are read as a whole: never without end, and whatever reads one says so in one line."""

import io
from pathlib import Path

import pytest

from oadr2.cli import main
from oadr2.whole_file import MOST, read_stream, read_whole

ENDLESS = Path("/dev/zero")


def test_a_file_of_the_largest_size_is_read(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_whole(file, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes") as caught:
        read_whole(file, 4)
    assert caught.value.filename == str(file)


def test_no_more_of_a_stream_is_read_than_shows_that_it_is_too_large():
    stream = io.BytesIO(b"x" * 100)
    with pytest.raises(OSError, match="larger than 10 bytes"):
        read_stream(stream, 10, "it")
    assert stream.tell() == 11


VTN = ["--vtn-url", "https://127.0.0.1:9", "--ven-id", "v", "--once"]


@pytest.mark.skipif(not ENDLESS.exists(), reason="there is no /dev/zero here")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["validate", "FILE"], 1),
        (["fingerprint", "FILE"], 2),
        (["vtn", "--port", "0", "--events", "FILE"], 2),
        (["gateway", "check", "-c", "FILE"], 2),
        (["audit", "-c", "FILE"], 2),
        (["fleet", "FILE"], 2),
        (["fleet", "merge", "FILE", "FILE"], 2),
        (["points", "import", "FILE"], 2),
        (["poll", "-c", "FILE"], 2),
        (["poll", *VTN, "--ca-certs", "FILE"], 2),
        (["poll", *VTN, "--cert", "FILE"], 2),
        (["poll", *VTN, "--username", "u", "--password-file", "FILE"], 2),
        (["poll", *VTN, "--profile", "2.0b", "--reports", "FILE"], 2),
        (["poll", *VTN, "--profile", "2.0b", "--sign-cert", "FILE", "--sign-key", "FILE"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_file_without_end_is_one_line(arguments, code, capsys):
    given = [str(ENDLESS) if argument == "FILE" else argument for argument in arguments]
    assert main(given) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{ENDLESS}: it is larger than {MOST >> 20} MiB, the most that is read" in captured.err
    assert captured.err.count("\n") == 1
