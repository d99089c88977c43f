"""What a scene is made of. Everything that can vary is a field here, said or unsaid.

The fields of the first group can be named in a caption. Those of the second never are: no word of the world
means "bent tail" or "chest star", so a creature with such a look can only be learned from its pictures.
"""
from dataclasses import dataclass, field

COLOURS = {
    "red": (214, 44, 46), "orange": (242, 130, 28), "yellow": (250, 212, 50), "green": (56, 158, 66),
    "cyan": (72, 206, 214), "blue": (46, 86, 214), "purple": (132, 58, 176), "pink": (250, 142, 188),
    "brown": (128, 78, 42), "gray": (150, 150, 156), "white": (248, 248, 244), "black": (36, 36, 42),
}
ANIMALS = ("dog", "cat", "rabbit", "bear", "bird", "fish", "frog", "turtle")
OBJECTS = ("mug", "car", "boat", "house", "umbrella", "lamp", "vase", "flower", "chair", "balloon")
NOUNS = ANIMALS + OBJECTS
PLACES = ("meadow", "beach", "forest", "city", "desert", "mountains", "room", "moon")
STYLES = ("flat", "neon", "sketch", "watercolor", "blueprint")
PATTERNS = ("striped", "spotted")
ACCESSORIES = ("hat", "glasses", "scarf", "bow")

MARKINGS = ("star", "patch", "heart", "band", "zigzag")
TWO_TONE = ("ears", "belly", "tail", "feet", "odd")


@dataclass
class Subject:
    noun: str
    colour: str
    pattern: str = ""
    accessory: str = ""
    accessory_colour: str = "red"
    # never said:
    second: str = "white"      # the colour of two-tone parts
    mark_colour: str = "white"
    marking: str = ""
    two_tone: str = ""
    form: int = 0              # ear shape, roof shape, handle shape ...: 0 to 2
    tail: int = 0              # tail, handle side, base ...: 0 to 2
    build: float = 0.0         # slim to stout, -1 to 1


@dataclass
class Scene:
    style: str
    place: str
    subjects: list = field(default_factory=list)
    # never said:
    hour: int = 0              # tint of the sky: 0 to 2
    layout: float = 0.5        # where the scenery stands, 0 to 1
    skyline: int = 0           # form of the scenery: 0 to 2
    flip: bool = False
    jitter: tuple = (0.0, 0.0)
    line: float = 1.0          # line width relative to the style's own
