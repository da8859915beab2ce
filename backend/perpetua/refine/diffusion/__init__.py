"""Refiners that are video diffusion models, run through diffusers from weights the artist has on disk.

A refined video begins as the coarse one, part of the way back to noise, and the model takes it forward again:

    coarse video -> fit -> encode -> clean latents z
                                        │ guide.start: mix z with noise up to a level
                                        v
                          denoise step ─┴─> guide.after_step: what is imposed again
                                        v
    refined video <- unfit <- decode <- latents

refiner.py              the refiner: options, windows of a long round, the first picture of each
options.py              what an artist may set, checked
fit.py                  the coarse video at a size and length the model can take, and back
windows.py              a round longer than the model is made of overlapping windows
schedule.py             noise levels of a schedule, and a scheduler that begins in its middle
noise_warp.py           noise that moves with the picture
guide_time_to_move.py   two clocks: objects begin later than what is around them
guide_warped_noise.py   one clock, and noise that follows the optical flow
loading.py              from a folder of safetensors to a model on a device; one at a time
backbones/              one file a family of models: how it is called, and what its latents are
"""
