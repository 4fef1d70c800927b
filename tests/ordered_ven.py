"""A 2.0b VEN with a file, and the simulated VTN it is registered with, in one process and without I/O."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oadr2.decisions import Decisions, OnEvent
from oadr2.event import EventHandler
from oadr2.exchanges import ServiceCalls
from oadr2.orders import Orders, carry_out_orders
from oadr2.services.registration import RegistrationSettings
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.ven_20b import Ven20b


class _Client(ServiceCalls):
    def __init__(self, ven: Ven20b) -> None:
        super().__init__("test", None)
        self.ven = ven
        self._exchanges: Any = SimpleNamespace(wake=lambda: None)


class OrderedVen:
    """``house``, which takes orders when the test says so; the VTN has the event ``peak``."""

    def __init__(
        self, db: Path, now: float, *, registered: bool = True, on_event: OnEvent | None = None
    ) -> None:
        self.now = now
        self._on_event = on_event
        self.db = db
        vtn = SimulatedVtn("vtn", "2.0b", clock=self.clock)
        vtn.add_event("peak", start="+1h", levels=[(3600, 1.0)])
        self.services = VtnServices(vtn)
        self.start()
        if registered:
            self.settle()

    def clock(self) -> float:
        return self.now

    def start(self) -> None:
        """The process begins, with what is in the file."""
        asks = None if self._on_event is None else Decisions(self._on_event, clock=self.clock)
        self.handler = EventHandler(
            "house",
            oadr_profile_level="2.0b",
            db_path=self.db,
            clock=self.clock,
            opt_callback=None if asks is None else asks.ask,
        )
        registration = RegistrationSettings(ven_name="house")
        self.ven = Ven20b(self.handler, registration=registration, decisions=asks)
        assert self.handler.store is not None
        self.orders = Orders(*self.handler.store)
        self.client: Any = _Client(self.ven)

    def kill(self) -> None:
        """The process ends."""
        self.handler.close()

    def settle(self) -> None:
        """Let it say everything it has to say."""
        while (action := self.ven.next_action(self.now)) is not None:
            reply = self.services.handle(action.service, action.data)
            self.ven.receive(action, reply, self.now)

    def obey(self) -> None:
        """Let it look at its orders twice, and tell the VTN what comes of them."""

        async def look() -> None:
            looking = carry_out_orders(self.client, self.orders, look_every=0.0, clock=self.clock)
            task = asyncio.create_task(looking)
            for _ in range(4):
                await asyncio.sleep(0)
            assert not task.done()
            task.cancel()

        asyncio.run(look())
        self.settle()

    @property
    def told(self) -> dict[str, Any]:
        """The opts that the VTN knows."""
        (ven,) = self.services.vens.values()
        return ven.opts

    @property
    def answers(self) -> list[str]:
        """What it has answered to ``peak``, in turn."""
        return [str(answer.opt_type) for answer in self.services.vtn.answers]
