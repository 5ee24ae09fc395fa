"""Calls whose results are the arguments of other calls, and stay where they were computed."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Flow(Protocol):
    """Calls of functions that depend on nothing but their arguments.

    So a result that is lost with its machine can be computed again.
    """

    def share(self, value: Any) -> Any:
        """An argument for many calls, which is sent once."""

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Where the result will be. Each of the arguments may be such a place."""

    def call_for(
        self, n: int, function: Callable[..., Iterable[Any]], *arguments: Any
    ) -> list[Any]:
        """As `call`, of a function with n results: the place of each.

        The results of a generator are stored one by one.
        """

    def get(self, place: Any) -> Any:
        """The result in a place, as soon as it is there."""
