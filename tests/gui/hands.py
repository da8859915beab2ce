"""Hands and eyes for a test in Blender's window: presses real buttons with simulated events, takes pictures of the screen.

Runs inside Blender (``--enable-event-simulate``). What a button does is asked of Blender itself: the mouse is moved over the
sidebar, and where it rests Blender copies the command or the data path of the button under it. So a test names buttons by
what they do, and no position is written down anywhere. Every function that needs Blender's loop to turn is a generator of
seconds to wait.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import bpy
import screen

SCREEN = Path(os.environ["PERPETUA_SCREEN"])
"""The file that holds the screen's pixels."""
SETTLE_S = 0.01
LOOPS = 2
"""Time and turns of Blender's loop until it has noticed where the mouse is."""
STEP_PX = 15
"""Between two places that are tried; buttons are 18 pixels high."""
SEEN_TWICE_PX = 60
"""What stays in sight when the sidebar is scrolled on."""
LEFT, RIGHT, BESIDE_LIST = 0.25, 0.7, 0.9
"""How far to the right buttons are: the left and the right one of a row, and the column beside a list."""
TABS_PX = 24
"""Width of the sidebar's tabs."""

Wait = Iterator[float]


class NotFound(AssertionError):
    """A button is not in the sidebar; the message lists those that are."""


class Hands:
    """The artist's, in the first window's largest 3D viewport."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self._found = (0, 100_000)  # above all
        self._seen: dict[str, tuple[int, float]] = {}

    # -- where things are -----------------------------------------------------------------------------------------

    @property
    def window(self) -> bpy.types.Window:
        return bpy.context.window_manager.windows[0]

    def area(self, kind: str) -> bpy.types.Area:
        """The largest area of a kind."""
        found = [area for area in self.window.screen.areas if area.type == kind]
        assert found, f"there is no {kind} in the window"
        return max(found, key=lambda area: area.width * area.height)

    def region(self, kind: str, part: str = "WINDOW") -> bpy.types.Region:
        """A region of the largest area of a kind."""
        return next(region for region in self.area(kind).regions if region.type == part)

    # -- the mouse ------------------------------------------------------------------------------------------------

    def move(self, x: int, y: int) -> Wait:
        """Move the mouse to a pixel of the window."""
        self.window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
        for _ in range(LOOPS):  # one to leave the button before, one to enter this one
            yield 0.0
        yield SETTLE_S

    def click(self, x: int, y: int, **modifiers: bool) -> Wait:
        """Click at a pixel of the window."""
        yield from self.move(x, y)
        for value in ("PRESS", "RELEASE"):
            self.window.event_simulate(type="LEFTMOUSE", value=value, x=x, y=y, **modifiers)
            yield SETTLE_S

    def key(self, name: str, **modifiers: bool) -> Wait:
        """Press and release a key with the mouse in the middle of the 3D viewport."""
        region = self.region("VIEW_3D")
        x, y = region.x + region.width // 4, region.y + region.height // 2
        yield from self.move(x, y)
        for value in ("PRESS", "RELEASE"):
            self.window.event_simulate(type=name, value=value, x=x, y=y, **modifiers)
            yield SETTLE_S

    # -- buttons --------------------------------------------------------------------------------------------------

    def open_tab(self, name: str) -> Wait:
        """Open the sidebar's tab."""
        self.area("VIEW_3D").spaces.active.show_region_ui = True
        yield 0.3
        self.region("VIEW_3D", "UI").active_panel_category = name
        yield 0.3

    def press(self, wanted: str, column: float = LEFT) -> Wait:
        """Press the button whose command or data path starts with ``wanted``, such as ``perpetua.add_force(kind='push'``."""
        yield from self.find(wanted, column)
        yield from self.click(*self._found)

    def find(self, wanted: str, column: float = LEFT) -> Wait:
        """Bring a button into sight and rest the mouse on it. column: how far to the right it is, from 0 to 1.

        Looks where such a button was last seen, then further down, then through the whole sidebar. Raises ``NotFound``.
        """
        row, scrolled = next((at for name, at in self._seen.items() if name.startswith(wanted)), (None, None))
        if scrolled is not None:
            yield from self.scroll(round(self._scrolled() - scrolled))
        if (yield from self._look_and_scroll(wanted, column, self._found[1] if row is None else row)):
            return
        yield from self.scroll(-100_000)
        if not (yield from self._look_and_scroll(wanted, column, 100_000)):
            raise NotFound(f"no button {wanted} in the sidebar; seen so far: {', '.join(self._seen)}")

    def _look_and_scroll(self, wanted: str, column: float, row: int) -> Generator[float, None, bool]:
        """Look for a button in what is in sight and in all that is further down; True with the mouse resting on it."""
        while True:
            if (yield from self._look(wanted, column, row)):
                return True
            before, row = self._scrolled(), 100_000
            yield from self.scroll(self.region("VIEW_3D", "UI").height - SEEN_TWICE_PX)
            if self._scrolled() == before:
                return False

    def _look(self, wanted: str, column: float, row: int) -> Generator[float, None, bool]:
        """Look for a button in what is in sight, nearest to ``row`` [px of the window] first."""
        region = self.region("VIEW_3D", "UI")
        x = int(region.x + column * (region.width - TABS_PX))
        rows = range(region.y + region.height - 6, region.y + 6, -STEP_PX)
        for y in sorted(rows, key=lambda y: abs(y - row)):
            yield from self.move(x, y)
            found = self._under_mouse()
            if found:
                self._found, self._seen[found] = (x, y), (y, self._scrolled())
            if found.startswith(wanted):
                return True
        return False

    def _scrolled(self) -> float:
        return float(self.region("VIEW_3D", "UI").view2d.region_to_view(0, 0)[1])

    def _under_mouse(self) -> str:
        """Command (without ``bpy.ops.``) or data path of the button under the mouse; empty if there is none."""
        manager = bpy.context.window_manager
        area, region = self.area("VIEW_3D"), self.region("VIEW_3D", "UI")
        with bpy.context.temp_override(window=self.window, area=area, region=region):
            for copy in (bpy.ops.ui.copy_python_command_button, bpy.ops.ui.copy_data_path_button):
                manager.clipboard = ""
                if copy.poll():
                    copy()
                    if manager.clipboard:
                        return str(manager.clipboard).removeprefix("bpy.ops.")
        return ""

    def scroll(self, pixels: int) -> Wait:
        """Scroll the sidebar down, or up where ``pixels`` are negative."""
        before = self._scrolled()
        area, region = self.area("VIEW_3D"), self.region("VIEW_3D", "UI")
        with bpy.context.temp_override(window=self.window, area=area, region=region):
            scroll = bpy.ops.view2d.scroll_up if pixels < 0 else bpy.ops.view2d.scroll_down
            if pixels and scroll.poll():
                scroll(deltay=abs(pixels))
        region.tag_redraw()
        yield 0.2
        self._found = (self._found[0], self._found[1] + round(before - self._scrolled()))

    # -- eyes -----------------------------------------------------------------------------------------------------

    def picture(self, name: str) -> Wait:
        """Keep a picture of the screen as ``<name>.png``."""
        yield 1.5  # panels that open or move are drawn on their way
        screen.save(SCREEN, self.pictures / f"{name}.png")

    def until(
        self,
        good: Callable[[], object],
        seconds: float,
        what: str,
        trouble: Callable[[], str] = lambda: "",
    ) -> Wait:
        """Let Blender run until ``good()``. Raises ``AssertionError`` after ``seconds``, or when there is ``trouble()``."""
        end = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain until {what}"
            found = trouble()
            assert not found, f"waited until {what}, and the panel says: {found}"
            yield 0.1


def play(
    steps: Sequence[Callable[[Hands], Wait]],
    pictures: Path,
    done: Callable[[], None],
    stopped: Callable[[BaseException], None],
) -> None:
    """Run ``steps`` from Blender's timers, print how long each took, and call ``done``, or ``stopped`` with what went wrong."""
    running = _all(steps, Hands(pictures))

    def tick() -> float | None:
        try:
            return next(running)
        except StopIteration:
            done()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to end and say it
            stopped(error)
        return None

    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


def _all(steps: Sequence[Callable[[Hands], Wait]], hands: Hands) -> Wait:
    for step in steps:
        began = time.monotonic()
        yield from step(hands)
        print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)
