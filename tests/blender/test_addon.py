"""The add-on as a guest in Blender: leaves nothing behind, needs no torch, draws its panels, says what is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import bpy
import pytest
from bl_ext.user_default.perpetua import backend_process, following, panels, session
from conftest import MODULE
from footprint import footprint
from toy_cache import write_cache


def test_enabling_and_disabling_leaves_nothing() -> None:
    bpy.ops.preferences.addon_disable(module=MODULE)
    before = footprint()
    assert before["operators"] == before["classes"] == before["property"] == 0
    for _ in range(100):
        bpy.ops.preferences.addon_enable(module=MODULE)
        assert footprint()["operators"] > 10
        bpy.ops.preferences.addon_disable(module=MODULE)
    assert footprint() == before
    bpy.ops.preferences.addon_enable(module=MODULE)


def test_needs_neither_torch_nor_the_backend() -> None:
    script = f"""
import os, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "perpetua", "genesis"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Refuse())
import bpy
bpy.ops.preferences.addon_enable(module={MODULE!r})
import importlib, pkgutil
package = sys.modules[{MODULE!r}]
for found in pkgutil.iter_modules(package.__path__):
    importlib.import_module({MODULE!r} + "." + found.name)
assert not any(name.split(".")[0] in ("torch", "perpetua", "genesis") for name in sys.modules)
print("IMPORTED", flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "IMPORTED" in done.stdout, done.stdout + done.stderr


class Recorder:
    """A layout that checks what a panel puts on it: properties, operators and icons have to exist."""

    icons = bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items

    def __init__(self, log: list[str]) -> None:
        object.__setattr__(self, "log", log)

    def row(self, **_: object) -> "Recorder":
        return Recorder(self.log)

    column = box = grid_flow = row

    def prop(self, data: object, name: str, icon: str = "NONE", **_: object) -> None:
        if name.startswith("["):
            assert name[2:-2] in data, name
        else:
            assert name in data.bl_rna.properties, name
        assert icon in self.icons, icon
        self.log.append(name)

    def operator(self, idname: str, text: str = "", icon: str = "NONE", **_: object) -> object:
        group, name = idname.split(".")
        properties = getattr(getattr(bpy.ops, group), name).get_rna_type().properties
        assert icon in self.icons, icon
        self.log.append(idname)
        self.log.append(text)

        class Set:
            def __setattr__(self, key: str, value: object) -> None:
                assert key in properties, f"{idname} has no {key}"

        return Set()

    def operator_menu_enum(self, idname: str, name: str, icon: str = "NONE") -> None:
        assert name in getattr(bpy.ops.perpetua, idname.split(".")[1]).get_rna_type().properties
        self.operator(idname, icon=icon)

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in self.icons, icon
        self.log.append(text)

    def separator(self) -> None:
        pass

    def template_icon(self, icon_value: int, scale: float = 1.0) -> None:
        assert icon_value > 0

    def progress(self, text: str = "", factor: float = 0.0, type: str = "RING") -> None:
        assert 0 <= factor <= 1
        self.log.append(text)

    def template_list(self, kind: str, _: str, data: object, name: str, owner: object, active: str, **__: object) -> None:  # fmt: skip
        made = next(c for c in panels.CLASSES if c.__name__ == kind)
        assert active in owner.bl_rna.properties
        for index, item in enumerate(getattr(data, name)):
            arguments = (None, bpy.context, Recorder(self.log), data, item, 0, owner, active)
            if name in ("rounds", "cameras"):
                made.draw_item(*arguments, index)
            else:
                made.draw_item(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        assert name in {
            "use_property_split",
            "use_property_decorate",
            "enabled",
            "scale_y",
            "ui_units_x",
            "alignment",
        }, name


def draw_panels() -> list[str]:
    log: list[str] = []
    for made in panels.CLASSES:
        if "_PT_" in made.__name__:
            made.draw(type("Panel", (), {"layout": Recorder(log)})(), bpy.context)
    return log


def test_every_panel_draws(tmp_path: Path) -> None:
    assert "perpetua.reconstruct" in draw_panels()
    scene = bpy.context.scene
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache")))
    thing = scene.perpetua.things.add()
    thing.name = "ball"
    bpy.ops.perpetua.add_round(frames=5)
    bpy.ops.perpetua.add_round(frames=5)
    bpy.ops.perpetua.add_wind(reach=1.0)
    drawn = draw_panels()
    assert "distance_max" in drawn
    bpy.ops.perpetua.add_push()
    assert "Round 2: 6 - 11" in drawn
    assert '["perpetua_force"]' in draw_panels()
    state = session.current()
    state.baking, state.stage, state.overall, state.eta_s = True, "simulate", 0.25, 65.4
    state.sentence = "Something is wrong; " + "do this about it, " * 6
    drawn = draw_panels()
    assert "simulate 25% - 1:05 left" in drawn
    assert sum("do this" in line for line in drawn) > 1
    bpy.data.objects.remove(scene.perpetua.forces[0].object)
    assert any("deleted" in line for line in draw_panels())


HIDDEN = {"rna_type", "name", "filter_glob", "filter_folder"}


def test_the_tab_says_what_to_do_next(tmp_path: Path) -> None:
    def says(words: str) -> bool:
        return words in " ".join(draw_panels())

    assert says("Open a picture")
    scene = bpy.context.scene
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw, image.file_format = str(tmp_path / "ball.png"), "PNG"
    image.save()
    bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "ball.png"))
    assert says("Press Click or Box It, then click what")
    scene.perpetua.things.add().name = "ball"
    assert says("then click ball in the picture")
    bpy.ops.perpetua.add_click(name="ball", x=32, y=18)
    assert says("then Reconstruct")
    bpy.ops.perpetua.load_cache(directory=str(write_cache(tmp_path / "cache", rounds=(4,))))
    assert says("Add a round")
    bpy.ops.perpetua.add_round(frames=4)
    assert says("Add a force")
    bpy.ops.perpetua.add_push()
    assert says("Play with the space bar")
    bpy.ops.perpetua.add_round(frames=4)
    assert says("Press Bake")
    session.current().baking = True
    assert says("Go on while it bakes")
    assert not says("Press Bake")


def test_everything_has_a_tooltip() -> None:
    """Every setting and every operator, with its arguments; collections are shown as lists and need none."""
    package = sys.modules[MODULE]
    bare = []
    for made in package.CLASSES:
        if "_PT_" in made.__name__ or "_UL_" in made.__name__ or made.__name__ == "PerpetuaSplatEngine":
            continue
        rna = made.bl_rna
        if "_OT_" in made.__name__:
            rna = getattr(bpy.ops.perpetua, made.bl_idname.split(".")[1]).get_rna_type()
            assert rna.description, made.__name__
        own = [p for p in rna.properties if p.identifier not in HIDDEN and p.identifier in vars_of(made)]
        bare += [
            f"{made.__name__}.{p.identifier}" for p in own if not p.description and p.type != "COLLECTION"
        ]
        items = [item for p in own if p.type == "ENUM" for item in p.enum_items]
        bare += [f"{made.__name__}: {item.identifier}" for item in items if not item.description]
    assert bare == []
    numbers = [n for kind in package.operators_forces.KINDS.values() for n in (*kind.own, *kind.fields)]
    assert all(number.text for number in numbers)


def vars_of(made: type) -> set[str]:
    """What a class and its bases declare."""
    return {name for base in made.__mro__ for name in vars(base).get("__annotations__", {})}


def ready_scene(folder: Path) -> bpy.types.Scene:
    image = bpy.data.images.new("picture", 64, 36)
    image.filepath_raw = str(folder / "ball.png")
    image.file_format = "PNG"
    image.save()
    bpy.ops.perpetua.open_picture(filepath=str(folder / "ball.png"))
    bpy.ops.perpetua.add_object(name="ball", x=32, y=18)
    return bpy.context.scene


@pytest.mark.parametrize("operator", ["reconstruct", "bake", "bake_and_wait"])
def test_no_backend_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: str) -> None:
    monkeypatch.setenv("PERPETUA_CONNECTION", str(tmp_path / "nobody.json"))
    ready_scene(tmp_path)
    bpy.ops.perpetua.add_round(frames=4)
    with pytest.raises(RuntimeError, match="No backend is running"):
        getattr(bpy.ops.perpetua, operator)()
    assert session.current().sentence.startswith("No backend is running")
    assert following.running() is None


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    for call, sentence in (
        (
            lambda: bpy.ops.perpetua.open_picture(filepath=str(tmp_path / "none.png")),
            "There is no file at",
        ),
        (lambda: bpy.ops.perpetua.reconstruct(), "There is no picture yet"),
        (lambda: bpy.ops.perpetua.bake(), "The take has no round"),
        (lambda: bpy.ops.perpetua.cancel(), "Nothing is baking"),
        (lambda: bpy.ops.perpetua.add_cameras(), "reconstruct the picture first"),
        (lambda: bpy.ops.perpetua.add_wind(direction=(0, 0, 0)), "no direction"),
        (lambda: bpy.ops.perpetua.load_cache(directory=str(tmp_path)), "There is no cache at"),
        (lambda: bpy.ops.perpetua.render_views(directory=str(tmp_path)), "Nothing is baked yet"),
        (lambda: bpy.ops.perpetua.remove(kind="forces"), "nothing to remove"),
        (lambda: bpy.ops.perpetua.stop_backend(), "No backend was started"),
    ):
        with pytest.raises(RuntimeError, match=sentence) as caught:
            call()
        assert len(str(caught.value).strip().splitlines()) == 1
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(RuntimeError, match="no picture Blender can read"):
        bpy.ops.perpetua.open_picture(filepath=str(text))


def test_a_success_takes_the_last_errors_sentence_away(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no direction"):
        bpy.ops.perpetua.add_push(direction=(0, 0, 0))
    assert "no direction" in session.current().sentence
    assert any("no direction" in line for line in draw_panels())
    bpy.ops.perpetua.add_push()
    assert session.current().sentence == ""
    assert not any("no direction" in line for line in draw_panels())


def test_a_backend_that_cannot_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERPETUA_CONNECTION", str(tmp_path / "connection.json"))
    monkeypatch.setenv("PERPETUA_COMMAND", "/nowhere/perpetua serve")
    with pytest.raises(RuntimeError, match="cannot be started"):
        bpy.ops.perpetua.start_backend()
    monkeypatch.setenv("PERPETUA_COMMAND", f"{sys.executable} -c 'raise SystemExit(3)'")
    with pytest.raises(RuntimeError, match="ended with code 3"):
        bpy.ops.perpetua.start_backend()
    assert not backend_process.running()


def test_script_errors_reach_the_exit_code(tmp_path: Path) -> None:
    """What ``blender -b --python-exit-code 1`` relies on: an uncaught RuntimeError from the operator."""
    script = f"""
import bpy
bpy.ops.preferences.addon_enable(module={MODULE!r})
bpy.ops.perpetua.bake_and_wait()
"""
    environment = dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, os, traceback\ntry:\n    exec({script!r})\nexcept BaseException:\n    traceback.print_exc(); sys.stderr.flush(); os._exit(1)\nos._exit(0)"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "The take has no round" in done.stderr
