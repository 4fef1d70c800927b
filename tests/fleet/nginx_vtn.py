"""A VTN that costs next to nothing: nginx, which answers every poll with the same stored list.

Also for benchmarks/. A request longer than a poll is an oadrCreatedEvent and gets an oadrResponse, so
that both exchanges of a poll are as in the field.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import pytest

from oadr2.sim.vtn import SimulatedVtn

INSTALL: Final = "nginx is not installed: apt install nginx-light"
_LONGEST_TEXT: Final = 4000  # what nginx takes as one word of its configuration

RESPONSE: Final = b"""<?xml version="1.0" encoding="UTF-8"?>
<oadr:oadrResponse xmlns:oadr="http://openadr.org/oadr-2.0a/2012/07"
 xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"
 xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads">
<ei:eiResponse><ei:responseCode>200</ei:responseCode><pyld:requestID/></ei:eiResponse></oadr:oadrResponse>"""

_CONFIG: Final = """\
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  {log}
  keepalive_requests 1000000000;
  keepalive_timeout 3600s;
  default_type application/xml;
  types {{}}
  client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; scgi_temp_path t; uwsgi_temp_path t;
  map $content_length $is_answer {{ default 0; "~^({longer})$" 1; }}
  {garbage}
  server {{
    {listen}
    {tls}
{locations}
  }}
}}
"""
_LOCATION: Final = """\
    location ~ ^/{name}/ {{
      {garbage}
      if ($is_answer) {{ return 200 '{response}'; }}
      return 200 '{body}';
    }}
"""


def find_nginx() -> str | None:
    """The path of the program, or None."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def require_nginx() -> None:
    """Skip the test without nginx; fail it where OADR2_REQUIRE_NGINX=1 says there must be one."""
    if find_nginx() is None:
        if os.environ.get("OADR2_REQUIRE_NGINX") == "1":
            pytest.fail(f"OADR2_REQUIRE_NGINX is set, and {INSTALL}")
        pytest.skip(INSTALL)


def stored_list(response_required: str = "never") -> bytes:
    """A list of one event that runs now, for every VEN."""
    vtn = SimulatedVtn()
    vtn.add_event(
        "event-1", start="-10m", duration="PT2H", level=1, response_required=response_required
    )
    from oadr2.event import EventHandler  # noqa: PLC0415 - only for its first request

    return vtn.handle(EventHandler("anybody").build_request_payload(), "2.0a")


class NginxVtn:
    """nginx on a free port, in a folder of its own: ``with NginxVtn({"never": list_}) as vtn:``.

    Args:
        lists: by the first part of the path, the list that is answered there.
        hosts: the addresses it listens on.
        certificate, key: PEM files; with them it speaks TLS.
        client_ca: PEM file of the CA that clients need a certificate of.
        port: 0 takes a free one.
        longer: the lengths of requests that get an oadrResponse, as a regular expression.
        garbage: share of the connections, such as "10%", that get no XML.
        log: what nginx writes of each request, in its own variables.
    """

    def __init__(
        self,
        lists: Mapping[str, bytes],
        *,
        hosts: tuple[str, ...] = ("127.0.0.1",),
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        connections: int = 2000,
        port: int = 0,
        log: str = "",
        longer: str = "[6-9]..|....+",
        garbage: str = "",
    ) -> None:
        self.lists = lists
        self._hosts = hosts
        self._tls = (certificate, key, client_ca)
        self._connections = connections
        self.port = port
        self._log = log
        self._longer = longer
        self._garbage = garbage
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def url(self, name: str, host: str = "127.0.0.1") -> str:
        """The base address of a VTN that answers with the list of this name."""
        scheme = "http" if self._tls[0] is None else "https"
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.port}/{name}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        program = find_nginx()
        assert program is not None, INSTALL
        if not self.port:
            with socket.socket() as probe:
                probe.bind((self._hosts[0], 0))
                self.port = probe.getsockname()[1]
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="oadr2-nginx-")
        folder = Path(self._folder.name)
        (folder / "nginx.conf").write_text(self._config(), encoding="utf-8")
        command = [program, "-p", f"{folder}/", "-c", "nginx.conf"]
        with (folder / "out").open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        deadline = time.monotonic() + 30
        while True:
            try:
                connection = socket.create_connection((self._hosts[0], self.port), 1)
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "out").read_text()) from None
                time.sleep(0.02)
            else:
                connection.close()
                return

    def stop(self) -> None:
        """Kill it, connections and all; :meth:`start` has it back on the same port."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log(self) -> list[str]:
        """Its lines, since :meth:`clear_log`."""
        return self._log_file.read_text().splitlines()

    def clear_log(self) -> None:
        self._log_file.write_text("")  # nginx appends, so it goes on from here

    @property
    def _log_file(self) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / "access.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()

    def _config(self) -> str:
        certificate, key, client_ca = self._tls
        tls = ""
        if certificate is not None:
            tls = f"ssl_certificate {certificate}; ssl_certificate_key {key};"
            tls += " ssl_session_cache shared:s:10m;"
        if client_ca is not None:
            tls += f" ssl_client_certificate {client_ca}; ssl_verify_client on;"
        kind = "" if certificate is None else " ssl"
        hosts = [f"[{host}]" if ":" in host else host for host in self._hosts]
        garbage = "if ($garbage) { return 200 '<not><xml>'; }" if self._garbage else ""
        return _CONFIG.format(
            files=self._connections + 100,
            connections=self._connections + 50,
            longer=self._longer,
            listen=" ".join(f"listen {host}:{self.port}{kind} backlog=4096;" for host in hosts),
            tls=tls,
            garbage=f'split_clients "$connection" $garbage {{ {self._garbage} 1; * 0; }}'
            if self._garbage
            else "",
            log=f"log_format f '{self._log}'; access_log access.log f;"
            if self._log
            else "access_log off;",
            locations="".join(
                _LOCATION.format(
                    name=name, garbage=garbage, body=_word(body), response=_word(RESPONSE)
                )
                for name, body in self.lists.items()
            ),
        )


def _word(body: bytes) -> str:
    text = body.decode()
    assert len(body) <= _LONGEST_TEXT, f"nginx stores no more than {_LONGEST_TEXT} bytes"
    assert "$" not in text, "nginx would read a variable"
    return text.replace("\\", "\\\\").replace("'", "\\'")
