"""Physics: a scene's state and an artist's actions become a trajectory and the next state."""
