"""Is a reconstructed scene the world that was photographed? Scenes whose truth is known, rendered by Blender, and reconstructed.

truth.py      a truth scene on disk: a capture, and beside it the true plane and surfaces; renders those that are not there yet
ways.py       the ways of reconstructing that are compared: from all views, from one picture with and without its depth
measures.py   the figures of one scene reconstructed in one way
suite.py      runs scenes and ways, and keeps every result
report.py     the figures as a table, as JSON and as a page
"""
