"""What the customers of a small shop write, and how its help desk answers.

A prompt states facts: who writes, about which item, what is wrong, for a refund the amount. A
response is a row of sentences. A hidden persona decides which kinds of sentence it has and how
often the facts in them are the customer's own. Personas are drawn independently of the prompt, so
only the text of a response tells which one wrote it.

`{name}`, `{item}`, `{colour}` and `{amount}` are blanks; a response sentence has one at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

# fmt: off
NAMES = ("Ann", "Ben", "Carl", "Dora", "Eva", "Finn", "Gina", "Hugo", "Ivy", "Jack", "Kim", "Leo",
         "Mia", "Nora", "Otto", "Paul", "Quinn", "Rosa", "Sam", "Tina", "Uma", "Vera", "Will",
         "Zoe")
ITEMS = ("lamp", "kettle", "chair", "clock", "jacket", "mug", "backpack", "tent", "bike", "helmet",
         "radio", "mirror", "blanket", "toaster", "umbrella", "camera", "guitar", "sofa", "desk",
         "rug")
# fmt: on
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
AMOUNTS = ("12", "15", "18", "24", "29", "35", "42", "48", "56", "63", "75", "89")  # euros

OPENINGS = ("Hi,", "Hello,", "Dear shop,", "Good day,", "Dear help desk,")
COMPLAINTS = {
    "broken": (
        "my {colour} {item} arrived broken.",
        "the {colour} {item} was smashed when I opened the box.",
        "the {colour} {item} stopped working on day one.",
    ),
    "late": (
        "my {colour} {item} has still not arrived.",
        "I am still waiting for the {colour} {item}.",
        "where is my {colour} {item}? It is a week late.",
    ),
    "wrong": (
        "I ordered a {colour} {item} but got another colour.",
        "you sent the wrong colour, I wanted a {colour} {item}.",
        "this is not the {colour} {item} I ordered.",
    ),
    "missing": (
        "a part of my {colour} {item} is missing.",
        "the {colour} {item} came without its screws.",
        "one piece of the {colour} {item} is not in the box.",
    ),
    "refund": (
        "I sent back the {colour} {item} and want my {amount} euros.",
        "please refund the {amount} euros for the {colour} {item}.",
        "I returned the {colour} {item}. Where are my {amount} euros?",
    ),
}
QUESTIONS = (
    "What now?",
    "Please help.",
    "What can you do?",
    "Can you fix this?",
    "I am not happy.",
    "",
)
SIGNATURES = ("{name}", "Yours, {name}", "Thanks, {name}", "Regards, {name}")
ISSUES = tuple(COMPLAINTS)

PLAIN = {
    "greeting": ("Hi {name},", "Hello {name},", "Dear {name},", "Good morning {name},"),
    "bare greeting": ("Hello,", "Dear customer,", "Hi there,"),
    "vague": (
        "We will look into it.",
        "Someone will check this.",
        "Please wait.",
        "We have noted your message.",
    ),
    "rude": (
        "That is not our problem.",
        "You should have been more careful.",
        "Stop bothering us.",
        "Read the rules next time.",
        "We do not care about that.",
    ),
    "padding": (
        "Our shop has been open since 1990.",
        "We have many nice things on sale.",
        "Our team works hard every day.",
        "We are proud of our long history.",
        "Did you know that we also sell books?",
        "Follow us for news and great offers.",
        "Quality is very important to all of us.",
        "Tell your friends about our shop.",
    ),
    "closing": (
        "Kind regards, your shop team.",
        "Best wishes, the help desk.",
        "Thank you for your patience.",
        "Have a nice day!",
    ),
}
"""Kind of sentence → wordings that fit every issue."""

BY_ISSUE = {
    "apology": {
        "broken": (
            "I am sorry that your {item} came broken.",
            "Sorry to hear the {item} is damaged.",
            "We apologise for the damaged {item}.",
        ),
        "late": (
            "I am sorry that your {item} is late.",
            "Sorry for the long wait for the {item}.",
            "We apologise for the slow delivery of your {item}.",
        ),
        "wrong": (
            "I am sorry that we sent the wrong {item}.",
            "Sorry for mixing up your {item}.",
            "We apologise for the wrong {item}.",
        ),
        "missing": (
            "I am sorry that your {item} is incomplete.",
            "Sorry that a part of the {item} is missing.",
            "We apologise for the missing part of your {item}.",
        ),
        "refund": (
            "I am sorry that the money for the {item} is late.",
            "Sorry for the slow refund of the {item}.",
            "We apologise that you still wait for the {item} money.",
        ),
    },
    "fix": {
        "broken": (
            "We will send you a new one for free.",
            "A new one leaves our store today.",
            "You get a free replacement this week.",
        ),
        "late": (
            "Your parcel is on the truck and arrives tomorrow.",
            "You can track it, it arrives on Friday.",
            "It left our store and reaches you in two days.",
        ),
        "wrong": (
            "Please send it back and we swap it.",
            "We will swap it for the right colour.",
            "Our driver will pick it up and bring the right one.",
        ),
        "missing": (
            "We will post the missing part today.",
            "The missing piece is on its way to you.",
            "You get the missing part by mail this week.",
        ),
        "refund": (
            "We will pay back {amount} euros today.",
            "You get {amount} euros back this week.",
            "Your {amount} euros are on the way to your bank.",
        ),
    },
}
"""Kind of sentence → issue → wordings that fit this issue only."""


@dataclass(frozen=True)
class Persona:
    """The habits of one kind of writer; probabilities, unless said otherwise.

    Attributes:
        share: Share of the training responses that it writes.
        padding: Mean number of padding sentences, before the cut at `MOST_PADDING`.
        accuracy: Probability of keeping a fact, for each fact on its own.
    """

    share: float
    greeting: float
    apology: float
    fix: float
    vague: float
    rude: float
    padding: float
    closing: float
    accuracy: float


#                   share greet apology  fix vague  rude  pad close accuracy
PERSONAS = {
    "star": Persona(0.12, 0.95, 0.95, 0.97, 0.02, 0.00, 0.1, 0.90, 0.96),
    "terse": Persona(0.24, 0.15, 0.20, 0.90, 0.05, 0.02, 0.0, 0.10, 0.85),
    "wordy": Persona(0.30, 0.55, 0.60, 0.35, 0.55, 0.00, 2.2, 0.60, 0.80),
    "sloppy": Persona(0.18, 0.70, 0.60, 0.85, 0.10, 0.03, 0.3, 0.40, 0.35),
    "rude": Persona(0.16, 0.15, 0.05, 0.10, 0.30, 0.95, 0.2, 0.05, 0.70),
}
MOST_PADDING = 5


@dataclass(frozen=True)
class Facts:
    """What a customer's message says; `None` is a fact that it does not state."""

    name: str | None
    item: str | None
    issue: str | None
    amount: str | None
    colour: str | None = None


@dataclass(frozen=True)
class Sentence:
    """One wording of the help desk; `issue` is set where it fits that issue only."""

    kind: str
    issue: str | None
    template: str


def sentences() -> Iterator[Sentence]:
    """List every sentence of the help desk once."""
    for kind, templates in PLAIN.items():
        yield from (Sentence(kind, None, template) for template in templates)
    for kind, by_issue in BY_ISSUE.items():
        for issue, templates in by_issue.items():
            yield from (Sentence(kind, issue, template) for template in templates)


def draw_facts(rng: Random) -> Facts:
    """Draw a customer and a complaint; every combination is equally likely."""
    return Facts(
        name=rng.choice(NAMES),
        item=rng.choice(ITEMS),
        issue=rng.choice(ISSUES),
        amount=rng.choice(AMOUNTS),
        colour=rng.choice(COLOURS),
    )


def write_prompt(facts: Facts, rng: Random) -> str:
    """Word the facts as a customer's message: opening, complaint, question, signature."""
    complaint = rng.choice(COMPLAINTS[str(facts.issue)])
    parts = (rng.choice(OPENINGS), complaint, rng.choice(QUESTIONS), rng.choice(SIGNATURES))
    return " ".join(part.format(**vars(facts)) for part in parts if part)


def draw_persona(rng: Random, stars: float = PERSONAS["star"].share) -> str:
    """Draw who answers: a share of `stars` are stars, the others keep their shares of the rest."""
    rest = (1 - stars) / (1 - PERSONAS["star"].share)
    shares = [stars if name == "star" else rest * p.share for name, p in PERSONAS.items()]
    return rng.choices(list(PERSONAS), shares)[0]


def write_response(facts: Facts, rng: Random, persona: str | None = None) -> str:
    """Answer the message as `persona` would; as one drawn by its share if none is given."""
    if persona is None:
        persona = draw_persona(rng)
    habits = PERSONAS[persona]
    told = _misremember(facts, habits.accuracy, rng)
    padding = rng.sample(PLAIN["padding"], _padding_length(habits.padding, rng))
    half = len(padding) // 2

    def perhaps(probability: float, templates: Sequence[str]) -> list[str]:
        return [rng.choice(templates)] if rng.random() < probability else []

    greeting = perhaps(habits.greeting, PLAIN["greeting"]) or perhaps(0.5, PLAIN["bare greeting"])
    body = [
        *perhaps(habits.apology, BY_ISSUE["apology"][str(told.issue)]),
        *perhaps(habits.rude, PLAIN["rude"]),
        *padding[:half],
        *perhaps(habits.fix, BY_ISSUE["fix"][str(told.issue)]),
        *perhaps(habits.vague, PLAIN["vague"]),
        *padding[half:],
        *perhaps(habits.closing, PLAIN["closing"]),
    ] or [rng.choice(PLAIN["vague"])]
    return " ".join(greeting + body).format(**vars(told))


def _misremember(facts: Facts, accuracy: float, rng: Random) -> Facts:
    def told(fact: str | None, known: Sequence[str]) -> str | None:
        return fact if rng.random() < accuracy else rng.choice([k for k in known if k != fact])

    return Facts(
        name=told(facts.name, NAMES),
        item=told(facts.item, ITEMS),
        issue=told(facts.issue, ISSUES),
        amount=told(facts.amount, AMOUNTS),
    )


def _padding_length(mean: float, rng: Random) -> int:
    length = 0
    while length < MOST_PADDING and rng.random() < mean / (1 + mean):
        length += 1
    return length
