"""``perpetua demo``: the whole path once, the way an artist walks it, through a headless Blender."""
