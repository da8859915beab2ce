"""Where takes lie: no scene's take over another's, beside the file once it is saved, and found from wherever the file goes."""

import subprocess
import sys
from pathlib import Path

import bpy
import pytest
from bl_ext.user_default.perpetua import bake_folders, cache_folders, playback
from bl_ext.user_default.perpetua.errors import AddonError
from conftest import MODULE
from toy_cache import write_cache, write_look


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder for takes of unsaved files."""
    own = bpy.context.preferences.addons[MODULE].preferences
    own.cache_folder = str(tmp_path / "unsaved")
    bpy.context.scene.perpetua.take_name = "ball"
    return tmp_path / "unsaved"


def frames(scene: bpy.types.Scene) -> int:
    return playback.meta(scene).frames


def save(path: Path, copy: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=copy)


def test_unsaved_files_do_not_bake_over_each_other(root: Path) -> None:
    scene = bpy.context.scene
    assert bake_folders.bake_folder(scene) == root / "ball"
    write_cache(root / "ball")  # of another file
    assert bake_folders.bake_folder(scene) == root / "ball 2"
    playback.attach(scene, write_cache(root / "ball 2"))
    assert bake_folders.bake_folder(scene) == root / "ball 2", "this file's own"
    write_look(root / "room look")
    scene.perpetua.take_name = "room"
    assert bake_folders.bake_folder(scene) == root / "room 2"
    scene.perpetua.input.front = str(root / "room look" / "front.png")
    assert bake_folders.bake_folder(scene) == root / "room"


def test_two_scenes_of_a_file_do_not_bake_over_each_other(root: Path, tmp_path: Path) -> None:
    scene, beside = bpy.context.scene, tmp_path / "cache" / "shot"
    save(tmp_path / "shot.blend")
    playback.attach(scene, write_cache(beside / "ball"))
    bpy.ops.scene.new(type="FULL_COPY")
    copied = bpy.context.scene
    assert bake_folders.bake_folder(copied) == beside / "ball 2"
    other = bpy.data.scenes.new("Other")
    other.perpetua.take_name = "ball"
    assert bake_folders.bake_folder(other) == beside / "ball 2"
    copied.perpetua.take_name = "branch"  # shows the take it came from until it is baked itself
    assert bake_folders.bake_folder(copied) == beside / "branch"
    bpy.data.scenes.remove(other)
    assert bake_folders.bake_folder(scene) == beside / "ball"


def test_a_chosen_folder_is_one_scenes(root: Path, tmp_path: Path) -> None:
    scene, chosen = bpy.context.scene, write_cache(tmp_path / "chosen")
    scene.perpetua.bake_folder = str(chosen)
    playback.attach(scene, chosen)
    assert bake_folders.bake_folder(scene) == chosen
    bpy.ops.scene.new(type="FULL_COPY")
    with pytest.raises(AddonError, match=r"The take of scene 'Scene' is baked to .*chosen too"):
        bake_folders.bake_folder(bpy.context.scene)


def test_the_first_save_brings_the_take_beside_the_file(root: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    playback.attach(scene, write_cache(root / "ball", rounds=(4,)))
    write_look(root / "ball look")
    scene.perpetua.input.front = str(root / "ball look" / "front.png")
    save(tmp_path / "project" / "shot.blend")
    assert scene.perpetua.cache_folder == "//cache/shot/ball"
    assert scene.perpetua.input.front == "//cache/shot/ball look/front.png"
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.perpetua.clean_cache()
    assert not list(root.iterdir())
    (tmp_path / "project").rename(tmp_path / "moved")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "moved" / "shot.blend"))
    assert frames(bpy.context.scene) == 5
    assert Path(bpy.path.abspath(bpy.context.scene.perpetua.input.front)).is_file()


def test_saved_elsewhere_a_file_still_finds_its_take(root: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    first, other, copied = (tmp_path / name / "shot.blend" for name in ("first", "other", "copied"))
    save(first)
    playback.attach(scene, write_cache(first.parent / "cache" / "shot" / "ball", rounds=(4,)))
    picture = first.parent / "ball.png"
    picture.write_bytes(b"a picture")
    scene.perpetua.picture = "//ball.png"
    save(copied, copy=True)
    assert scene.perpetua.cache_folder == "//cache/shot/ball", "the open file has stayed where it was"
    assert scene.perpetua.picture == "//ball.png"
    assert scene.perpetua.splats["perpetua_cache"] == "//cache/shot/ball"
    save(other)
    assert scene.perpetua.cache_folder == "//../first/cache/shot/ball"
    assert frames(scene) == 5
    for path in (copied, other):
        bpy.ops.wm.open_mainfile(filepath=str(path))
        scene = bpy.context.scene
        assert frames(scene) == 5
        assert playback.resolve(scene.perpetua.picture) == picture
        assert bake_folders.bake_folder(scene) == path.parent / "cache" / "shot" / "ball"


def test_a_save_that_fails_changes_no_path(root: Path, tmp_path: Path) -> None:
    scene = bpy.context.scene
    playback.attach(scene, write_cache(tmp_path / "elsewhere"))
    before = scene.perpetua.cache_folder
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder would have to be")
    with pytest.raises(RuntimeError):
        bpy.ops.wm.save_as_mainfile(filepath=str(blocked / "shot.blend"))
    assert scene.perpetua.cache_folder == before


def test_a_take_that_cannot_be_brought_plays_from_where_it_is(root: Path, tmp_path: Path) -> None:
    from bl_ext.user_default.perpetua import session

    scene = bpy.context.scene
    playback.attach(scene, write_cache(root / "ball", rounds=(4,)))
    (tmp_path / "cache").write_text("a file where a folder would have to be")
    save(tmp_path / "shot.blend")
    assert session.current().sentence.startswith("The take cannot be kept beside the file")
    assert scene.perpetua.cache_folder == "//unsaved/ball"
    assert frames(scene) == 5


def test_clean_up_leaves_what_is_shown_and_what_other_files_and_blenders_play(
    root: Path, tmp_path: Path
) -> None:
    scene = bpy.context.scene
    for name in ("linked", "elsewhere", "spare"):
        write_cache(root / name)
    write_look(root / "room look")
    scene.perpetua.input.front = str(root / "room look" / "front.png")
    cloud = bpy.data.objects.new("cloud", bpy.data.pointclouds.new("cloud"))
    cloud["perpetua_cache"] = str(root / "linked")
    hold = "import fcntl, sys; f = open(sys.argv[1], 'rb'); fcntl.flock(f, fcntl.LOCK_SH); print('held', flush=True); sys.stdin.read()"
    arguments = [sys.executable, "-c", hold, str(root / "elsewhere" / "meta.json")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert [found.path.name for found in cache_folders.unused(root)] == ["spare"]
        other.communicate()
    assert [found.path.name for found in cache_folders.unused(root)] == ["elsewhere", "spare"]
    playback.attach(scene, root / "elsewhere")
    asks = f"import sys; sys.path[:0] = {sys.path!r}; import fcntl; fcntl.flock(open({str(root / 'elsewhere' / 'meta.json')!r}, 'rb'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    refused = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in refused.stderr, "what this Blender plays is held for others to see"
