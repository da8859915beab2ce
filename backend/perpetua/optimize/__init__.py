"""The backward pass: refined videos move particles and colours, and the correction is written back to the physics."""
