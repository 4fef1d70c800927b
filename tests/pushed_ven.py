"""A VEN that takes pushes, on a loop in a thread of its own, and certificates for both sides."""

from __future__ import annotations

import asyncio
import ssl
import threading

import trustme

from oadr2.poll import PollClient
from oadr2.push import PushApp, PushingVtn
from oadr2.push_server import PushServer
from oadr2.security import client_context, server_context

SERVICE = {
    "2.0a": "/OpenADR2/Simple/EiEvent",
    "2.0b": "/OpenADR2/Simple/2.0b/EiEvent",
}
XML = {"Content-Type": "application/xml"}


class PushedVen:
    """``with PushedVen(handler, vtn_url) as ven:`` serves at ``ven.url`` and answers to vtn_url.

    Without ``tls`` it is plain HTTP on loopback. ``options`` are those of PushingVtn.
    """

    def __init__(self, handler, vtn_url, *, tls=None, ask=False, app_options=None, **options):
        self.handler = handler
        self._vtn_url = vtn_url
        self._tls = tls
        self._ask = ask
        self._app_options = app_options or {}
        if tls is None:
            options.setdefault("plaintext", True)
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _main(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with PollClient(self.handler, self._vtn_url) as client:
            self.vtn = PushingVtn(self.handler, client, **self._options)
            app = PushApp(self.vtn, **self._app_options)
            async with PushServer(app, ssl_context=self._tls) as server:
                self.url = server.url
                self.port = server.port
                if self._ask:
                    self.vtn.answers.ask_for_events()
                self._ready.set()
                await self._stop.wait()
            await app.aclose()

    def run(self, work):
        """Run a coroutine on the VEN's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def wait_idle(self):
        self.run(self.vtn.answers.wait_idle())


class Certificates:
    """A CA in a folder, and certificates of it in files named after whom they are for."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def issue(self, file_name, *names, key_type=trustme.KeyType.ECDSA, common_name=None, ca=None):
        """The file with certificate and key."""
        cert = (ca or self.ca).issue_cert(*names, common_name=common_name, key_type=key_type)
        file = self.folder / f"{file_name}.pem"
        cert.private_key_and_cert_chain_pem.write_to_path(file)
        file.chmod(0o600)
        return file

    def ven_server(self, **names):
        """The context of a VEN at 127.0.0.1."""
        file = self.issue("ven", "127.0.0.1", **names)
        return server_context(file, client_ca_certs=self.ca_file)

    def vtn_client(self, file):
        """The context of a VTN that shows the certificate in ``file``; None: it shows none."""
        return client_context(self.ca_file, file)


def no_certificate():
    """A client that trusts everybody and shows nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
