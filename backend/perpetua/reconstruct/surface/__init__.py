"""Solid objects from views with depth and masks.

fusion.py    depth of all views fused into a signed distance field of one object
shape.py     the field as a closed surface without crumbs and cavities
filling.py   particles inside a field, evenly spaced, thin parts too; a sheet for cloth
plane.py     the plane that everything stands on
clusters.py  objects told apart in space, where there are no masks
"""
