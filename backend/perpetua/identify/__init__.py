"""What physics would have made a round's correction unnecessary: stiffness, friction, viscosity and a wind, from corrected motion.

quantities.py      what can be found out of a scene, and a scene with other values of it
least_squares.py   Gauss-Newton with few simulations: secant slopes, a prior, robust weights
thinned.py         a round with fewer particles, for what changes with the values
identify.py        compares simulations with the corrected motion, and says what was found
"""
