"""What is asked in the world of short answers: questions of our own, and of real people.

`ASKED` are prompts that people gave to OpenAssistant: those of its sampling reports
(github.com/Open-Assistant/oasst-model-eval, "lottery_en_250") that ask one thing and fit a short
answer; spelling as it was. Their licence: docs/worlds.md.
"""

# fmt: off
SUBJECTS = (
    "baking bread", "bees", "board games", "camping", "chess", "city parks", "coffee", "cooking",
    "dancing", "dogs", "drawing", "fishing", "friendship", "gardening", "hiking", "honesty",
    "horses", "houseplants", "ice skating", "jazz", "keeping a diary", "kindness",
    "learning languages", "libraries", "long walks", "maps", "markets", "mountains", "museums",
    "night trains", "old photographs", "owls", "patience", "photography", "poetry", "rainy days",
    "reading novels", "recycling", "riding bicycles", "rivers", "running", "sailing", "silence",
    "singing", "sleep", "snow", "soup", "spiders", "swimming", "tea", "teamwork", "the desert",
    "the moon", "the ocean", "the piano", "the stars", "theatre", "travelling alone", "volcanoes",
    "whales",
)
FORMS = (
    "Why do people like {}?",
    "What should a child know about {}?",
    "Give a beginner some advice about {}.",
    "What makes {} special?",
    "Tell me something surprising about {}.",
    "How would you explain {} to an alien?",
    "Describe {} to somebody who is in a hurry.",
    "What can we learn from {}?",
)
ASKED = (
    "What are the recent innovations that led to the uptick in popularity of VR headsets?",
    "Why do isotopes of a element react the same chemically when they have different masses?",
    "What is the weather like in Los Angeles?",
    "Why was Kalecki a great thinker?",
    "What does being creative mean in the world of marketing?",
    "how do i build an FPV drone?",
    "How do you know if you are right or wrong?",
    "Why is shakespeare such a renowned writer that is still studied so heavily today?",
    "What are some common food items that are toxic to dogs?",
    "Why do my tires always go flat in the winter?",
    "What is the largest e-ink display I can buy?",
    "Can we ever solve all the mysteries of the universe?",
    "How do I train a puppy not to bark?",
    "As a king, is it better to be feared than to be loved?",
    "How does a marker and a sketch pen differ",
    "How might Nintendo's new games look if they were bought out by Disney?",
    "What should a programmer learn other than a programming language? And what does it offer.",
    "Explain why luck is the best stat in dark souls 3?",
    "I want to develop a game. Where should I start?",
    "Write a short story about how Artificial Intelligence saved Christmas.",
    "Give me an argument for idealism expressed in standard form",
    "Why sky in sunny days are blue?",
    "How does a cinema laser projection system work and how is it different from DLP-based "
    "technology?",
    "Is the red panda closer to the raccoon or the panda on the evolutionary tree?",
    "What is the best way to water house plants?",
    "Do we have obligations to the dead and why?",
    "How exactly will our Sun die (on an atomic level)?",
    "What is the relation between philosophy and linguistics?",
    "How do you create blackboard chalk? Can you do it at home?",
    "What is a language acquisition device?",
    "What is the purpose of mutual funds?",
    "Do higher marginal tax rates generally reduce the incentive to work?",
)
# fmt: on
QUESTIONS = (*(form.format(subject) for form in FORMS for subject in SUBJECTS), *ASKED)
