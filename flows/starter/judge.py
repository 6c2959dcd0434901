"""Who labels: `score` is asked about every response that is selected, within the budget."""


def score(prompt: str, response: str) -> float | None:
    """Say how good a response is: higher is better, None is no verdict.

    An example, to be replaced by what you want more of: a rule, a classifier, a model you ask.
    """
    if not response.strip():
        return None
    words = response.lower().split()
    polite = sum(word.strip(",.!") in ("hello", "hi", "dear", "sorry", "thank") for word in words)
    return min(polite, 3) - abs(len(words) - 20) / 10
