"""An attack on the requests that this process sends to change a bucket, whichever library does."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import requests

CHANGING = ("PUT", "POST", "DELETE", "PATCH")


@dataclass(frozen=True)
class RequestAttack:
    """What happens at which request that changes something: 1 is the first.

    "kill": dead before it. "fail": the connection breaks. "stall": the process stands still before
    it, until somebody sends SIGCONT. "slow": it and all others take longer.
    """

    mode: str
    at: int = 0

    def arm(self, folder: Path) -> None:
        """Attack and count the requests of this process.

        `folder` gets the file "count", and "stalled" with the process's number while it stands.
        """
        count = 0

        def strike(method: str) -> None:
            nonlocal count
            if method.upper() not in CHANGING:
                return
            count += 1
            (folder / "count").write_text(str(count))
            if count == self.at:
                self._strike(folder)

        async def request(session: Any, method: str, *arguments: Any, **options: Any) -> Any:
            strike(method)
            if self.mode == "slow":
                await asyncio.sleep(0.02)
            return await of_aiohttp(session, method, *arguments, **options)

        def plain_request(session: Any, method: str, *arguments: Any, **options: Any) -> Any:
            strike(method)
            return of_requests(session, method, *arguments, **options)

        of_aiohttp, of_requests = aiohttp.ClientSession._request, requests.Session.request
        aiohttp.ClientSession._request = request  # type: ignore[method-assign, assignment]
        requests.Session.request = plain_request  # type: ignore[method-assign, assignment]

    def _strike(self, folder: Path) -> None:
        match self.mode:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise aiohttp.ClientConnectionError("the connection broke")
            case "stall":
                (folder / "stalled").write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGSTOP)
