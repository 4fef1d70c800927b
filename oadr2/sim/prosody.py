"""A Prosody of one's own: an XMPP server on a free loopback port, in a folder that goes with it.

For the demonstration and the tests. Needs Prosody (Debian: ``apt install prosody``).
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from oadr2.errors import ConfigurationError, TransportError

INSTALL: Final = "Prosody is not installed: apt install prosody, or see https://prosody.im/download"
_PATIENCE: Final = 30.0  # seconds until it listens
_TRIES: Final = 5  # another program may take the port that was free

_CONFIG: Final = """\
run_as_root = true
daemonize = false
pidfile = {pidfile}
data_path = {data}
plugin_paths = {{ {plugins} }}
certificates = {folder}
log = {{ {{ levels = {{ min = "info" }}, to = "file", filename = {log} }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_stanza_size_limit = 16 * 1024 * 1024
network_settings = {{ nagle = false }}
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s", "offline", "http" }}
c2s_require_encryption = {require_encryption}
allow_unencrypted_plain_auth = false
authentication = {authentication}
VirtualHost {host}
{tls}
"""


def find_prosody() -> str | None:
    """The path of the program, or None."""
    return shutil.which("prosody") or shutil.which("prosody", path="/usr/sbin:/usr/local/bin")


class ProsodyServer:
    """Runs Prosody from :meth:`start` to :meth:`stop`; use it in a ``with``.

    Args:
        users: the users and their passwords; they are ``name@host``.
        host: the domain it serves.
        port: where it listens; 0 takes a free port, and ``port`` says which after the start.
        certificate, key: PEM files; with them STARTTLS is offered, and required.
        client_ca: PEM file of the CA that vouches for clients. With it nobody has a password: a
            client is the user its certificate's common name says (SASL EXTERNAL).
        services: the JID that the domain names as its EiEvent service (facts.md X01), if any.
        services_node: the node it does so for; peers write it in two ways.

    Raises:
        ConfigurationError: Prosody is not installed.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        host: str = "localhost",
        port: int = 0,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        services: str | None = None,
        services_node: str = "http://openadr.org/openadr2#services",
    ) -> None:
        program = find_prosody()
        if program is None:
            raise ConfigurationError(INSTALL)
        self.host = host
        self.port = port
        self._program = program
        self._users = dict(users)
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._services = services
        self._services_node = services_node
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again on the port and with the data it had; returns when it listens.

        Raises:
            TransportError: it does not come up; the message has the end of its log.
        """
        if self._process is not None:
            raise RuntimeError("Prosody runs already")
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="oadr2-prosody-")
        for _ in range(1 if self.port else _TRIES):
            port = self.port or _free_port()
            self._configure(Path(self._folder.name), port)
            if self._listens(port):
                self.port = port
                return
        raise TransportError(f"Prosody does not start: {self._last_words()}")

    def kill(self) -> None:
        """End it as a crash would; :meth:`start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it, and forget its data."""
        self.kill()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self, folder: Path, port: int) -> None:
        accounts = folder / "data" / self.host.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        for name, password in self._users.items():
            account = f'return {{ ["password"] = {_text(password)}; }};\n'
            (accounts / f"{_file_name(name)}.dat").write_text(account, "utf-8")
        plugins = folder / "modules"
        plugins.mkdir(exist_ok=True)
        modules = ["roster", "saslauth", "disco", "ping", "presence", "message", "iq"]
        if self._certificate is not None:
            modules.append("tls")
        authentication = "internal_plain"
        if self._services is not None:
            (plugins / "mod_openadr_services.lua").write_text(
                _SERVICES.format(jid=_text(self._services), node=_text(self._services_node))
            )
            modules.append("openadr_services")
        if self._client_ca is not None:
            (plugins / "mod_auth_common_name.lua").write_text(_AUTH_COMMON_NAME)
            authentication = "common_name"
        (folder / "prosody.cfg.lua").write_text(
            _CONFIG.format(
                pidfile=_text(folder / "prosody.pid"),
                data=_text(folder / "data"),
                plugins=_text(plugins),
                folder=_text(folder),
                log=_text(folder / "prosody.log"),
                port=port,
                modules=", ".join(map(_text, modules)),
                require_encryption="true" if self._certificate else "false",
                authentication=_text(authentication),
                host=_text(self.host),
                tls=self._tls(),
            ),
            "utf-8",
        )

    def _tls(self) -> str:
        if self._certificate is None or self._key is None:
            return ""
        lines = [f"certificate = {_text(self._certificate)}", f"key = {_text(self._key)}"]
        if self._client_ca is not None:
            lines += [
                f"cafile = {_text(self._client_ca)}",
                'verify = { "peer", "fail_if_no_peer_cert" }',
                "verifyext = { }",
            ]
        return f"ssl = {{ {'; '.join(lines)} }}"

    def _listens(self, port: int) -> bool:
        assert self._folder is not None  # noqa: S101 - for the type checker
        config = Path(self._folder.name) / "prosody.cfg.lua"
        self._process = subprocess.Popen(  # noqa: S603 - our own configuration, no shell
            [self._program, "-F", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        give_up = time.monotonic() + _PATIENCE
        while self._process.poll() is None and time.monotonic() < give_up:
            try:
                with socket.create_connection(("127.0.0.1", port), 1.0):
                    if self._process.poll() is None:
                        return True
            except OSError:
                time.sleep(0.02)
        self.kill()
        return False

    def _last_words(self) -> str:
        assert self._folder is not None  # noqa: S101 - for the type checker
        log = Path(self._folder.name) / "prosody.log"
        try:
            lines = log.read_text("utf-8", "replace").splitlines()
        except OSError:
            return "it wrote no log"
        return " / ".join(lines[-3:]) or "its log is empty"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _text(value: object) -> str:
    """A Lua string. JSON's escapes of quotes, backslashes and line ends are Lua's too."""
    return json.dumps(str(value), ensure_ascii=False)


def _file_name(user: str) -> str:
    """How Prosody names a user's file: everything but letters and digits as %xx."""
    return "".join(
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02x}"
        for byte in user.encode()
    )


_SERVICES: Final = """\
local st = require "util.stanza";
module:add_feature("http://openadr.org/openadr2");
module:hook("host-disco-items-node", function(event)
	if event.node ~= {node} then return; end
	local base = "http://openadr.org/OpenADR2/";
	event.reply:tag("item", {{ jid = "elsewhere.invalid", node = base.."EiReport" }}):up();
	event.reply:tag("item", {{ jid = {jid}, node = base.."EiEvent" }}):up();
	event.exists = true;
end);
"""

_AUTH_COMMON_NAME: Final = """\
local new_sasl = require "util.sasl".new;
local provider = {};
function provider.test_password() return nil, "certificates only"; end
function provider.get_password() return nil, "certificates only"; end
function provider.set_password() return nil, "certificates only"; end
function provider.create_user() return nil, "certificates only"; end
function provider.user_exists() return true; end
function provider.get_sasl_handler(session)
	return new_sasl(module.host, {
		external = function()
			local certificate = session.conn:socket():getpeercertificate();
			if not certificate then return nil; end
			for _, entry in ipairs(certificate:subject()) do
				if entry.name == "commonName" then return entry.value, true; end
			end
		end;
	});
end
module:provides("auth", provider);
"""
