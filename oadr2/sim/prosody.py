"""A Prosody of one's own: an XMPP server on a free loopback port, in a folder that goes with it.

For the demonstration and the tests. Needs Prosody (Debian: ``apt install prosody``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from oadr2.sim.server_process import ServerProcess, find_server

INSTALL: Final = "Prosody is not installed: apt install prosody, or see https://prosody.im/download"

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
    return find_server("prosody")


class ProsodyServer(ServerProcess):
    """Runs Prosody.

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

    name = "Prosody"
    program = "prosody"
    install = INSTALL
    log_name = "prosody.log"

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
        super().__init__(port=port)
        self.host = host
        self._users = dict(users)
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._services = services
        self._services_node = services_node

    def configure(self, folder: Path, port: int) -> list[str]:
        """Its configuration, accounts and modules."""
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
        return ["-F", "--config", str(folder / "prosody.cfg.lua")]

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
