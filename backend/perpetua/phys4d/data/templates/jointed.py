"""Links that joints hold together: a chain that swings, a bridge that a ball falls on, a lamp whose arm gives way."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from perpetua.phys4d.data import draws
from perpetua.phys4d.data.config import DataConfig
from perpetua.phys4d.data.spec import Form, Joint, Thing
from perpetua.phys4d.data.templates.draft import Draft
from perpetua_protocol.tracks import Vec3

LINKS = ("wood", "plastic", "metal")
DAMPING = (2e-6, 3e-5)
"""N m s, of a joint."""


def chain(random: Generator, config: DataConfig) -> Draft:
    """Links that hang from a point, let go from one side."""
    count = int(random.integers(2, 6))
    length, thick = draws.perturbed(random, 0.14 / count), draws.perturbed(random, 0.016)
    angle = float(random.choice((-1, 1)) * random.uniform(0.5, 1.3))
    top = np.array([0.0, 0.0, 0.19])
    way = np.array([np.sin(angle), 0.0, -np.cos(angle)])
    made, joints = [], []
    axis = None if random.uniform() < 0.5 else (0.0, 1.0, 0.0)
    for index in range(count):
        middle = top + way * (index + 0.5) * length
        made.append(_link(random, index, (thick, thick, 0.92 * length), middle, -angle))
        joints.append(Joint(index - 1, index, _vec(top + way * index * length), axis, _damping(random)))
    return Draft(made, joints=joints, middle=(0.0, 0.0, 0.1), distance=0.52)


def bridge(random: Generator, config: DataConfig) -> Draft:
    """Planks hinged in a row, held at one end, sag; a ball lies ready to be tipped off."""
    count = int(random.integers(3, 6))
    length, wide, thick = draws.perturbed(random, 0.15 / count), draws.perturbed(random, 0.05), 0.012
    start = np.array([-0.075, 0.0, draws.perturbed(random, 0.11)])
    made, joints = [], []
    for index in range(count):
        middle = start + np.array([(index + 0.5) * length, 0.0, 0.0])
        made.append(_link(random, index, (0.94 * length, wide, thick), middle, 0.0))
        joints.append(
            Joint(
                index - 1,
                index,
                _vec(start + np.array([index * length, 0.0, 0.0])),
                (0.0, 1.0, 0.0),
                _damping(random),
            )
        )
    ball = Form("ball", (0.034,) * 3)
    at = start + np.array([0.35 * count * length, 0.0, thick / 2 + 0.002])
    made.append(Thing("ball", ball, draws.material(random, "wood"), draws.look(random), _vec(at)))
    return Draft(made, joints=joints, middle=(0.0, 0.0, 0.07), distance=0.52)


def lamp(random: Generator, config: DataConfig) -> Draft:
    """Two arms and a shade on a foot: the arms fall."""
    lower, upper, thick = draws.perturbed(random, 0.08), draws.perturbed(random, 0.075), 0.012
    lean, bend = random.normal(0.25, 0.12), random.uniform(0.4, 1.1)
    hip = np.array([-0.03, 0.0, 0.02])
    first, second = (np.array([np.sin(a), 0.0, np.cos(a)]) for a in (lean, lean + bend))
    knee = hip + lower * first
    end = knee + upper * second
    made = [
        _link(random, 0, (thick, thick, 0.9 * lower), hip + 0.5 * lower * first, float(lean)),
        _link(random, 1, (thick, thick, 0.9 * upper), knee + 0.5 * upper * second, float(lean + bend)),
        _link(random, 2, (0.045, 0.045, 0.03), end, float(lean + bend)),
    ]
    joints = [
        Joint(-1, 0, _vec(hip), (0.0, 1.0, 0.0), _damping(random)),
        Joint(0, 1, _vec(knee), (0.0, 1.0, 0.0), _damping(random)),
        Joint(1, 2, _vec(end), (0.0, 1.0, 0.0), _damping(random)),
    ]
    return Draft(made, joints=joints, middle=(0.0, 0.0, 0.08), distance=0.52)


def _link(
    random: Generator, index: int, size: tuple[float, float, float], middle: np.ndarray, angle: float
) -> Thing:
    """A box about ``middle``, turned by ``angle`` about y."""
    foot = middle - np.array([0.0, 0.0, size[2] / 2])
    turn = (float(np.cos(angle / 2)), 0.0, float(np.sin(angle / 2)), 0.0)
    preset = draws.pick(random, LINKS)
    return Thing(
        f"link {index + 1}",
        Form("box", size),
        draws.material(random, preset),
        draws.look(random, True),
        _vec(foot),
        turn,
    )


def _damping(random: Generator) -> float:
    return float(random.uniform(*DAMPING))


def _vec(values: np.ndarray) -> Vec3:
    return float(values[0]), float(values[1]), float(values[2])
