"""Hands and eyes for a test in Blender's window: presses real buttons with simulated events, takes pictures of the screen.

Runs inside Blender (``--enable-event-simulate``). What a button does is asked of Blender itself: the mouse is moved over the
sidebar, and where it rests Blender copies the command or the data path of the button under it. So a test names buttons by
what they do, and no position is written down anywhere. Every function that needs Blender's loop to turn is a generator of
seconds to wait.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import bpy

SETTLE_S = 0.01
LOOPS = 2
"""Time and turns of Blender's loop until it has noticed where the mouse is."""
STEP_PX = 15
"""Between two places that are tried; buttons are 18 pixels high."""
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
        self._found = (0, 0)

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

    def key(self, name: str) -> Wait:
        """Press and release a key with the mouse in the middle of the 3D viewport."""
        region = self.region("VIEW_3D")
        x, y = region.x + region.width // 4, region.y + region.height // 2
        yield from self.move(x, y)
        for value in ("PRESS", "RELEASE"):
            self.window.event_simulate(type=name, value=value, x=x, y=y)
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

        What is in sight is looked through first, then the whole sidebar from its top. Raises ``NotFound``.
        """
        seen: dict[str, tuple[int, int]] = {}
        if (yield from self._look(wanted, column, seen)):
            return
        yield from self._scroll(-100_000)
        while True:
            before = len(seen)
            if (yield from self._look(wanted, column, seen)):
                return
            at = self._scrolled()
            yield from self._scroll(self.region("VIEW_3D", "UI").height * 2 // 3)
            if self._scrolled() == at and len(seen) == before:
                raise NotFound(f"no button {wanted} in the sidebar; there are: {', '.join(seen)}")

    def _look(
        self, wanted: str, column: float, seen: dict[str, tuple[int, int]]
    ) -> Generator[float, None, bool]:
        """Look for a button in what is in sight, from the top down; True with the mouse resting on it."""
        region = self.region("VIEW_3D", "UI")
        x = int(region.x + column * (region.width - TABS_PX))
        for y in range(region.y + region.height - 6, region.y + 6, -STEP_PX):
            yield from self.move(x, y)
            found = self._under_mouse()
            if found:
                seen[found] = self._found = (x, y)
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

    def _scroll(self, pixels: int) -> Wait:
        area, region = self.area("VIEW_3D"), self.region("VIEW_3D", "UI")
        with bpy.context.temp_override(window=self.window, area=area, region=region):
            scroll = bpy.ops.view2d.scroll_up if pixels < 0 else bpy.ops.view2d.scroll_down
            if scroll.poll():
                scroll(deltay=abs(pixels))
        region.tag_redraw()
        yield 0.2

    # -- eyes -----------------------------------------------------------------------------------------------------

    def picture(self, name: str) -> Wait:
        """Keep a picture of the screen as ``<name>.png``."""
        yield 1.5  # panels that open or move are drawn on their way
        # Blender's own screenshot operator gives black pictures on a virtual screen
        subprocess.run(["import", "-window", "root", str(self.pictures / f"{name}.png")], check=True)

    def until(self, good: Callable[[], object], seconds: float, what: str) -> Wait:
        """Let Blender run until ``good()``. Raises ``AssertionError`` after ``seconds``."""
        end = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain until {what}"
            yield 0.1


def play(
    steps: Callable[[Hands], Wait], pictures: Path, done: Callable[[BaseException | None], None]
) -> None:
    """Run ``steps`` from Blender's timers and call ``done`` with what went wrong, or None."""
    running = steps(Hands(pictures))

    def tick() -> float | None:
        try:
            return next(running)
        except StopIteration:
            done(None)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to end and say it
            done(error)
        return None

    bpy.app.timers.register(tick, first_interval=1.0)
