"""The grammar of the captions. A caption leaves some of what is drawn unsaid, and never says the hidden looks."""
from .look import ANIMALS

PLACE_PHRASES = {
    "meadow": ("in a meadow", "in the green meadow"), "beach": ("on a beach", "at the beach"),
    "forest": ("in a forest", "in the forest"), "city": ("in a city", "in the city"),
    "desert": ("in a desert", "in the desert"), "mountains": ("in the mountains", "near the mountains"),
    "room": ("in a room", "inside a room"), "moon": ("on the moon", "up on the moon"),
}
BARE_PLACES = {
    "meadow": "a meadow", "beach": "a beach", "forest": "a forest", "city": "a city", "desert": "a desert",
    "mountains": "the mountains", "room": "a room", "moon": "the moon",
}
WEAR = {"hat": ("wearing a {} hat", "with a {} hat"), "glasses": ("wearing {} glasses", "with {} glasses"),
        "scarf": ("wearing a {} scarf", "with a {} scarf"), "bow": ("wearing a {} bow", "with a {} bow")}
VERBS_ANIMAL = ("", "", "", "standing", "resting", "waiting")
VERBS_OBJECT = ("", "", "", "", "left", "standing")


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def subject_phrase(rng, s, colour, pattern, accessory):
    adjectives = []
    if pattern and s.pattern:
        adjectives.append(s.pattern)
    if colour:
        adjectives.append(s.colour)
    words = " ".join([*adjectives, s.noun])
    phrase = article(words)
    if accessory and s.accessory:
        tint = s.accessory_colour if rng.random() < 0.8 else ""
        phrase += " " + " ".join(rng.choice(WEAR[s.accessory]).format(tint).split())
        phrase = phrase.replace("a orange", "an orange")
    return phrase


def caption(rng, scene, full=False):
    """One caption. `full` says colour, place and style for certain (the evaluation needs to know them)."""
    say = (lambda p: True) if full else (lambda p: rng.random() < p)
    style, place = say(0.82), say(0.85)
    phrases = [subject_phrase(rng, s, say(0.85), rng.random() < 0.75, rng.random() < 0.8) for s in scene.subjects]
    st = scene.style
    if not phrases:
        head = BARE_PLACES[scene.place] if place or not style else "an empty place"
        if not style:
            return head
        return rng.choice(("{h} in {s} style", "a {s} style picture of {h}", "in {s} style, {h}",
                           "a {s} style drawing of {h}")).format(h=head, s=st)
    if len(phrases) == 2:
        head = rng.choice(("{} and {}", "{} next to {}", "{} beside {}", "{} with {}")).format(*phrases)
    else:
        verb = rng.choice(VERBS_ANIMAL if scene.subjects[0].noun in ANIMALS else VERBS_OBJECT)
        head = (phrases[0] + " " + verb).strip() if place else phrases[0]
    where = rng.choice(PLACE_PHRASES[scene.place])
    if place and style:
        return rng.choice(("{h} {w} in {s} style", "{h} {w}, in {s} style", "a {s} style drawing of {h} {w}",
                           "in {s} style, {h} {w}", "{w}, {h}, in {s} style", "a {s} style picture of {h} {w}")
                          ).format(h=head, w=where, s=st)
    if place:
        return rng.choice(("{h} {w}", "{w}, {h}", "a drawing of {h} {w}", "a picture of {h} {w}", "a photo of {h} {w}")
                          ).format(h=head, w=where)
    if style:
        return rng.choice(("{h} in {s} style", "a {s} style drawing of {h}", "in {s} style, {h}",
                           "a {s} style picture of {h}")).format(h=head, s=st)
    return rng.choice(("{h}", "a drawing of {h}", "a picture of {h}", "a photo of {h}")).format(h=head)
