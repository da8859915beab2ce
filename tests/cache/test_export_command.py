"""``perpetua export``: what is asked for is written; what cannot be is one sentence and exit code 1."""

from __future__ import annotations

from perpetua.cli.main import run


def test_all_formats_at_once(make_cache, tmp_path, capsys):
    cache, usd, ply = make_cache(), tmp_path / "toy.usdc", tmp_path / "ply"
    assert run(["export", str(cache), "--usd", str(usd), "--ply", str(ply), "--verify"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == ["16 files, 6 frames: all as they were written.", str(usd), f"{ply}: 7 PLY files"]
    assert usd.is_file()
    assert len(list(ply.iterdir())) == 7


def test_a_damaged_cache_is_not_exported_when_checked(make_cache, tmp_path, capsys):
    cache, usd = make_cache(), tmp_path / "toy.usdc"
    victim = next(cache.glob("round_001-*/position.npy"))
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert run(["export", str(cache), "--usd", str(usd), "--verify"]) == 1
    assert "position.npy" in capsys.readouterr().err
    assert not usd.exists()


def test_nothing_asked_for_says_what_can_be(make_cache, tmp_path, capsys):
    assert run(["export", str(make_cache())]) == 1
    assert "--usd FILE" in capsys.readouterr().err
    assert run(["export", str(tmp_path), "--verify", "--with-background"]) == 1
    assert "--ply FOLDER" in capsys.readouterr().err
    assert run(["export", str(tmp_path / "nowhere"), "--ply", str(tmp_path / "ply")]) == 1
    assert "There is no cache" in capsys.readouterr().err
