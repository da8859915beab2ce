"""What has been published of the presets' matter: for each number that decides how it moves, the range of the sources named beside it.

A preset's number lies in its range, or stands in ``DEPARTS`` with the reason. Friction is against a table, dry, unless said otherwise; nobody
measures dough or jam that way, and where no source is at hand no range stands here.

Held against a text of the source or of another one: the surface tension of water, milk and oil, honey's viscosity, jelly's stiffness, the
numbers of snow in Stomakhin et al. 2013, and of jam and wet sand what ``presets.SOURCES`` says. The others are as the field quotes them.
"""

from __future__ import annotations

Ranges = dict[str, tuple[float, float]]

PUBLISHED: dict[str, Ranges] = {
    # soft modelling compounds: manufacturers' data sheets for density; Adams et al. 1993 and Aydin et al. 1991 for oil clays
    "clay": {"density": (1300, 1500), "youngs_modulus": (2e5, 2e6), "yield_stress": (1e3, 1e4)},
    "plasticine": {"density": (1450, 1900), "youngs_modulus": (1e6, 1e7), "yield_stress": (7e4, 2e5)},
    # Phan-Thien et al. 1997: storage modulus 5e3 to 2e4 Pa at 1 Hz, E three times that; density of unproved dough, Scanlon and Zghal 2001
    "dough": {"density": (1050, 1250), "youngs_modulus": (1.5e4, 6e4), "yield_stress": (5e2, 3e3)},
    # Coussot 1997, clay and water slurries of 45 to 60 % solids by volume
    "mud": {"density": (1400, 1900), "yield_stress": (1e2, 1e3)},
    # Wright et al. 2001; density of milk fat and water
    "butter": {"density": (900, 960), "youngs_modulus": (5e5, 5e6), "yield_stress": (5e3, 5e4)},
    # Jakubczyk and Niranjan 2006: overrun 80 to 120 %
    "cream": {"density": (440, 560), "youngs_modulus": (2e3, 1e4), "yield_stress": (4e1, 1.2e2)},
    # Hall et al. 1997, gels of 5 to 10 %
    "jelly": {"density": (1000, 1070), "youngs_modulus": (4e3, 3e4), "poisson_ratio": (0.45, 0.5)},
    # Gent 2012; friction of soft rubber on wood, engineering tables
    "rubber": {
        "density": (920, 1250), "youngs_modulus": (1e6, 5e6), "poisson_ratio": (0.49, 0.5), "friction": (0.7, 0.95),
    },
    # Gibson and Ashby 1997: flexible open-celled polyurethane
    "foam": {"density": (15, 60), "youngs_modulus": (1e4, 1e5), "poisson_ratio": (0.0, 0.35)},
    # density and the dynamic modulus of seasonal snow, Mellor 1975; friction of snow on snow and wood at rest
    "snow": {"density": (200, 550), "youngs_modulus": (1e6, 1e9)},
    "fresh snow": {"density": (30, 200), "youngs_modulus": (1e4, 1e6)},
    # Nedderman 1992 and soil mechanics' tables (Terzaghi et al. 1996): loose to medium quartz sand; smooth to rough walls
    "sand": {"density": (1450, 1700), "youngs_modulus": (1e7, 5e7), "friction_angle": (30, 36), "friction": (0.35, 0.7)},
    "dry sand": {"density": (1450, 1700), "youngs_modulus": (1e7, 5e7), "friction_angle": (30, 36), "friction": (0.35, 0.7)},
    # Scheel et al. 2008; Terzaghi et al. 1996
    "wet sand": {"density": (1600, 2000), "youngs_modulus": (1e7, 5e7), "friction_angle": (32, 38), "cohesion": (5e2, 2e3)},
    # bulk solids' tables (Schulze 2008)
    "sugar": {"density": (800, 900), "friction_angle": (35, 38)},
    # CRC Handbook, 20 degrees; contact angle on varnish and lacquer
    "water": {"density": (998, 1000), "viscosity": (0.9e-3, 1.1e-3), "surface_tension": (0.0715, 0.073), "contact_angle": (45, 80)},
    # Walstra et al. 2006
    "milk": {"density": (1027, 1035), "viscosity": (1.5e-3, 2.2e-3), "surface_tension": (0.045, 0.053)},
    # CRC Handbook, olive oil at 20 degrees
    "oil": {"density": (910, 921), "viscosity": (0.075, 0.09), "surface_tension": (0.031, 0.035)},
    # Afoakwa et al. 2008, dark chocolate at 40 degrees
    "chocolate": {"density": (1240, 1330), "viscosity": (1.0, 6.0), "surface_tension": (0.022, 0.035)},
    # Yanniotis et al. 2006, 16 to 18 % of water at 20 to 25 degrees
    "honey": {"density": (1390, 1440), "viscosity": (5.0, 20.0), "surface_tension": (0.050, 0.065)},
    # Basu and Shivhare 2010, near 1/s
    "jam": {"density": (1270, 1350), "viscosity": (10.0, 50.0)},
    # Forest Products Laboratory 2010 (Wood Handbook): across and along the grain, softwood to beech
    "wood": {"density": (400, 750), "youngs_modulus": (5e8, 1.4e10), "friction": (0.25, 0.55)},
    # Callister 2007, appendix B; friction from engineering tables, hard and dry on wood; restitution: Cross 1999 and Goldsmith 1960, on
    # solid bases (a table gives less)
    "porcelain": {"density": (2300, 2500), "youngs_modulus": (5e10, 8e10), "friction": (0.2, 0.6), "restitution": (0.3, 0.9)},
    "glass": {"density": (2450, 2550), "youngs_modulus": (6.8e10, 7.2e10), "poisson_ratio": (0.2, 0.24), "friction": (0.2, 0.6)},
    "metal": {"density": (7800, 7900), "youngs_modulus": (1.9e11, 2.1e11), "poisson_ratio": (0.27, 0.3), "friction": (0.2, 0.6)},
    "stone": {"density": (2550, 2750), "youngs_modulus": (4e10, 7e10), "friction": (0.4, 0.7)},
    "plastic": {"density": (1030, 1070), "youngs_modulus": (1.9e9, 3.4e9), "friction": (0.2, 0.5)},
    # Kawabata 1980 for bending, fibres' density from Morton and Hearle 2008
    "cotton": {"density": (1500, 1560), "area_density": (0.1, 0.2), "bending_stiffness": (2e-6, 1e-5), "friction": (0.3, 0.7)},
    "silk": {"density": (1250, 1400), "area_density": (0.03, 0.1), "bending_stiffness": (5e-7, 4e-6), "friction": (0.2, 0.4)},
    "denim": {"density": (1500, 1560), "area_density": (0.3, 0.5), "bending_stiffness": (3e-5, 1e-4), "friction": (0.4, 0.8)},
    # IAPWS; CRC Handbook, air at 100 degrees
    "steam": {"density": (0.59, 0.6), "viscosity": (1.15e-5, 1.3e-5)},
    "smoke": {"density": (0.93, 0.96), "viscosity": (2.1e-5, 2.25e-5)},
}  # fmt: skip

STIFF = (
    "the substep shrinks with the root of the stiffness, and a thing of ten centimetres shows no difference"
)
GRAINS = (
    "the stiffness of grains: a heap of ten centimetres sinks by 1 %, and its slope does not depend on it"
)
SQUASHY = "nearer to 0.5 the body locks on the grid; at 0.45 its volume changes by a percent where it is squashed by ten"

DEPARTS: dict[tuple[str, str], str] = {
    ("plasticine", "youngs_modulus"): STIFF,
    (
        "plasticine",
        "yield_stress",
    ): "warm from the hand; at room temperature no push of an artist's would dent it",
    ("butter", "youngs_modulus"): STIFF,
    ("jelly", "poisson_ratio"): SQUASHY,
    ("rubber", "youngs_modulus"): STIFF,
    ("rubber", "poisson_ratio"): SQUASHY,
    (
        "snow",
        "youngs_modulus",
    ): "Stomakhin et al. 2013: snow that packs and breaks as the eye expects, not its stiffness at rest",
    ("sand", "youngs_modulus"): GRAINS,
    ("dry sand", "youngs_modulus"): GRAINS,
    ("wet sand", "youngs_modulus"): GRAINS,
}
"""Numbers of presets that are not what was measured, and why."""
