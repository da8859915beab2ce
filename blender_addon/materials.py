"""The materials an object can be made of, by the backend's names, and what an artist may change of one. No Blender in here."""

from __future__ import annotations

MATERIALS: tuple[tuple[str, str, str], ...] = (
    ("", "Keeps Dents", "Solids that stay as they are pressed"),
    ("clay", "Clay", "Keeps every dent"),
    ("plasticine", "Plasticine", "Firm, keeps every dent"),
    ("dough", "Dough", "Soft, springs back a little, then keeps its shape"),
    ("mud", "Mud", "Sags slowly"),
    ("butter", "Butter", "Can be cut and spread"),
    ("cream", "Whipped Cream", "Light, holds its peaks"),
    ("snow", "Snow", "Packs and crumbles"),
    ("fresh snow", "Fresh Snow", "Light; keeps every print"),
    ("", "Comes Back", "Solids that return to their shape"),
    ("jelly", "Jelly", "Wobbles and comes back"),
    ("rubber", "Rubber", "Stiff and bouncy"),
    ("foam", "Foam", "A light sponge"),
    ("", "Grains", "Pours, and piles up"),
    ("sand", "Sand", "Loose grains"),
    ("dry sand", "Dry Sand", "Loose grains; the same as Sand"),
    ("wet sand", "Wet Sand", "Holds a castle, breaks in lumps"),
    ("sugar", "Sugar", "Loose light grains"),
    ("", "Flows", "Liquids, from thin to thick"),
    ("water", "Water", "A thin liquid"),
    ("milk", "Milk", "A thin liquid"),
    ("oil", "Oil", "A liquid that clings"),
    ("chocolate", "Melted Chocolate", "A smooth thick liquid"),
    ("honey", "Honey", "A slow liquid"),
    ("jam", "Jam", "A very slow liquid"),
    ("", "Keeps Its Shape", "Rigid things: they fall, slide, roll and bounce"),
    ("wood", "Wood", "Rigid and light"),
    ("porcelain", "Porcelain", "Rigid and heavy"),
    ("glass", "Glass", "Rigid and smooth"),
    ("metal", "Metal", "Rigid and very heavy"),
    ("stone", "Stone", "Rigid, heavy and rough"),
    ("plastic", "Hard Plastic", "Rigid and light, bounces"),
    ("", "Cloth and Air", "Sheets that hang, and gas that rises"),
    ("cotton", "Cotton", "Cloth that drapes"),
    ("silk", "Silk", "Light flowing cloth"),
    ("denim", "Denim", "Stiff heavy cloth"),
    ("steam", "Steam", "Hot and white, rises and is soon gone"),
    ("smoke", "Smoke", "Hot, rises and stays longer"),
)
"""Blender's enum items: identifier, name, tooltip; an empty identifier is a heading."""

NOT_POURED = {
    *("jelly", "rubber", "foam"),
    *("wood", "porcelain", "glass", "metal", "stone", "plastic"),
    *("cotton", "silk", "denim"),
}
"""What cannot come out of an emitter: it comes back to its shape, keeps it, or is a sheet."""
POURED = tuple(item for item in MATERIALS if item[0] and item[0] not in NOT_POURED)
"""Enum items of what can."""

PARAMETERS: tuple[tuple[str, str, str], ...] = (
    ("density", "Density", "kg/m\u00b3: water has 1000, clay 1400"),
    ("youngs_modulus", "Stiffness", "Young's modulus, Pa: jelly has 15 000, rubber 400 000"),
    ("poisson_ratio", "Poisson Ratio", "How much it widens when it is pressed: 0 is cork, 0.45 rubber"),
    ("yield_stress", "Yield Stress", "Pa: pressed harder than this, it keeps the dent"),
    ("viscosity", "Viscosity", "Pa s: water has 0.001, honey 10; of a solid, how soon its wobble ends"),
    ("friction_angle", "Friction Angle", "Degrees: how steep a pile of the grains stands"),
    ("cohesion", "Cohesion", "Pa: how strongly wet grains hold together"),
    ("friction", "Friction", "0 is ice, 1 is rubber"),
    ("restitution", "Bounce", "Share of the speed with which a rigid thing bounces off, 0 to 1"),
    ("surface_tension", "Surface Tension", "N/m: water has 0.072; where a puddle stops"),
    ("contact_angle", "Contact Angle", "Degrees at which a liquid's edge meets the table"),
    ("area_density", "Cloth Weight", "kg/m\u00b2: silk has 0.06, denim 0.4"),
    ("bending_stiffness", "Cloth Stiffness", "N m: silk has 0.000001, denim 0.00006"),
    ("temperature", "Temperature", "\u00b0C of a gas: hotter than the room's 20 it rises"),
    ("lifetime", "Lifetime", "Seconds that a puff of gas can be seen"),
)
"""Fields of ``MaterialSpec`` as enum items."""
