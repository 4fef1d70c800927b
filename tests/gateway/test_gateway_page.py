"""The status page, its data, and what machines ask: /metrics, /healthz, /readyz."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_rig import PATIENCE, eventually, write_file

from oadr2.errors import ConfigurationError
from oadr2.gateway.configuration import PageSettings, read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.live_point import Changes
from oadr2.gateway.page import page_server
from oadr2.gateway.page.app import PageApp
from oadr2.gateway.page.data import MOST_ROWS
from oadr2.gateway.page.health import STUCK_AFTER
from oadr2.gateway.vens import VenLink
from oadr2.orders import Order, Orders
from oadr2.push_server import PushServer
from oadr2.sim import SimulatedVtn, VtnServer, VtnServices
from oadr2.store import EventStore

TOKEN = "0123456789abcdef-page"
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
LOAD = 'levels = { 0 = 100, 1 = 70, 2 = 40 }\nstart = 100\nverify = "10ms"'
METRIC = re.compile(
    r'[a-z_0-9]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+|# (HELP|TYPE) [a-z_0-9]+ .+'
)


def load(name: str, more: str = "") -> str:
    return f'name = "{name}"\ndriver = "memory"\nregister = "{name}"\n{LOAD}\n{more}'


class Served:
    """A gateway at work, its page, and who looks at it."""

    def __init__(self, gateway: Gateway, url: str, client: httpx.AsyncClient) -> None:
        self.gateway = gateway
        self.url = url
        self.client = client

    async def state(self, **query: str | int) -> Any:
        answer = await self.client.get("/api/state", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object, **headers: str) -> httpx.Response:
        all_headers = {"authorization": f"Bearer {TOKEN}"} | headers
        return await self.client.post(path, json=body, headers=all_headers)


@contextlib.asynccontextmanager
async def served(
    path: Path, *, token: str | None = TOKEN, wrap: Callable[[Any], Any] = lambda app: app
) -> AsyncIterator[Served]:
    gateway = Gateway(read_configuration(path))
    app = PageApp(gateway, token=token)
    async with PushServer(wrap(app)) as server, httpx.AsyncClient(base_url=server.url) as client:
        task = asyncio.create_task(gateway.run())
        try:
            yield Served(gateway, server.url, client)
        finally:
            gateway.stop()
            await asyncio.wait_for(task, PATIENCE)


@pytest.fixture
def file(server: VtnServer, tmp_path: Path) -> Path:
    return write_file(tmp_path, server.url, [load("a", "bounds = [0, 100]"), load("b")])


def rows_of(state: Any) -> dict[str, dict[str, Any]]:
    rows = [dict(zip(state["columns"], row, strict=True)) for row in state["rows"]]
    return {row["name"]: row for row in rows}


def test_the_data_shows_an_event_at_work_and_then_only_what_changes(
    file: Path, vtn: SimulatedVtn
) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            vtn.add_event("peak", start="+0s", levels=[("PT1H", 2)])
            views = page.gateway.view
            await eventually(lambda: all(p.written == 40.0 for p in views().points), "the event")
            await eventually(lambda: all(p.settled for p in views().points), "the read-back")
            state = await page.state()
            rows = rows_of(state)
            assert {row["cause"] for row in rows.values()} == {"event"}
            assert rows["a"]["found"] == rows["a"]["wanted"] == 40.0
            assert rows["a"]["event_id"] == "peak"
            assert rows["a"]["choices"] == [100.0, 70.0, 40.0, "released"]
            (event,) = state["events"]
            assert (event["event_id"], event["points"], event["gone_at"]) == ("peak", 2, None)
            assert [level for _, level in event["steps"]] == [2.0]
            assert state["lateness_p99"] is None  # it came when its time had come already
            known = {key: state[key] for key in ("generation", "revision")}
            assert (await page.state(**known))["rows"] == []
            page.gateway.override("b", 70.0, 60.0, "eve")
            changed = rows_of(await page.state(**known))
            assert set(changed) == {"b"}
            assert changed["b"]["override_by"] == "eve"
            foreign = await page.state(generation="another", revision=10**9)
            assert foreign["fresh"]
            assert len(foreign["rows"]) == 2

    asyncio.run(scenario())


def test_an_event_that_is_gone_is_still_shown(file: Path, vtn: SimulatedVtn) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            vtn.add_event("peak", start="+0s", levels=[("PT1H", 1)])
            await eventually(lambda: page.gateway.view().events, "the event")
            vtn.remove_event("peak")
            await eventually(lambda: not page.gateway.view().events, "its end")
            (event,) = (await page.state())["events"]
            assert event["event_id"] == "peak"
            assert event["gone_at"] == pytest.approx(page.gateway.now, abs=PATIENCE)

    asyncio.run(scenario())


def test_an_override_and_its_end(file: Path) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            body = {"point": "a", "value": 70, "for": "1h", "by": "eve"}
            answer = await page.post("/api/override", body, origin=page.url)
            assert answer.status_code == 200
            assert answer.json()["until"] == pytest.approx(page.gateway.now + 3600, abs=PATIENCE)
            await eventually(lambda: page.gateway.view().points[0].written == 70.0, "the write")
            await eventually(lambda: page.gateway.view().points[0].settled, "the read-back")

            async def story() -> list[str]:
                lines = (await page.client.get("/api/audit?point=a")).json()["lines"]
                return [f"{line['kind']} {line['reason']}" for line in lines]

            async with asyncio.timeout(PATIENCE):
                while "verified override by eve" not in await story():
                    await asyncio.sleep(0.02)
            assert (await page.post("/api/override/end", {"point": "a"})).json() == {"ended": True}
            assert (await page.post("/api/override/end", {"point": "a"})).json() == {"ended": False}
            await eventually(lambda: page.gateway.view().points[0].written == 100.0, "normal again")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"point": "z", "value": 1, "for": "1h"}, 422, "there is no point z"),
        ({"point": "a", "value": 500, "for": "1h"}, 422, "not within its bounds [0, 100]"),
        ({"point": "a", "value": True, "for": "1h"}, 400, "value: it must be a number"),
        ({"point": "a", "value": "NaN", "for": "1h"}, 400, "value: it must be a number"),
        ({"point": "a", "value": 1, "for": "soon"}, 400, "for: it must be a time"),
        ({"point": "a", "value": 1, "for": "0s"}, 422, "needs a time above 0"),
        ({"point": "a", "value": 1}, 400, "for: it must be a time"),
        ({"point": "a", "value": 1, "for": "1h", "by": "x" * 61}, 400, "by: it must be"),
        ({"point": "a", "value": 1, "for": "1h", "by": "a\nb"}, 400, "by: it must be"),
        ({"point": 7}, 400, "point: it must be"),
        ([], 400, "must be a JSON object"),
    ],
)
def test_an_override_that_cannot_be(body: object, status: int, words: str, file: Path) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            answer = await page.post("/api/override", body)
            assert answer.status_code == status
            assert words in answer.json()["error"]
            assert page.gateway.override_of("a") is None

    asyncio.run(scenario())


def test_nobody_changes_anything_without_the_token_or_from_elsewhere(file: Path) -> None:
    body = {"point": "a", "value": 70, "for": "1h"}

    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            for wrong in (
                "",
                "Bearer",
                f"Bearer {TOKEN}x",
                f"Bearer {TOKEN[:-1]}",
                f"Basic {TOKEN}",
            ):
                answer = await page.post("/api/override", body, authorization=wrong)
                assert answer.status_code == 401, wrong
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert TOKEN not in answer.text
            cases: list[tuple[int, dict[str, str]]] = [
                (403, {"origin": "http://evil.example"}),
                (403, {"origin": "null"}),
                (403, {"sec-fetch-site": "cross-site"}),
                (421, {"host": "evil.example"}),
                (421, {"host": ""}),
                (415, {"content-type": "text/plain"}),
                (415, {"content-type": "application/x-www-form-urlencoded"}),
            ]
            for status, headers in cases:
                answer = await page.post("/api/override", body, **headers)
                assert answer.status_code == status, headers
            large = await page.post("/api/override", body | {"by": "x" * 5000})
            assert large.status_code == 413
            assert (await page.client.get("/api/override")).status_code == 405
            assert (await page.client.post("/api/state")).status_code == 405
            assert (await page.client.get("/nothing")).status_code == 404
            assert (
                await page.client.get("/api/state", params={"revision": "-1"})
            ).status_code == 400
            assert (await page.client.get("/api/audit", params={"point": "z"})).status_code == 404
            rebound = await page.client.get("/api/state", headers={"host": "evil.example:80"})
            assert rebound.status_code == 421
            assert page.gateway.override_of("a") is None

    asyncio.run(scenario())


def test_without_a_token_there_are_no_overrides(file: Path) -> None:
    async def scenario() -> None:
        async with served(file, token=None) as page:
            assert (await page.state())["writable"] is False
            answer = await page.post("/api/override", {"point": "a", "value": 1, "for": "1h"})
            assert answer.status_code == 403
            assert "page_token_file" in answer.json()["error"]

    asyncio.run(scenario())


def test_the_page_may_load_nothing_from_elsewhere(file: Path) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            answer = await page.client.get("/")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "http" not in answer.text.replace("http-equiv", "")
            for name in re.findall(r'(?:src|href)="(/[^"]+)"', answer.text):
                part = await page.client.get(name)
                assert part.status_code == 200
                again = await page.client.get(name, headers={"if-none-match": part.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
            assert (await page.client.head("/")).content == b""

    asyncio.run(scenario())


# --- for machines -----------------------------------------------------------------------


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics(file: Path, vtn: SimulatedVtn) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            vtn.add_event("peak", start="+1s", levels=[("PT1H", 2)])
            await eventually(lambda: page.gateway.lateness.count == 2, "the writes")
            await eventually(lambda: page.gateway.counts["verified"] == 2, "the read-backs")
            answer = await page.client.get("/metrics")
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert all(METRIC.fullmatch(line) for line in answer.text.splitlines())
            heads = re.findall(r"^# TYPE (\S+)", answer.text, re.M)
            assert len(heads) == len(set(heads))
            found = values(answer.text)
            assert found['oadr2_gateway_points{cause="event"}'] == 2
            assert found['oadr2_gateway_points{cause="failsafe"}'] == 0
            assert found["oadr2_gateway_writes_total"] == 2
            assert found["oadr2_gateway_verified_total"] == 2
            assert found["oadr2_gateway_points_astray"] == 0
            assert found["oadr2_gateway_ready"] == 1
            assert found['oadr2_gateway_events{ven="gw"}'] == 1
            assert found['oadr2_gateway_vtn_heard{ven="gw"}'] == 1
            assert found["oadr2_gateway_write_lateness_seconds_count"] == 2
            assert found['oadr2_gateway_write_lateness_seconds_bucket{le="+Inf"}'] == 2
            assert "a" not in re.findall(r'="([^"]*)"', answer.text)  # no label names a point

    asyncio.run(scenario())


def test_ready_says_what_is_missing(tmp_path: Path) -> None:
    path = write_file(
        tmp_path,
        "http://127.0.0.1:1",
        [
            load("a"),
            'name = "c"\ndriver = "folder"\nfolder = "nowhere"\nregister = "c"\nlevels = { 0 = 1 }',
        ],
    )

    async def scenario() -> None:
        async with served(path) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            answer = await page.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["ready"] is False
            vtn, device = answer.json()["reasons"]
            assert vtn.startswith("VEN gw: its VTN has not been heard of: ")
            assert "nowhere" in device
            assert "it has not answered" in device
            assert (await page.client.get("/healthz")).json() == {"alive": True, "reasons": []}

    asyncio.run(scenario())


def test_a_loop_that_does_not_turn_is_not_alive(file: Path) -> None:
    async def scenario() -> None:
        gateway = Gateway(read_configuration(file), monotonic=lambda: 1000.0)
        app = PageApp(gateway, monotonic=lambda: 1001.0 + STUCK_AFTER)
        async with PushServer(app) as server, httpx.AsyncClient(base_url=server.url) as client:
            answer = await client.get("/healthz")
            assert answer.status_code == 503
            assert answer.json() == {
                "alive": False, "reasons": ["the loop has not turned for 16 s"]
            }  # fmt: skip
            answer = await client.get("/readyz")
            assert "the points are not set up yet" in answer.json()["reasons"]

    asyncio.run(scenario())


# --- many points ------------------------------------------------------------------------


def test_changes_are_told_in_order_and_in_parts() -> None:
    changes = Changes()
    changes.renew(["a", "b", "c"])
    assert changes.since(0, 2) == (["a", "b"], 2)
    assert changes.since(2, 2) == (["c"], 3)
    changes.note("a")
    assert changes.since(2, 9) == (["c", "a"], 4)
    assert changes.since(4, 9) == ([], 4)
    changes.renew(["d"])
    assert (changes.generation, changes.since(4, 9)) == (2, (["d"], 5))


async def read_all(page: Served, count: int) -> float:
    """Look at all points; the processor time of it, client, server and gateway together."""
    began = time.process_time()
    known: dict[str, Any] = {}
    names: set[str] = set()
    more = True
    while more:
        answer = await page.client.get("/api/state", params=known)
        assert len(gzip.compress(answer.content, 4)) < 150_000
        state = answer.json()
        assert len(state["rows"]) <= MOST_ROWS
        names |= set(rows_of(state))
        known = {key: state[key] for key in ("generation", "revision")}
        more = state["more"]
    assert len(names) == count
    small = await page.client.get("/api/state", params=known)
    assert len(small.content) < 100_000
    return time.process_time() - began


def test_ten_thousand_points(server: VtnServer, tmp_path: Path) -> None:
    """A look at all of them: bounded answers, and ten times the points cost about ten times as much."""

    async def cost(count: int) -> float:
        points = [
            f'name = "load {n}"\ndriver = "memory"\ndevice = "d{n % 200}"\nregister = "r{n}"\n{LOAD}'
            for n in range(count)
        ]
        folder = tmp_path / str(count)
        folder.mkdir()
        async with served(write_file(folder, server.url, points)) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            return min([await read_all(page, count) for _ in range(3)])

    async def scenario() -> None:
        assert await cost(10_000) < 30 * await cost(1_000)

    asyncio.run(scenario())


# --- the file ---------------------------------------------------------------------------


def gateway_table(folder: Path, lines: str) -> Path:
    path = write_file(folder, "http://127.0.0.1:1", [load("a")])
    path.write_text(path.read_text().replace("[gateway]\n", f"[gateway]\n{lines}\n"))
    return path


def test_the_page_in_the_file(tmp_path: Path) -> None:
    lines = 'page = "127.0.0.1:8099"\npage_token_file = "t"\npage_hosts = "gw.example"'
    settings = read_configuration(gateway_table(tmp_path, lines)).page
    assert settings == PageSettings("127.0.0.1", 8099, tmp_path / "t", None, ("gw.example",))
    settings = read_configuration(gateway_table(tmp_path, "page = 8100")).page
    assert settings == PageSettings("127.0.0.1", 8100)
    settings = read_configuration(gateway_table(tmp_path, 'page = "[::1]:80"')).page
    assert settings == PageSettings("::1", 80)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('page = "0.0.0.0:8099"', "0.0.0.0 is not this machine's own address"),
        ('page = "127.0.0.1"', "an address and a port"),
        ("page = true", "an address and a port"),
        ("page = 70000", "an address and a port"),
        ('page = 8099\npage_token = "secret"', "use page_token_file"),
        ('page_token_file = "t"', "there is no page"),
    ],
)
def test_a_page_that_cannot_be(lines: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gateway\.toml line \d+") as caught:
        read_configuration(gateway_table(tmp_path, lines))
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_token_is_not_short(tmp_path: Path) -> None:
    settings = read_configuration(gateway_table(tmp_path, 'page = 0\npage_token_file = "t"'))
    assert settings.page is not None
    (tmp_path / "t").write_text("short\n")
    with pytest.raises(ConfigurationError, match="shorter than 16") as caught:
        page_server(Gateway(settings), settings.page)
    assert "short\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"page_token_file .*No such file"):
        page_server(Gateway(settings), replace(settings.page, token_file=tmp_path / "x"))


# --- in a browser -----------------------------------------------------------------------

_ACT = b"""
  const wait = (ready, then) => {
    const tick = setInterval(() => { if (ready()) { clearInterval(tick); then(); } }, 20);
  };
  const root = document.documentElement;
  wait(() => root.dataset.drawn === "2" && document.querySelector('[data-point="b"] .act'), () => {
    document.querySelector('[data-point="b"] .act').click();
    document.querySelector("#dialog .values button:nth-child(2)").click();
    document.getElementById("override-go").click();
    wait(() => root.dataset.said, () => {
      wait(() => document.querySelector('[data-point="b"] .cause').textContent === "override", () => {
        root.dataset.done = "yes";
      });
    });
  });
"""


def with_act(app: Any) -> Any:
    """The page with a further script of its own, as the page's policy allows no other."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") == "/act.js":
            head = [(b"content-type", b"text/javascript")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": _ACT})
            return
        if scope.get("path") != "/":
            await app(scope, receive, send)
            return
        body = b""

        async def gather(message: Any) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                names = (b"content-length", b"content-encoding")
                message["headers"] = [h for h in message["headers"] if h[0] not in names]
                await send(message)
            else:
                body = message["body"]

        plain = [h for h in scope["headers"] if h[0] != b"accept-encoding"]
        await app(scope | {"headers": plain}, receive, gather)
        body = body.replace(b"</body>", b'<script type="module" src="/act.js"></script></body>')
        await send({"type": "http.response.body", "body": body})

    return wrapped


async def browse(url: str, profile: Path, *options: str) -> tuple[str, str]:
    """Open a page in Chromium; its DOM afterwards, and what it complained of."""
    if CHROMIUM is None:
        reason = "no Chromium is installed (Debian: chromium)"
        if os.environ.get("OADR2_REQUIRE_CHROMIUM"):
            pytest.fail(reason)
        pytest.skip(reason)
    done = await asyncio.to_thread(
        subprocess.run,
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--enable-logging=stderr", f"--user-data-dir={profile}"),
            *("--virtual-time-budget=8000", "--dump-dom", *options),
            url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, "\n".join(complaints)


@pytest.mark.parametrize(
    "options",
    [
        ("--window-size=1200,900",),
        ("--window-size=500,900", "--blink-settings=preferredColorScheme=0"),
    ],
    ids=["wide and light", "narrow and dark"],
)
def test_a_browser_draws_the_page(
    file: Path, vtn: SimulatedVtn, tmp_path: Path, options: tuple[str, ...]
) -> None:
    async def scenario() -> None:
        async with served(file) as page:
            vtn.add_event("peak", start="+0s", levels=[("PT30M", 1), ("PT30M", 2)])
            views = page.gateway.view
            await eventually(lambda: all(p.written == 70.0 for p in views().points), "the event")
            await eventually(lambda: all(p.settled for p in views().points), "the read-back")
            dom, complaints = await browse(page.url, tmp_path / "profile", *options)
            assert complaints == ""
            assert 'data-drawn="2"' in dom
            assert "All 2 points are where they should be" in dom
            assert 'data-event="peak"' in dom
            assert len(re.findall(r'<rect [^>]*class="step', dom)) == 2
            assert re.search(r'class="now"', dom)
            hours = re.findall(r'<text x="[\d.]+" y="13" text-anchor="\w+">([^<]+)<', dom)
            assert hours, "an axis without hours"
            assert len(re.findall(r'data-point="[ab]"', dom)) == 2
            assert "NaN" not in dom
            assert "undefined" not in dom

    asyncio.run(scenario())


def test_a_browser_shows_a_registration_that_a_person_has_ended(tmp_path: Path) -> None:
    vtn = SimulatedVtn("vtn", "2.0b")

    async def scenario(url: str) -> None:
        path = write_file(tmp_path, url, [load("a")], 'profile = "2.0b"')
        async with served(path) as page:
            link = await first_link(page.gateway)
            await eventually(lambda: link.registered and link.heard, "the registration")
            with EventStore(tmp_path / "gw.db") as store:
                Orders(store, "gw").give(Order("withdraw"))
            await eventually(lambda: link.withdrawn, "its end")
            dom, complaints = await browse(page.url, tmp_path / "profile")
            assert complaints == ""
            assert '<span class="state warn">gw: the registration was ended by order</span>' in dom
            assert "VTN heard" not in dom

    with VtnServer(vtn, services=VtnServices(vtn)) as server:
        asyncio.run(scenario(server.url))


async def first_link(gateway: Gateway) -> VenLink:
    await eventually(lambda: gateway.links, "a VEN")
    return gateway.links["gw"]


def test_a_button_overrides_a_point(file: Path, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(file, wrap=with_act) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            dom, complaints = await browse(f"{page.url}/#token={TOKEN}", tmp_path / "profile")
            assert complaints == ""
            assert 'data-said="Held until' in dom
            assert 'data-done="yes"' in dom
            held = page.gateway.override_of("b")
            assert held is not None
            assert (held.value, held.by) == (70.0, "the status page")
            assert TOKEN not in dom

    asyncio.run(scenario())


def test_ten_thousand_points_in_a_browser_are_a_few_rows(server: VtnServer, tmp_path: Path) -> None:
    points = [
        f'name = "load {n}"\ndriver = "memory"\nregister = "r{n}"\n{LOAD}' for n in range(10_000)
    ]
    path = write_file(tmp_path, server.url, points)

    async def scenario() -> None:
        async with served(path) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            dom, complaints = await browse(page.url, tmp_path / "profile", "--window-size=1200,900")
            assert complaints == ""
            assert 'data-drawn="10000"' in dom
            assert 0 < len(re.findall(r'data-point="', dom)) < 60

    asyncio.run(scenario())


def test_the_data_is_json_that_a_browser_takes(file: Path) -> None:
    """No Infinity and no NaN: bounds that are none are null."""

    async def scenario() -> None:
        async with served(file) as page:
            await eventually(lambda: page.gateway.ready, "the first look")
            text = (await page.client.get("/api/state")).text
            rows = rows_of(json.loads(text, parse_constant=pytest.fail))
            assert (rows["b"]["lowest"], rows["a"]["highest"]) == (None, 100.0)

    asyncio.run(scenario())
