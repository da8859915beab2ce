"""The errors of the engine. Each message is a sentence that names what is wrong and what to do.

PerpetuaError
├── PictureError           the picture cannot be read or used
│   ├── CaptureError       pictures from several places, or their depth and cameras, are missing something or disagree
│   └── SplatError         a file of splats is damaged, or holds something else
├── ExrError               an OpenEXR file cannot be read
├── SegmentationError      no object was found where the artist clicked
├── ReconstructionError    the picture's scene could not be built
├── CameraError            a camera that cannot see the scene
├── MaterialError          an unknown preset or a value outside physics
├── SimulationError        the simulation went wrong (NaN, out of bounds)
├── RenderError            a rasteriser was asked for what it does not do
├── RefinerError           a refiner is missing something or gave an unusable video
│   └── WaitingForFiles    a refined video is made elsewhere and is not there yet
├── ClipError              a clip that is to be measured lacks a file, or holds wrong numbers
├── DataError              simulated data cannot be made or read
├── TrainingError          a training cannot begin, or went wrong
├── CacheError             a 4D cache is damaged, incomplete or of another version
├── UnknownNameError       a registry has no such part
└── Cancelled              the artist stopped it (not a failure)
"""


class PerpetuaError(Exception):
    """Base of every error the engine raises on purpose."""

    code = "perpetua_error"


class PictureError(PerpetuaError):
    code = "picture"


class CaptureError(PictureError):
    code = "capture"


class SplatError(PictureError):
    code = "splats"


class ExrError(PerpetuaError):
    code = "exr"


class SegmentationError(PerpetuaError):
    code = "segmentation"


class ReconstructionError(PerpetuaError):
    code = "reconstruction"


class CameraError(PerpetuaError):
    code = "camera"


class MaterialError(PerpetuaError):
    code = "material"


class SimulationError(PerpetuaError):
    code = "simulation"


class RenderError(PerpetuaError):
    code = "render"


class RefinerError(PerpetuaError):
    code = "refiner"


class WaitingForFiles(RefinerError):
    """``folders``: where refined videos are waited for."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        what = "the refined video: put it" if len(folders) == 1 else "refined videos: put them"
        super().__init__(
            f"Waiting for {what} into {' and '.join(folders)} (refined.mp4, or numbered pictures in refined/; README.txt there "
            "says more), then bake again."
        )


class ClipError(PerpetuaError):
    code = "clip"


class DataError(PerpetuaError):
    code = "data"


class TrainingError(PerpetuaError):
    code = "training"


class CacheError(PerpetuaError):
    code = "cache"


class UnknownNameError(PerpetuaError):
    code = "unknown_name"


class Cancelled(PerpetuaError):
    code = "cancelled"
