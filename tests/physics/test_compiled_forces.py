"""The compiled forces against the readable ones, on particles that are no engine's."""

import numpy as np
import pytest

from perpetua.physics import runtime, worlds
from perpetua.physics.forces import Moment, force_at
from perpetua_protocol.take import Drag, Falloff, Force, Poke, Push, Round, Turbulence, Vortex, Wind

COUNT, DT = 300, 2e-3
RNG = np.random.default_rng(3)
POSITIONS = RNG.uniform(-0.1, 0.1, (COUNT, 3)).astype(np.float32)
VELOCITIES = RNG.uniform(-1, 1, (COUNT, 3)).astype(np.float32)
BODY = np.repeat(np.arange(3), 100).astype(np.int32)
MASS = RNG.uniform(1e-3, 3e-3, COUNT).astype(np.float32)
NAMES = ["ball", "cup", "cloth"]
TUBE = Falloff("tube", 1.0, 0.01, 0.08, 2.0, 0.01, 0.07)
CONE = Falloff("cone", 2.0, None, 0.09, 0.1, 20.0, 120.0)

ACTIONS = [
    Wind("wind", (0.2, 1, 0), 2.0, 30.0),
    Wind("breeze", speed=2.0, location=(0.05, 0, 0), reach=0.1, falloff=Falloff(power=3.0), targets=("cup",)),
    Force("repel", location=(0.01, 0.02, 0.03), strength=8.0, flow=4.0, targets=("ball", "cloth")),
    Force("tube", strength=-8.0, axis=(1, 2, 0.5), falloff=TUBE),
    Force("cone", axis=(0, -1, 1), falloff=CONE),
    Force("one side", falloff=Falloff(min_distance=0.02, max_distance=0.05, side="negative")),
    Vortex("spin", (0.02, 0, 0), (0.3, 0, 1), 40.0, inflow=9.0, flow=2.0),
    Turbulence("stir", strength=6.0, size=0.04, speed=0.3, seed=5, flow=1.0),
    Drag("honey", 50.0, 20.0, falloff=Falloff(power=5.0)),
    Push("push", (0.03, 0, 0), (0, 1, 1), 3.0, 0.06),
    Push("nothing", (3, 0, 0), (0, 1, 1), 3.0, 0.06),
    Poke("poke", (0, 0.03, 0), (1, 0, 0), 0.02, 0.05, targets=("cup", "cloth")),
]


def force(action):
    return force_at(action, Moment(0.5, 0.25, 24.0), NAMES, Round(8, (action,)), 0.0)


@pytest.fixture(scope="module")
def kernels():
    """A function that applies forces to the particles for one substep, compiled once."""
    worlds.discard()
    runtime.fresh(0)
    from perpetua.physics.forces.compiled import CompiledForces
    from perpetua.physics.matter import Matter
    from perpetua.physics.shared_kernels import floats, integers

    matter, compiled = Matter(COUNT), CompiledForces(16, len(NAMES), DT)
    body, mass = integers(COUNT), floats(COUNT)
    body.from_numpy(BODY)
    mass.from_numpy(MASS)
    matter.write(pos=POSITIONS)

    def applied(forces, keep=(1.0, 1.0, 1.0)):
        matter.write(vel=VELOCITIES)
        compiled.set_forces(forces)
        compiled.set_damping(np.array(keep))
        compiled.forget()
        compiled.weigh_mpm(matter, body, mass)
        compiled.apply_mpm(matter, body)
        return matter.read("vel")

    yield applied
    worlds.discard()


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_a_compiled_force_is_its_formula(kernels, action):
    item = force(action)
    expected = VELOCITIES + DT * item.acceleration(POSITIONS, VELOCITIES, MASS, BODY, dt=DT)
    np.testing.assert_allclose(kernels([item]), expected, atol=2e-5)
    assert (action.name == "nothing") == np.array_equal(expected, VELOCITIES)


def test_forces_act_one_after_another_and_damping_last(kernels):
    expected = VELOCITIES.astype(float)
    for action in ACTIONS:
        expected = expected + DT * force(action).acceleration(POSITIONS, expected, MASS, BODY, dt=DT)
    keep = np.array([1.0, 0.5, 0.25])
    np.testing.assert_allclose(
        kernels([force(a) for a in ACTIONS], keep), expected * keep[BODY][:, None], atol=5e-5
    )
    np.testing.assert_array_equal(kernels([]), VELOCITIES)
