"""The named materials, and where their numbers come from.

Explicit solvers pay for stiffness: the substep shrinks with its square root, and a body of ten centimetres above some 1e6 Pa
shows no visible difference. What is softer here than in the world says so in its source. A liquid's Young's modulus and Poisson
ratio only make it compressible: K = 3e5 Pa lets a column of ten centimetres sink by 0.2 %.
"""

from __future__ import annotations

from perpetua.scene.materials import Material

_LIQUID = {"youngs_modulus": 1.0e5, "poisson_ratio": 0.45}

PRESETS: dict[str, Material] = {
    m.preset: m
    for m in (
        # keeps dents
        Material("clay", "plastic", 1400, 2.0e5, 0.35, 3.0e3, viscosity=20.0, friction=0.8, typical_height=0.06),
        Material("plasticine", "plastic", 1550, 6.0e5, 0.40, 2.0e4, viscosity=40.0, friction=0.8, typical_height=0.06),
        Material("dough", "plastic", 1100, 4.0e4, 0.40, 1.2e3, viscosity=20.0, friction=0.8, typical_height=0.09),
        Material("mud", "plastic", 1600, 3.0e4, 0.42, 2.0e2, viscosity=5.0, friction=0.7, typical_height=0.06),
        Material("butter", "plastic", 910, 2.0e5, 0.42, 8.0e3, viscosity=20.0, friction=0.3, typical_height=0.05),
        Material("cream", "plastic", 500, 5.0e3, 0.40, 8.0e1, viscosity=2.0, friction=0.8, typical_height=0.06),
        # comes back
        Material("jelly", "elastic", 1050, 1.5e4, 0.42, viscosity=10.0, friction=0.4, typical_height=0.07),
        Material("rubber", "elastic", 1100, 4.0e5, 0.45, viscosity=30.0, friction=0.9, typical_height=0.06),
        Material("foam", "elastic", 60, 2.0e4, 0.10, viscosity=15.0, friction=0.7, typical_height=0.10),
        # grains
        Material("snow", "snow", 400, 1.4e5, 0.20, viscosity=40.0, friction=0.5, typical_height=0.15),
        Material("fresh snow", "snow", 150, 2.0e4, 0.20, viscosity=10.0, friction=0.5, typical_height=0.15),
        Material("sand", "sand", 1600, 1.0e5, 0.20, friction_angle=33.0, friction=0.6, typical_height=0.15),
        Material("dry sand", "sand", 1600, 1.0e5, 0.20, friction_angle=33.0, friction=0.6, typical_height=0.15),
        Material("wet sand", "sand", 1850, 1.5e5, 0.20, friction_angle=36.0, cohesion=1.0e3, friction=0.7, typical_height=0.15),
        Material("sugar", "sand", 850, 1.0e5, 0.20, friction_angle=36.0, friction=0.6, typical_height=0.05),
        # flows
        Material("water", "liquid", 1000, **_LIQUID, viscosity=1.0e-3, friction=0.0, surface_tension=0.072, contact_angle=60.0, typical_height=0.05),
        Material("milk", "liquid", 1030, **_LIQUID, viscosity=2.0e-3, friction=0.0, surface_tension=0.050, contact_angle=60.0, typical_height=0.05),
        Material("oil", "liquid", 920, **_LIQUID, viscosity=0.08, friction=0.3, surface_tension=0.033, contact_angle=25.0, typical_height=0.03),
        Material("chocolate", "liquid", 1270, **_LIQUID, viscosity=3.0, friction=1.0, surface_tension=0.030, contact_angle=45.0, typical_height=0.04),
        Material("honey", "liquid", 1420, **_LIQUID, viscosity=10.0, friction=1.0, surface_tension=0.060, contact_angle=60.0, typical_height=0.03),
        Material("jam", "liquid", 1300, **_LIQUID, viscosity=30.0, friction=1.0, surface_tension=0.060, contact_angle=70.0, typical_height=0.06),
        # keeps its shape
        Material("wood", "rigid", 700, 1.0e9, 0.35, friction=0.5, restitution=0.4, typical_height=0.10),
        Material("porcelain", "rigid", 2400, 6.0e10, 0.20, friction=0.4, restitution=0.5, typical_height=0.10),
        Material("glass", "rigid", 2500, 7.0e10, 0.22, friction=0.4, restitution=0.6, typical_height=0.10),
        Material("metal", "rigid", 7850, 2.0e11, 0.30, friction=0.4, restitution=0.6, typical_height=0.10),
        Material("stone", "rigid", 2600, 5.0e10, 0.25, friction=0.6, restitution=0.4, typical_height=0.10),
        Material("plastic", "rigid", 1050, 2.5e9, 0.35, friction=0.35, restitution=0.6, typical_height=0.10),
        # hangs
        Material("cotton", "cloth", 1540, 1.0e6, 0.30, friction=0.5, area_density=0.15, bending_stiffness=6.0e-6, typical_height=0.30),
        Material("silk", "cloth", 1340, 1.0e6, 0.30, friction=0.25, area_density=0.06, bending_stiffness=1.0e-6, typical_height=0.30),
        Material("denim", "cloth", 1540, 3.0e6, 0.30, friction=0.6, area_density=0.40, bending_stiffness=6.0e-5, typical_height=0.30),
        # rises
        Material("steam", "gas", 0.598, viscosity=1.2e-5, friction=0.0, temperature=100.0, lifetime=1.5, typical_height=0.15),
        Material("smoke", "gas", 0.946, viscosity=2.2e-5, friction=0.0, temperature=100.0, lifetime=5.0, typical_height=0.15),
    )
}  # fmt: skip

SOURCES = {
    "clay": "Soft modelling compound: 1.3 to 1.5 g/cm^3, yields to a thumb at a few kPa. Softened: stiffness 2e5 for some 1e6 Pa.",
    "plasticine": "Oil clay flows at some 1e5 Pa (Aydin et al. 1991, as a model for hot steel); a fifth here, and E 6e5 for 3e6 Pa.",
    "dough": "Wheat dough: storage modulus around 1e4 Pa at 1 Hz and a yield near 1 kPa (Phan-Thien et al. 1997, 1998).",
    "mud": "Dense clay slurries hold 1e2 to 1e3 Pa (Coussot 1997, Mudflow Rheology and Dynamics).",
    "butter": "At 20 degrees: yield 5 to 20 kPa by cone penetration (Wright et al. 2001). Softened: E 2e5 for some 1e6 Pa.",
    "cream": "Whipped cream: half air, yields at 40 to 120 Pa (Jakubczyk and Niranjan 2006).",
    "jelly": "Gelatine gels of 5 to 10 %: E 4 to 30 kPa (Hall et al. 1997; Bonavia 2025, arXiv 2512.20502: 4.3 kPa at 1 part in 20, falling as a power), loss factor near 0.1 at 10 Hz. Poisson ratio lowered from 0.499.",
    "rubber": "Natural rubber has E 1 to 5 MPa and loses a tenth of a swing (Gent 2012). Softened: 4e5 Pa, Poisson ratio 0.45 for 0.499.",
    "foam": "Polyurethane sponge: E 1e4 to 1e5 Pa, Poisson ratio near 0.1, strongly damped (Gibson and Ashby 1997). Twice as heavy as upholstery.",
    "snow": "Stomakhin et al. 2013, table 2, the default snow; viscosity ours, so that it does not bounce like a ball.",
    "fresh snow": "150 kg/m^3; gives under a fist, 0.5 kPa (Fierz et al. 2009, snow classification, hand hardness 1); viscosity ours, as of snow.",
    "sand": "Quartz sand: bulk 1.6 g/cm^3, repose 32 to 35 degrees (Nedderman 1992). Softened: grains are stiff, 1e5 Pa lets a heap sink by 1 %.",
    "dry sand": "As sand.",
    "wet sand": "Capillary bridges hold 0.5 to 2 kPa, about the same from 1 % of water to over 10 % (Scheel et al. 2008, Nature Materials 7). Softened like sand.",
    "sugar": "Granulated: bulk 0.85 g/cm^3, repose 35 to 38 degrees (engineering tables).",
    "water": "At 20 degrees (CRC Handbook); 60 degrees is its contact angle on varnished wood. Slips on the support: its boundary layer is far thinner than a cell.",
    "milk": "Whole milk at 20 degrees: 2 mPa s, 50 mN/m (Walstra et al. 2006).",
    "oil": "Olive oil at 20 degrees: 80 mPa s, 33 mN/m.",
    "chocolate": "Melted dark chocolate at 40 degrees: Casson 2 to 5 Pa s (Afoakwa et al. 2008, Eur. Food Res. Technol. 226); its yield of 10 Pa is left out.",
    "honey": "At 20 to 25 degrees and 17 % water: 10 Pa s, 1.42 g/cm^3 (Yanniotis et al. 2006); beekeepers' tables have 2 Pa s at 20 % of water and 40 at 14 %.",
    "jam": "Strawberry jam thins as it is sheared: 20 to 50 Pa s at a table's shear rates near 1/s (Basu and Shivhare 2010). Newtonian here: what it holds at rest, 25 to 100 Pa (Gao et al. 2011, J. Stored Prod. Postharvest Res.), is left out.",
    "wood": "Pine and beech: 0.5 to 0.7 g/cm^3, dry friction 0.5 on wood.",
    "porcelain": "2.4 g/cm^3, glazed: 0.4 on wood.",
    "glass": "Soda-lime glass.",
    "metal": "Mild steel.",
    "stone": "Granite.",
    "plastic": "Polystyrene and ABS: hard toys.",
    "cotton": "Plain-weave shirting: 0.15 kg/m^2, bending 5 to 10 uN m (Kawabata 1980). Softened: weaves stretch by 3 to 5 % at 500 N/m, E near 1e8 Pa.",
    "silk": "Habotai: 0.06 kg/m^2, bending near 1 uN m (Kawabata 1980). Softened as cotton.",
    "denim": "Twelve-ounce denim: 0.4 kg/m^2, bending 50 to 100 uN m (Kawabata 1980). Softened as cotton.",
    "steam": "Saturated at 100 degrees and one atmosphere: 0.598 kg/m^3 (IAPWS).",
    "smoke": "Air at 100 degrees, 0.946 kg/m^3; the soot weighs nothing beside it.",
}  # fmt: skip
"""What each preset's numbers were taken from, and what was softened. Rigid matter's restitution is that of a dropped toy on a table, by eye."""
